/** One stamp in its frame: the picture, what lies over it, and which pixel is where. */

import { findData } from "./pixels/intervals.js";
import { levelsWithin, limitsOf } from "./pixels/levels.js";
import { face } from "./pixels/orientation.js";
import { paint } from "./pixels/painting.js";
import { barLength } from "./sky.js";

const SVG = "http://www.w3.org/2000/svg";
// Of the compass, CSS pixels.
const [MARGIN, ARM, LETTER] = [14, 26, 9];

function draw(parent, name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

/** @typedef {{zoom: number, x: number, y: number}} View how large, and which part of the picture is in the middle, 0 to 1 */

/** A stamp, drawn as its page says. */
export class Figure {
  /**
   * @param {string} kind which of the alert's stamps
   * @param {HTMLElement} frame where it is shown
   * @param {object} about what the page says of this kind: defaults, masks, sky
   * @param {import("./pixels/npy.js").Stamp} stamp its pixels
   * @param {string} row0 where the survey shows row 0
   */
  constructor(kind, frame, about, stamp, row0) {
    this.kind = kind;
    this.frame = frame;
    this.about = about;
    this.stamp = stamp;
    this.row0 = row0;
    this.hasData = findData(stamp.pixels, about.masks);
    /** @type {import("./pixels/npy.js").Stamp | null} the same with the other sign, once somebody wants it */
    this.negated = null;
    this.canvas = document.createElement("canvas");
    this.overlay = document.createElementNS(SVG, "svg");
    this.overlay.setAttribute("aria-hidden", "true");
    /** @type {Figure | null} whose picture is seen in this frame, if not its own */
    this.lender = null;
    frame.replaceChildren(this.canvas, this.overlay);
  }

  /**
   * @param {object} style interval, stretch, black, white, kernel, orient, flip, negative
   * @param {Uint32Array} palette colours by level
   */
  render(style, palette) {
    if (style.negative) this.negated ??= { ...this.stamp, pixels: this.stamp.pixels.map((value) => -value) };
    const stamp = style.negative ? this.negated : this.stamp;
    const own = { ...style, interval: style.interval || this.about.interval, stretch: style.stretch || this.about.stretch };
    this.limits = this.shift(this.found(stamp, own), style);
    this.facing = this.turn(style);
    this.painted = [levelsWithin(stamp, this.hasData, this.limits, own), this.facing, palette];
  }

  /** @returns {Figure} whose picture is seen in this frame */
  get shown() {
    return this.lender ?? this;
  }

  /** @param {View} view which part of the picture is seen, after it was rendered */
  show(view) {
    paint(this.canvas, ...this.shown.painted);
    this.place(view);
  }

  /** The interval's limits; they are looked for once, as long as a slider moves. */
  found(stamp, { interval, pmin, pmax }) {
    const key = [stamp === this.negated, interval, pmin, pmax].join();
    if (this.known?.key !== key) {
      this.known = { key, limits: limitsOf(stamp, this.hasData, { interval, pmin, pmax }) };
    }
    return this.known.limits;
  }

  shift(limits, { black, white }) {
    if (!limits || (black === 0 && white === 100)) return limits;
    const range = limits.high - limits.low;
    const low = limits.low + (black / 100) * range;
    return { low, high: Math.max(limits.low + (white / 100) * range, low + range / 1000) };
  }

  turn({ orient, flip }) {
    const key = [orient, flip].join();
    if (this.turned?.key !== key) {
      const facing = face(this.stamp, { orient, flip, row0: this.row0, north: this.about.sky });
      this.turned = { key, facing, orient, flip };
    }
    return this.turned.facing;
  }

  /** @param {View} view which part of the picture is seen */
  place(view) {
    const side = this.frame.clientWidth;
    if (side === 0) return; // not laid out yet
    const { nx, ny } = this.shown.facing;
    this.scale = (side / Math.max(nx, ny)) * view.zoom;
    this.left = side / 2 - view.x * nx * this.scale;
    this.top = side / 2 - view.y * ny * this.scale;
    const transform = `translate(${this.left}px, ${this.top}px) scale(${this.scale})`;
    // While colours change, nothing is laid out again.
    const key = [transform, side, this.turned.key].join();
    if (key === this.placed) return;
    this.placed = key;
    this.canvas.style.transform = transform;
    this.frame.classList.toggle("zoomed", view.zoom > 1);
    this.annotate(side);
  }

  /**
   * @param {{x: number, y: number}} point in the frame, CSS pixels
   * @returns {{x: number, y: number}} which part of the picture is there, 0 to 1
   */
  at(point) {
    const { nx, ny } = this.shown.facing;
    return { x: (point.x - this.left) / this.scale / nx, y: (point.y - this.top) / this.scale / ny };
  }

  /**
   * @param {{x: number, y: number}} part of the picture, 0 to 1
   * @returns {{x: number, y: number, value: number, hasData: boolean} | null} the stamp's pixel there
   */
  pixel(part) {
    const { nx, ny, sources } = this.facing;
    const [column, row] = [Math.floor(part.x * nx), Math.floor(part.y * ny)];
    if (column < 0 || row < 0 || column >= nx || row >= ny) return null;
    const source = sources[row * nx + column];
    if (source < 0) return null;
    const value = this.stamp.pixels[source];
    const y = Math.floor(source / this.stamp.nx);
    return { x: source - y * this.stamp.nx, y, value, hasData: this.hasData[source] === 1 };
  }

  /** @param {{x: number, y: number} | null} part where the crosshair is, or nowhere */
  cross(part) {
    this.overlay.querySelector(".cross")?.remove();
    if (!part) return;
    const side = this.frame.clientWidth;
    const { nx, ny } = this.shown.facing;
    const x = part.x * nx * this.scale + this.left;
    const y = part.y * ny * this.scale + this.top;
    const gap = Math.max(6, this.scale);
    const path = `M${x} 0V${y - gap}M${x} ${y + gap}V${side}M0 ${y}H${x - gap}M${x + gap} ${y}H${side}`;
    draw(this.overlay, "path", { class: "cross", d: path });
  }

  /** Compass and scale bar. */
  annotate(side) {
    const isThere = this.overlay.querySelector(".cross");
    this.overlay.replaceChildren(...(isThere ? [isThere] : []));
    this.overlay.setAttribute("viewBox", `0 0 ${side} ${side}`);
    if (this.about.scale_arcsec) this.drawBar(side);
    if (this.about.sky) this.drawCompass(side);
  }

  drawBar(side) {
    const perPixel = this.about.scale_arcsec / this.scale;
    const length = barLength(side * perPixel);
    const width = length / perPixel;
    const y = side - 14;
    for (const name of ["under", "bar"]) {
      draw(this.overlay, "path", { class: name, d: `M12 ${y - 4}V${y + 4}M12 ${y}H${12 + width}M${12 + width} ${y - 4}V${y + 4}` });
    }
    draw(this.overlay, "text", { class: "overlay-text", x: 12 + width / 2, y: y - 8, "text-anchor": "middle" }, `${+length.toPrecision(2)}″`);
  }

  drawCompass(side) {
    const arms = { N: this.seen(this.about.sky.up), E: this.seen(this.about.sky.right.map((part) => -part)) };
    // In the lower right corner, whichever way its arms point.
    const [x, y] = [0, 1].map((axis) => side - MARGIN - Math.max(0, arms.N[axis], arms.E[axis]) * (ARM + LETTER));
    const path = Object.values(arms).map(([dx, dy]) => `M${x} ${y}L${x + dx * ARM} ${y + dy * ARM}`).join("");
    for (const name of ["under", "compass"]) draw(this.overlay, "path", { class: name, d: path });
    for (const [text, [dx, dy]] of Object.entries(arms)) {
      const [tx, ty] = [x + dx * (ARM + LETTER), y + dy * (ARM + LETTER) + 4];
      draw(this.overlay, "text", { class: "overlay-text", x: tx, y: ty, "text-anchor": "middle" }, text);
    }
  }

  /** Turns a direction on the stamp into one on the picture, down being positive. */
  seen([x, y]) {
    const { orient, flip } = this.turned;
    let [dx, dy] = [x, y];
    if (orient === "north") {
      const { up, right } = this.about.sky;
      [dx, dy] = [x * right[0] + y * right[1], -(x * up[0] + y * up[1])];
    } else if (orient === "default" && this.row0 === "bottom") {
      dy = -dy;
    }
    return [flip.includes("x") ? -dx : dx, flip.includes("y") ? -dy : dy];
  }

  /** @returns {HTMLCanvasElement} the picture as it is seen, each pixel a square, without what lies over it */
  snapshot() {
    const canvas = document.createElement("canvas");
    const side = this.frame.clientWidth;
    const { nx, ny } = this.shown.facing;
    const scale = Math.max(1, Math.round(this.scale));
    const [width, height] = [Math.min(nx, side / this.scale), Math.min(ny, side / this.scale)];
    const x = Math.min(Math.max(-this.left / this.scale, 0), nx - width);
    const y = Math.min(Math.max(-this.top / this.scale, 0), ny - height);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.canvas, x, y, width, height, 0, 0, canvas.width, canvas.height);
    return canvas;
  }
}
