/** The page of one alert: its stamps, drawn here from raw pixels, together. */

import { Figure } from "./figure.js";
import { listen } from "./gestures.js";
import { fetchStamp } from "./pixels/npy.js";
import { asPalette, fetchPalettes } from "./pixels/painting.js";
import { placeOf } from "./sky.js";

const root = document.documentElement.dataset.root;
const data = JSON.parse(document.querySelector("#data").textContent);
const controls = document.querySelector("#controls");
const readout = document.querySelector(".readout");
const DEFAULTS = Object.fromEntries(new FormData(controls));
const MOST_ZOOM = 24;
const BLINK_MS = 500;
// Browsers ignore who changes an address more often than a few times a second.
const ADDRESS_MS = 250;
const CENTRE = { zoom: 1, x: 0.5, y: 0.5 };

const figures = new Map();
let view = { ...CENTRE };
let palette = asPalette(data.colours);
let isOpen = false;
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
  for (const [kind, figure] of figures) figure.render(styleOf(kind, wanted), palette);
  for (const figure of figures.values()) figure.show(view);
}

/** Draws with the screen's next picture, however often something moves until then. */
function schedule() {
  if (isDue || !isOpen) return;
  isDue = true;
  requestAnimationFrame(render);
}

let findPalette = null;

/** Colour maps come all at once, and after what is seen first. */
async function recolour() {
  findPalette ??= fetchPalettes(`${root}/palettes.bin`, data.colormaps.filter((name) => !name.endsWith("_r")));
  palette = (await findPalette)(style().cmap);
  schedule();
}

let writing = 0;

/** The address holds the view, so that a link shows the same picture. */
function remember() {
  clearTimeout(writing);
  writing = setTimeout(write, ADDRESS_MS);
}

function write() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(controls)) if (value !== DEFAULTS[name]) query.set(name, value);
  if (view.zoom !== 1) for (const [name, value] of Object.entries(view)) query.set(name, +value.toFixed(4));
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

function recall() {
  const query = new URLSearchParams(location.search);
  for (const control of controls.elements) {
    if (!control.name || !query.has(control.name)) continue;
    const value = query.get(control.name);
    if (control.type === "checkbox") control.checked = true;
    else if (control.tagName === "SELECT") control.value = [...control.options].some((one) => one.value === value) ? value : DEFAULTS[control.name];
    else if (value.trim() !== "" && Number.isFinite(Number(value))) control.value = value;
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

/** Enlarges the picture; a part of it comes to where another was. */
function move(from, to, factor) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
  const share = view.zoom / zoom;
  look({ zoom, x: from.x + (view.x - to.x) * share, y: from.y + (view.y - to.y) * share });
}

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
    values.push(`${kind} ${found.hasData ? +found.value.toPrecision(6) : "no data"}`);
  }
  if (part && place) readout.textContent = `${place}   ${values.join("   ")}`;
}

function follow(figure) {
  listen(figure.frame, {
    move: (from, to, factor) => move(figure.at(from), figure.at(to), factor),
    centre: () => look(CENTRE),
    read: (point) => {
      readout.setAttribute("aria-live", "off");
      read(point && figure.at(point));
    },
    tell: () => {
      readout.setAttribute("aria-live", "polite");
      read(view);
    },
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
  first.lender = kind === first.kind ? null : figures.get(kind);
  first.show(view);
  first.frame.closest("figure").querySelector("figcaption").firstChild.data = `${kind} `;
}

function save(event, figure) {
  event.preventDefault();
  figure.snapshot().toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = event.target.download;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

/** Copies what stands before a button. */
async function copy(button) {
  const text = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(text.textContent);
  } catch {
    // Pages that did not come over HTTPS have no clipboard.
    getSelection().selectAllChildren(text);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

async function open(element) {
  const { kind } = element.dataset;
  const about = data.kinds[kind];
  const frame = element.querySelector(".frame");
  try {
    const stamp = await fetchStamp(`${root}/v1/stamps/${data.survey}/${encodeURIComponent(data.alert_id)}/${kind}.npy`);
    const figure = new Figure(kind, frame, about, stamp, data.row0);
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
  const opened = await Promise.all(there.map(open));
  for (const entry of opened.filter(Boolean)) figures.set(...entry);
  const canTurn = [...figures.values()].some((figure) => figure.about.sky);
  const { orient } = controls.elements;
  orient.querySelector("[value=north]").disabled = !canTurn;
  if (!canTurn && orient.value === "north") orient.value = DEFAULTS.orient;
  isOpen = true;
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
  if (what === "in") move(view, view, 1.5);
  if (what === "out") move(view, view, 1 / 1.5);
  if (what === "blink") blink(event.target);
});
for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));
new ResizeObserver(() => isOpen && look(view)).observe(document.querySelector(".figures"));

await start();
const offered = new Set([...controls.elements.cmap.options].map((one) => one.value));
for (const name of data.colormaps) if (!offered.has(name)) controls.elements.cmap.add(new Option(name));
recolour();
const chart = document.querySelector("#light-curve");
if (chart) (await import("./light-curve.js")).showLightCurve(chart, data, root);
const tree = document.querySelector("#record");
if (tree) (await import("./record.js")).showRecord(tree, document.querySelector("#record-search"), data.record, data.notes);
