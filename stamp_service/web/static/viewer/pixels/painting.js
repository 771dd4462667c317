/** Levels to pictures on a canvas, one canvas pixel for each pixel of the stamp; CSS makes them larger. */

import { NO_DATA } from "./levels.js";

const known = new Map();

/**
 * @param {string} name a colour map's name
 * @param {string} root where the service is
 * @returns {Promise<Uint32Array>} what `asPalette` makes of it
 */
export function fetchPalette(name, root) {
  if (!known.has(name)) {
    const asked = fetch(`${root}/v1/colormaps/${encodeURIComponent(name)}`)
      .then((answer) => answer.json())
      .then(({ colours }) => asPalette(colours));
    asked.catch(() => known.delete(name));
    known.set(name, asked);
  }
  return known.get(name);
}

/**
 * @param {number[][]} colours red, green, blue from black to white, 255 of them
 * @returns {Uint32Array} the same by level, as a canvas keeps them; entry 0 is transparent
 */
export function asPalette(colours) {
  const entries = new Uint32Array(256);
  const bytes = new Uint8Array(entries.buffer);
  colours.forEach((colour, place) => bytes.set([...colour, 255], 4 * (place + 1)));
  return entries;
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
