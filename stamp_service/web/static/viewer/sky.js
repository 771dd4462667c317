/** Places on the sky, near a stamp's centre. */

const RADIANS = Math.PI / 180;

/**
 * @typedef {object} Sky
 * @property {number} ra_deg of the stamp's centre
 * @property {number} dec_deg
 * @property {number[][]} matrix degrees to the east and north, per pixel along a row and from row to row
 * @property {number[]} up direction of north in pixels (x, y)
 * @property {number[]} right direction of west
 */

/**
 * @param {Sky} sky where the stamp is
 * @param {{nx: number, ny: number}} shape its shape
 * @param {number} x column, counted from 0
 * @param {number} y row
 * @returns {{ra: number, dec: number}} degrees; the inverse of the gnomonic projection
 */
export function placeOf(sky, { nx, ny }, x, y) {
  const [dx, dy] = [x - (nx - 1) / 2, y - (ny - 1) / 2];
  const [xi, eta] = sky.matrix.map(([a, b]) => (a * dx + b * dy) * RADIANS);
  const dec0 = sky.dec_deg * RADIANS;
  const along = Math.cos(dec0) - eta * Math.sin(dec0);
  const ra = sky.ra_deg + Math.atan2(xi, along) / RADIANS;
  const dec = Math.atan2(Math.sin(dec0) + eta * Math.cos(dec0), Math.hypot(xi, along)) / RADIANS;
  return { ra: ((ra % 360) + 360) % 360, dec };
}

/**
 * @param {number} width arcsec that a picture is wide
 * @returns {number} a round length of up to a third of that
 */
export function barLength(width) {
  const most = width / 3;
  const ten = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((step) => step * ten).find((length) => length <= most);
}
