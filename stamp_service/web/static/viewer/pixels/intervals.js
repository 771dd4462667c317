/**
 * Which pixels have data, and which of their values become black and white.
 *
 * The same rules as the service's own `images/intervals.py`, so that a page shows what its PNG does.
 */

const LARGEST_VALUE = 1e30;
const LEAST_RANGE = 1e-30;
const CORE_PX = 2;
const CORE_SCATTER = 0.2;

/** @typedef {{low: number, high: number}} Limits */

/**
 * @param {Float32Array} pixels values
 * @param {number[]} maskValues values by which the survey marks pixels without data
 * @returns {Uint8Array} 1 where a pixel has data
 */
export function findData(pixels, maskValues) {
  const masks = maskValues.map(Math.fround);
  return Uint8Array.from(pixels, (value) => Math.abs(value) <= LARGEST_VALUE && !masks.includes(value));
}

/**
 * @param {import("./npy.js").Stamp} stamp the stamp
 * @param {Uint8Array} hasData what `findData` said of it
 * @param {{interval: string, pmin: number, pmax: number}} style which limits
 * @returns {Limits | null} those of `minmax` where the interval is empty; null where there is no contrast at all
 */
export function findLimits(stamp, hasData, { interval, pmin = 0.5, pmax = 99.5 }) {
  const values = stamp.pixels.filter((_, place) => hasData[place]);
  if (values.length === 0) return null;
  const sorted = values.slice().sort();
  const find = {
    core: () => core(sorted, centre(stamp, hasData)),
    percentile: () => [percentile(sorted, pmin), percentile(sorted, pmax)],
    zscale: () => zscale(values),
    minmax: () => null,
  };
  return asLimits(find[interval]()) ?? asLimits([sorted[0], sorted[sorted.length - 1]]);
}

function asLimits(pair) {
  if (!pair) return null;
  const [low, high] = pair.map(Math.fround);
  return high - low >= LEAST_RANGE ? { low, high } : null;
}

/** Values with data within two pixels of the centre. */
function centre({ ny, nx, pixels }, hasData) {
  const [y, x] = [Math.floor(ny / 2), Math.floor(nx / 2)];
  const found = [];
  for (let row = Math.max(0, y - CORE_PX); row < Math.min(ny, y + CORE_PX); row++) {
    for (let column = Math.max(0, x - CORE_PX); column < Math.min(nx, x + CORE_PX); column++) {
      if (hasData[row * nx + column]) found.push(pixels[row * nx + column]);
    }
  }
  return found;
}

/** From just above the minimum to the brightest pixel of the source. */
function core(sorted, near) {
  if (near.length === 0) return null;
  const middle = median(sorted);
  const scatter = median(sorted.map((value) => Math.abs(value - middle)).sort());
  return [sorted[0] + CORE_SCATTER * scatter, Math.max(...near)];
}

/**
 * @param {Float32Array | Float64Array} sorted values in rising order, at least one
 * @returns {number} their median
 */
export function median(sorted) {
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Linear between the nearest two, as NumPy has it. */
function percentile(sorted, percent) {
  const place = (percent / 100) * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

// The defaults of IRAF's display task.
const SAMPLES = 1000;
const CONTRAST = 0.25;
const REJECT = 0.5;
const SIGMAS = 2.5;
const ITERATIONS = 5;
const FEWEST = 5;

/** The limits of IRAF's zscale: a line through the sorted values, made steeper by the contrast. */
function zscale(values) {
  const stride = Math.max(1, Math.floor(values.length / SAMPLES));
  const chosen = [];
  for (let place = 0; place < values.length && chosen.length < SAMPLES; place += stride) chosen.push(values[place]);
  const samples = Float64Array.from(chosen).sort();
  const count = samples.length;
  const fewest = Math.max(FEWEST, Math.floor(count * REJECT));
  let good = new Uint8Array(count).fill(1);
  let slope = 0;
  let last = count + 1;
  for (let turn = 0; turn < ITERATIONS; turn++) {
    const left = sum(good, (flag) => flag);
    if (left >= last || left < fewest) break;
    last = left;
    const line = fitLine(samples, good, left);
    slope = line.slope;
    good = reject(samples, good, line, left);
  }
  const [low, high] = [samples[0], samples[count - 1]];
  if (sum(good, (flag) => flag) < fewest) return [low, high];
  const middle = (count - 1) >> 1;
  const [level, steep] = [median(samples), slope / CONTRAST];
  return [Math.max(low, level - (middle - 1) * steep), Math.min(high, level + (count - middle) * steep)];
}

function fitLine(samples, good, left) {
  const xMean = sum(good, (flag, place) => flag * place) / left;
  const yMean = sum(good, (flag, place) => flag * samples[place]) / left;
  const covariance = sum(good, (flag, place) => flag * (place - xMean) * (samples[place] - yMean));
  const variance = sum(good, (flag, place) => flag * (place - xMean) ** 2);
  return { xMean, yMean, slope: covariance / variance };
}

/** Flag what is far from the line, and the neighbours of that. */
function reject(samples, good, { xMean, yMean, slope }, left) {
  const flat = samples.map((value, place) => value - (yMean + slope * (place - xMean)));
  const mean = sum(good, (flag, place) => flag * flat[place]) / left;
  const deviation = Math.sqrt(sum(good, (flag, place) => flag * (flat[place] - mean) ** 2) / left);
  const isBad = (place) => !good[place] || Math.abs(flat[place]) > SIGMAS * deviation;
  const width = Math.max(1, Math.floor(samples.length * 0.01));
  const reach = Math.floor((width - 1) / 2);
  const kept = new Uint8Array(samples.length).fill(1);
  for (let place = 0; place < samples.length; place++) {
    if (!isBad(place)) continue;
    // The window of `numpy.convolve(bad, ones(width), mode="same")`.
    for (let near = place - reach; near < place - reach + width; near++) kept[near] = 0;
  }
  return kept;
}

function sum(items, value) {
  let total = 0;
  for (let place = 0; place < items.length; place++) total += value(items[place], place);
  return total;
}
