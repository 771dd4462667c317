/** Reads the service's `.npy` answers: two axes, little-endian float32. */

const MAGIC = "\x93NUMPY";

/**
 * @typedef {object} Stamp
 * @property {number} ny rows
 * @property {number} nx columns
 * @property {Float32Array} pixels values, row after row, the file's first row first
 */

/**
 * @param {ArrayBuffer} buffer a `.npy` file
 * @returns {Stamp} the stamp
 */
export function readNpy(buffer) {
  const bytes = new Uint8Array(buffer);
  const text = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  if (text(0, 6) !== MAGIC) throw new Error("not a .npy file");
  const view = new DataView(buffer);
  const isFirstVersion = bytes[6] === 1;
  const start = isFirstVersion ? 10 : 12;
  const end = start + (isFirstVersion ? view.getUint16(8, true) : view.getUint32(8, true));
  const found = /'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\)/.exec(text(start, end));
  if (!found) throw new Error("not an image of float32");
  const [ny, nx] = [Number(found[1]), Number(found[2])];
  return { ny, nx, pixels: new Float32Array(buffer.slice(end, end + 4 * ny * nx)) };
}

/**
 * @param {string} url address of a `.npy` file
 * @returns {Promise<Stamp>} the stamp
 */
export async function fetchStamp(url) {
  const answer = await fetch(url);
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail ?? answer.statusText), { status: answer.status });
  }
  return readNpy(await answer.arrayBuffer());
}
