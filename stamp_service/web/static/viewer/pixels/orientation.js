/** Which pixel of a stamp is seen where. */

/** Outside the stamp. */
export const OUTSIDE = -1;

/**
 * @typedef {object} Facing
 * @property {number} ny rows of the picture
 * @property {number} nx its columns
 * @property {Int32Array} sources for each of its pixels, which of the stamp's is seen there; -1 for none
 */

/**
 * @param {{ny: number, nx: number}} stamp its shape
 * @param {object} options which way up
 * @param {"default" | "native" | "north"} options.orient `native` has the file's row 0 at the top
 * @param {"top" | "bottom"} options.row0 where the survey shows row 0
 * @param {string} options.flip `none`, `x`, `y` or `xy`
 * @param {{up: number[], right: number[]} | null} [options.north] directions on the stamp, in pixels (x, y)
 * @returns {Facing} the picture
 */
export function face({ ny, nx }, { orient, row0, flip, north = null }) {
  const turned =
    orient === "north" && north
      ? resample(ny, nx, north.up, north.right)
      : { ny, nx, sources: Int32Array.from({ length: ny * nx }, (_, place) => place) };
  const isUpsideDown = orient === "default" && row0 === "bottom";
  return mirror(turned, flip.includes("x"), flip.includes("y") !== isUpsideDown);
}

function mirror({ ny, nx, sources }, inX, inY) {
  if (!inX && !inY) return { ny, nx, sources };
  const mirrored = new Int32Array(sources.length);
  for (let y = 0; y < ny; y++) {
    for (let x = 0; x < nx; x++) {
      mirrored[y * nx + x] = sources[(inY ? ny - 1 - y : y) * nx + (inX ? nx - 1 - x : x)];
    }
  }
  return { ny, nx, sources: mirrored };
}

/** A picture whose up and right are these unit vectors, by nearest neighbour. */
function resample(ny, nx, up, right) {
  const [halfX, halfY] = [(nx - 1) / 2, (ny - 1) / 2];
  const width = roundEven(2 * (Math.abs(right[0]) * halfX + Math.abs(right[1]) * halfY)) + 1;
  const height = roundEven(2 * (Math.abs(up[0]) * halfX + Math.abs(up[1]) * halfY)) + 1;
  const sources = new Int32Array(width * height).fill(OUTSIDE);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const [u, v] = [column - (width - 1) / 2, (height - 1) / 2 - row];
      const x = roundEven(halfX + u * right[0] + v * up[0]);
      const y = roundEven(halfY + u * right[1] + v * up[1]);
      if (x >= 0 && x < nx && y >= 0 && y < ny) sources[row * width + column] = y * nx + x;
    }
  }
  return { ny: height, nx: width, sources };
}

/** Halves to the even number, as NumPy's `rint`. */
function roundEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
