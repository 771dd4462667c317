/** What pointers, fingers, the wheel and keys do to a frame, in CSS pixels of that frame. */

const WHEEL = 1.2;
const KEY = 1.5;
const STEP = 0.1;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @typedef {{x: number, y: number}} Point */

/**
 * @typedef {object} Acts
 * @property {(from: Point, to: Point, factor: number) => void} move what was at one point comes to another, enlarged
 * @property {() => void} centre all of it is shown again
 * @property {(point: Point | null) => void} read the pointer is there, or has left
 * @property {() => void} tell the middle is read out
 */

/**
 * @param {HTMLElement} frame where
 * @param {Acts} acts what follows
 */
export function listen(frame, acts) {
  const held = new Map();
  const place = (event) => {
    const box = frame.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const letGo = (event) => held.delete(event.pointerId);

  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    held.set(event.pointerId, place(event));
    frame.setPointerCapture(event.pointerId);
    acts.read(place(event)); // a finger moves nowhere before it touches
  });
  frame.addEventListener("pointermove", (event) => {
    const now = place(event);
    if (held.has(event.pointerId)) {
      const before = grip(held);
      held.set(event.pointerId, now);
      const after = grip(held);
      acts.move(before, after, before.reach > 0 ? after.reach / before.reach : 1);
    }
    acts.read(now);
  });
  frame.addEventListener("pointerup", letGo);
  frame.addEventListener("pointercancel", letGo);
  frame.addEventListener("pointerleave", () => acts.read(null));
  frame.addEventListener("dblclick", acts.centre);
  frame.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const point = place(event);
      acts.move(point, point, WHEEL ** -Math.sign(event.deltaY));
    },
    { passive: false },
  );
  frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const side = frame.clientWidth;
    const middle = { x: side / 2, y: side / 2 };
    const zoom = { "+": KEY, "=": KEY, "-": 1 / KEY }[event.key];
    const way = ARROWS[event.key];
    if (zoom) acts.move(middle, middle, zoom);
    else if (way) acts.move({ x: middle.x + way[0] * STEP * side, y: middle.y + way[1] * STEP * side }, middle, 1);
    else if (event.key === "0") acts.centre();
    else return;
    event.preventDefault();
    acts.tell();
  });
}

/** The middle of two fingers, and how far they are apart. */
function grip(held) {
  const [first, other = first] = held.values();
  return { x: (first.x + other.x) / 2, y: (first.y + other.y) / 2, reach: Math.hypot(first.x - other.x, first.y - other.y) };
}
