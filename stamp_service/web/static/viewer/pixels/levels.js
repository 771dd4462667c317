/** From values to grey levels: limits, stretch, smoothing; the same as the service's own PNGs. */

import { findData, findLimits } from "./intervals.js";

/** Entry 0 of a palette is no data, 1 is black, 255 white. */
export const NO_DATA = 0;
const STEPS = 255;
const MIDDLE = 127;

const ASINH = 0.1;
const LOG = 1000;
const EVEN = {
  linear: (level) => level,
  sqrt: Math.sqrt,
  log: (level) => Math.log1p(LOG * level) / Math.log1p(LOG),
  asinh: (level) => Math.asinh(level / ASINH) / Math.asinh(1 / ASINH),
  power: (level) => level * level,
};
export const STRETCHES = [...Object.keys(EVEN), "sigmoid"];

const KERNELS = {
  gauss: [-2, -1, 0, 1, 2].map((x) => Math.exp((-x * x) / 2)),
  box: [0.5, 1, 0.5],
};

/**
 * @typedef {object} Style
 * @property {string} interval `core`, `minmax`, `percentile`, `zscale`, or `manual` with `low` and `high`
 * @property {number} [pmin] percentiles of `percentile`
 * @property {number} [pmax]
 * @property {number} [low] values of black and white
 * @property {number} [high]
 * @property {string} stretch how levels between are spread
 * @property {string} [kernel] `gauss` or `box`
 */

/**
 * @param {import("./npy.js").Stamp} stamp the stamp
 * @param {Uint8Array} hasData 1 where it has data
 * @param {import("./intervals.js").Limits | null} limits values of black and white
 * @param {Style} style stretch and smoothing
 * @returns {Uint8Array} for each pixel 0 (no data) or 1 (black) to 255 (white)
 */
export function levelsWithin(stamp, hasData, limits, style) {
  const shades = spread(stamp.pixels, hasData, limits, style.stretch);
  const smooth = style.kernel ? convolve(shades, hasData, stamp, KERNELS[style.kernel]) : shades;
  const levels = new Uint8Array(smooth.length);
  for (let place = 0; place < smooth.length; place++) {
    if (hasData[place]) levels[place] = Math.floor(Math.min(Math.max(smooth[place], 0), STEPS - 1)) + 1;
  }
  return levels;
}

/**
 * @param {import("./npy.js").Stamp} stamp the stamp
 * @param {number[]} maskValues values by which the survey marks pixels without data
 * @param {Style} style how it is drawn
 * @returns {Uint8Array} its levels
 */
export function findLevels(stamp, maskValues, style) {
  const hasData = findData(stamp.pixels, maskValues);
  return levelsWithin(stamp, hasData, limitsOf(stamp, hasData, style), style);
}

/**
 * @param {import("./npy.js").Stamp} stamp the stamp
 * @param {Uint8Array} hasData 1 where it has data
 * @param {Style} style which limits
 * @returns {import("./intervals.js").Limits | null} values of black and white
 */
export function limitsOf(stamp, hasData, style) {
  if (style.interval === "manual") return style.high > style.low ? { low: style.low, high: style.high } : null;
  return findLimits(stamp, hasData, style);
}

/** Shades, 0 (black, or no data) to 255 (white). */
function spread(pixels, hasData, limits, stretch) {
  if (!limits) return Float32Array.from(hasData, (flag) => flag * MIDDLE);
  const shades = new Float32Array(pixels.length);
  const range = Math.fround(limits.high - limits.low);
  const level = (value) => Math.min(Math.max(Math.fround(value - limits.low) / range, 0), 1);
  const change = EVEN[stretch] ?? sigmoid(pixels, hasData, level);
  for (let place = 0; place < pixels.length; place++) {
    if (hasData[place]) shades[place] = STEPS * change(level(pixels[place]));
  }
  return shades;
}

/** 1 / (1 + exp(-z)), z = (x - mean) / standard deviation of all levels. */
function sigmoid(pixels, hasData, level) {
  let [count, total, squares] = [0, 0, 0];
  for (let place = 0; place < pixels.length; place++) {
    if (!hasData[place]) continue;
    const value = level(pixels[place]);
    count += 1;
    total += value;
    squares += value * value;
  }
  const mean = total / count;
  const deviation = Math.sqrt(Math.max(0, squares / count - mean * mean)) || 1;
  return (value) => 1 / (1 + Math.exp(-(value - mean) / deviation));
}

/** Convolve rows, then columns; beyond an edge the picture goes on as it is there, and no data has no weight. */
function convolve(shades, hasData, { ny, nx }, kernel) {
  const weigh = (values) => along(along(values, ny, nx, kernel, 1), ny, nx, kernel, nx);
  const sums = weigh(shades);
  const weights = hasData.includes(0) ? weigh(hasData) : sums.slice().fill(kernel.reduce((sum, part) => sum + part) ** 2);
  for (let place = 0; place < sums.length; place++) sums[place] /= weights[place];
  return sums;
}

function along(values, ny, nx, kernel, step) {
  const reach = kernel.length >> 1;
  const [length, lines] = step === 1 ? [nx, ny] : [ny, nx];
  const out = new Float64Array(values.length);
  // A line, and what it would be beyond its ends.
  const wide = new Float64Array(length + 2 * reach);
  for (let line = 0; line < lines; line++) {
    const start = step === 1 ? line * nx : line;
    for (let place = 0; place < wide.length; place++) {
      wide[place] = values[start + Math.min(Math.max(place - reach, 0), length - 1) * step];
    }
    for (let place = 0; place < length; place++) {
      let total = 0;
      for (let tap = 0; tap < kernel.length; tap++) total += kernel[tap] * wide[place + tap];
      out[start + place * step] = total;
    }
  }
  return out;
}
