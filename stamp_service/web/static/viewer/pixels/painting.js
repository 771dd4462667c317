/** Levels to pictures on a canvas, one canvas pixel for each pixel of the stamp; CSS makes them larger. */

import { NO_DATA } from "./levels.js";

const COLOURS = 255;
const REVERSED = "_r";

/**
 * @param {number[][]} colours red, green, blue from black to white, 255 of them
 * @returns {Uint32Array} the same by level, as a canvas keeps them; entry 0 is transparent
 */
export function asPalette(colours) {
  const entries = new Uint32Array(COLOURS + 1);
  const bytes = new Uint8Array(entries.buffer);
  colours.forEach((colour, place) => bytes.set([...colour, 255], 4 * (place + 1)));
  return entries;
}

/**
 * @param {string} url address of all colour maps that are not reversed
 * @param {string[]} names their names, in the same order
 * @returns {Promise<(name: string) => Uint32Array>} finds what `asPalette` makes of one, reversed or not
 */
export async function fetchPalettes(url, names) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error("the colour maps cannot be loaded");
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return (name) => {
    const first = COLOURS * names.indexOf(name.endsWith(REVERSED) ? name.slice(0, -REVERSED.length) : name);
    const colours = Array.from({ length: COLOURS }, (_, place) => bytes.subarray(3 * (first + place), 3 * (first + place + 1)));
    return asPalette(name.endsWith(REVERSED) ? colours.reverse() : colours);
  };
}

/**
 * @param {HTMLCanvasElement} canvas where to
 * @param {Uint8Array} levels what `findLevels` found
 * @param {import("./orientation.js").Facing} facing which of them is seen where
 * @param {Uint32Array} palette colours by level
 */
export function paint(canvas, levels, { ny, nx, sources }, palette) {
  if (canvas.width !== nx || canvas.height !== ny) {
    canvas.width = nx;
    canvas.height = ny;
  }
  const image = new ImageData(nx, ny);
  const colours = new Uint32Array(image.data.buffer);
  for (let place = 0; place < sources.length; place++) {
    const source = sources[place];
    colours[place] = palette[source < 0 ? NO_DATA : levels[source]];
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
