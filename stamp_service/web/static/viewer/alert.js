/** The page of one alert: its stamps, drawn here from raw pixels, together. */

import { Figure } from "./figure.js";
import { fetchStamp } from "./pixels/npy.js";
import { fetchPalette } from "./pixels/painting.js";
import { showLightCurve } from "./light-curve.js";
import { showRecord } from "./record.js";
import { placeOf } from "./sky.js";

const root = document.documentElement.dataset.root;
const data = JSON.parse(document.querySelector("#data").textContent);
const controls = document.querySelector("#controls");
const readout = document.querySelector(".readout");
const DEFAULTS = Object.fromEntries(new FormData(controls));
const MOST_ZOOM = 24;
const BLINK_MS = 500;
const CENTRE = { zoom: 1, x: 0.5, y: 0.5 };

const figures = new Map();
let view = { ...CENTRE };
let palette = null;
let isDue = false;

/** How the stamps are drawn, by the controls. */
function style() {
  const form = new FormData(controls);
  const text = Object.fromEntries(form);
  const numbers = Object.fromEntries(["pmin", "pmax", "black", "white"].map((name) => [name, Number(text[name])]));
  if (!(numbers.pmin < numbers.pmax)) Object.assign(numbers, { pmin: 0.5, pmax: 99.5 });
  return { ...text, ...numbers, negative: form.has("negative") };
}

/** The difference alone has a sign. */
const styleOf = (kind, wanted) => ({ ...wanted, negative: wanted.negative && kind === "difference" });

function render() {
  isDue = false;
  const wanted = style();
  for (const [kind, figure] of figures) {
    figure.render(styleOf(kind, wanted), palette);
    figure.place(view);
  }
}

/** Draws with the screen's next picture, however often something moves until then. */
function schedule() {
  if (isDue || !palette) return;
  isDue = true;
  requestAnimationFrame(render);
}

async function recolour() {
  palette = await fetchPalette(style().cmap, root);
  schedule();
}

/** The address holds the view, so that a link shows the same picture. */
function remember() {
  const query = new URLSearchParams();
  const now = { ...Object.fromEntries(new FormData(controls)) };
  for (const [name, value] of Object.entries(now)) if (value !== DEFAULTS[name]) query.set(name, value);
  if (view.zoom !== 1) for (const [name, value] of Object.entries(view)) query.set(name, +value.toFixed(4));
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

function recall() {
  const query = new URLSearchParams(location.search);
  for (const control of controls.elements) {
    if (!control.name || !query.has(control.name)) continue;
    if (control.type === "checkbox") control.checked = true;
    else control.value = query.get(control.name);
    if (control.tagName === "SELECT" && control.selectedIndex < 0) control.selectedIndex = 0;
  }
  const asked = Object.fromEntries(["zoom", "x", "y"].map((name) => [name, Number(query.get(name) ?? CENTRE[name])]));
  if (Object.values(asked).every(Number.isFinite)) view = clamp(asked);
}

function clamp({ zoom, x, y }) {
  const within = Math.min(Math.max(zoom, 1), MOST_ZOOM);
  const reach = 0.5 / within;
  const inside = (part) => Math.min(Math.max(part, reach), 1 - reach);
  return { zoom: within, x: inside(x), y: inside(y) };
}

function look(wanted) {
  view = clamp(wanted);
  for (const figure of figures.values()) figure.place(view);
  remember();
}

/** Zooms about a part of the picture, which stays where it is. */
function zoomBy(factor, about = view) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
  const share = view.zoom / zoom;
  look({ zoom, x: about.x + (view.x - about.x) * share, y: about.y + (view.y - about.y) * share });
}

const FORMAT = new Intl.NumberFormat("en", { maximumSignificantDigits: 6, useGrouping: false });

function read(part) {
  let place = "";
  const values = [];
  for (const [kind, figure] of figures) {
    figure.cross(part);
    const found = part && figure.pixel(part);
    if (!found) continue;
    if (!place) {
      place = `x ${found.x}  y ${found.y}`;
      const sky = figure.about.sky && placeOf(figure.about.sky, figure.stamp, found.x, found.y);
      if (sky) place += `  ra ${sky.ra.toFixed(6)}  dec ${sky.dec.toFixed(6)}`;
    }
    values.push(`${kind} ${found.hasData ? FORMAT.format(found.value) : "no data"}`);
  }
  if (part && place) readout.textContent = `${place}   ${values.join("   ")}`;
}

