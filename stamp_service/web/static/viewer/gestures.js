/** What pointers, fingers, the wheel and keys do to a frame, in CSS pixels of that frame. */

const WHEEL = 1.2;
const KEY = 1.5;
const STEP = 0.1;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @typedef {object} Acts
 * @property {(by: {x: number, y: number}) => void} drag the picture is moved
 * @property {(factor: number, point?: {x: number, y: number}) => void} zoom it is enlarged about a point
 * @property {() => void} centre all of it is shown again
 * @property {(point: {x: number, y: number} | null) => void} read the pointer is there, or has left
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
  });
  frame.addEventListener("pointermove", (event) => {
    const now = place(event);
    if (held.has(event.pointerId)) {
      const before = grip(held);
      held.set(event.pointerId, now);
      const after = grip(held);
      acts.drag({ x: after.x - before.x, y: after.y - before.y });
      if (held.size === 2 && before.reach > 0) acts.zoom(after.reach / before.reach, after);
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
      acts.zoom(WHEEL ** -Math.sign(event.deltaY), place(event));
    },
    { passive: false },
  );
  frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const side = frame.clientWidth;
    if (event.key === "+" || event.key === "=") acts.zoom(KEY);
    else if (event.key === "-") acts.zoom(1 / KEY);
    else if (event.key === "0") acts.centre();
    else if (ARROWS[event.key]) acts.drag(asPoint(ARROWS[event.key].map((part) => -part * STEP * side)));
    else return;
    event.preventDefault();
    acts.tell();
  });
}

const asPoint = ([x, y]) => ({ x, y });

/** The middle of all fingers, and how far they are apart. */
function grip(held) {
  const [first, other = first] = held.values();
  return { x: (first.x + other.x) / 2, y: (first.y + other.y) / 2, reach: Math.hypot(first.x - other.x, first.y - other.y) };
}