function follow(figure) {
  const { frame } = figure;
  let start = null;
  const point = (event) => {
    const box = frame.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  frame.addEventListener("pointerdown", (event) => {
    start = { ...point(event), view };
    if (view.zoom > 1) frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    const now = point(event);
    if (start && event.buttons && view.zoom > 1) {
      const { nx, ny } = figure.facing;
      const moved = { x: (start.x - now.x) / figure.scale / nx, y: (start.y - now.y) / figure.scale / ny };
      look({ ...start.view, x: start.view.x + moved.x, y: start.view.y + moved.y });
    }
    read(figure.at(now));
  });
  frame.addEventListener("pointerup", () => (start = null));
  frame.addEventListener("pointerleave", () => read(null));
  frame.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoomBy(1.2 ** -Math.sign(event.deltaY), figure.at(point(event)));
    },
    { passive: false },
  );
  frame.addEventListener("dblclick", () => look(CENTRE));
  frame.addEventListener("keydown", (event) => {
    const step = 0.1 / view.zoom;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key === "+" || event.key === "=") zoomBy(1.5);
    else if (event.key === "-") zoomBy(1 / 1.5);
    else if (event.key === "0") look(CENTRE);
    else if (moves[event.key]) look({ ...view, x: view.x + moves[event.key][0], y: view.y + moves[event.key][1] });
    else return;
    event.preventDefault();
  });
}

let blinking = 0;

/** Shows the others' pictures in the first frame, one after the other. */
function blink(button) {
  const isOn = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", isOn);
  clearInterval(blinking);
  const all = [...figures];
  if (!isOn || all.length < 2) return void (all.length && tell(all[0][1], all[0][0]));
  let turn = 0;
  blinking = setInterval(() => {
    turn = (turn + 1) % Math.min(Number(controls.elements.blinking.value), all.length);
    tell(all[0][1], all[turn][0]);
  }, BLINK_MS);
}

function tell(first, kind) {
  first.borrow(kind === first.kind ? undefined : figures.get(kind));
  first.frame.closest("figure").querySelector("figcaption").firstChild.data = `${kind} `;
}

function save(event, figure) {
  const link = event.currentTarget;
  if (link.href.startsWith("blob:")) return;
  event.preventDefault();
  figure.snapshot().toBlob((blob) => {
    link.href = URL.createObjectURL(blob);
    link.click();
    setTimeout(() => {
      URL.revokeObjectURL(link.href);
      link.href = "#";
    }, 1000);
  }, "image/png");
}

async function open(element) {
  const { kind } = element.dataset;
  const about = data.kinds[kind];
  const frame = element.querySelector(".frame");
  try {
    const stamp = await fetchStamp(`${root}/v1/stamps/${data.survey}/${encodeURIComponent(data.alert_id)}/${kind}.npy`);
    const figure = new Figure(frame, about, stamp, data.row0);
    figure.kind = kind;
    const blanks = figure.hasData.length - figure.hasData.reduce((total, flag) => total + flag, 0);
    const edge = stamp.nx === stamp.ny ? "" : ", cut off at the chip’s edge";
    const hatched = blanks ? `, ${blanks} without data` : "";
    element.querySelector(".note").textContent = `${stamp.nx} × ${stamp.ny} px${edge}${hatched}`;
    follow(figure);
    element.querySelector("[data-do=png]").addEventListener("click", (event) => save(event, figure));
    return [kind, figure];
  } catch (error) {
    frame.classList.add("absent");
    frame.textContent = `This stamp cannot be shown: ${error.message}`;
    return null;
  }
}

async function start() {
  recall();
  const there = [...document.querySelectorAll("figure")].filter((element) => !data.kinds[element.dataset.kind].missing);
  const [colours, ...opened] = await Promise.all([fetchPalette(style().cmap, root), ...there.map(open)]);
  palette = colours;
  for (const entry of opened.filter(Boolean)) figures.set(...entry);
  const canTurn = [...figures.values()].some((figure) => figure.about.sky);
  controls.elements.orient.querySelector("[value=north]").disabled = !canTurn;
  render();
  document.documentElement.dataset.ready = "true";
  performance.mark("usable");
}

controls.addEventListener("input", (event) => {
  if (event.target.name === "cmap") recolour();
  else schedule();
  remember();
});
controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("reset", () =>
  setTimeout(() => {
    look(CENTRE);
    recolour();
  }),
);
controls.addEventListener("click", (event) => {
  const what = event.target.dataset.do;
  if (what === "in") zoomBy(1.5);
  if (what === "out") zoomBy(1 / 1.5);
  if (what === "blink") blink(event.target);
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}
new ResizeObserver(() => palette && look(view)).observe(document.querySelector(".figures"));

await start();
const chart = document.querySelector("#light-curve");
if (chart) showLightCurve(chart, data, root);
const tree = document.querySelector("#record");
if (tree) showRecord(tree, document.querySelector("#record-search"), data.record, data.notes);
