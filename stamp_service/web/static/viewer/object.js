/** The page of one object: its stamps, one after the other, and its light curve. */

import { showLightCurve } from "./light-curve.js";

const root = document.documentElement.dataset.root;
const data = JSON.parse(document.querySelector("#data").textContent);
const TILE = 126;
const GAP = 2;
const movie = document.querySelector("#movie");
const strip = document.querySelector("#strip");
const play = document.querySelector("#play");
const kinds = document.querySelector("#kind");
const speed = document.querySelector("#speed");
const moment = document.querySelector("#moment");
const opener = document.querySelector("#open");

let sheet = null;
let isLost = false;
let shown = 0;
let timer = 0;
let ring = () => {};

/** All stamps of a kind come as one picture. */
function sheetUrl(kind) {
  const names = data.alerts.map((one) => `${data.survey}/${one.alert_id}`).join(",");
  return `${root}/v1/stamps/sheet.png?${new URLSearchParams({ alerts: names, kinds: kind, tile: TILE })}`;
}

const alertUrl = (one) => `${root}/alert/${data.survey}/${encodeURIComponent(one.alert_id)}`;

function cut(canvas, place) {
  canvas.width = canvas.height = TILE;
  if (sheet) canvas.getContext("2d").drawImage(sheet, 0, place * (TILE + GAP), TILE, TILE, 0, 0, TILE, TILE);
}

function describe(one) {
  const brightness = one.magnitude !== null ? `${one.magnitude.toFixed(2)} mag` : one.flux_njy !== null ? `${one.flux_njy.toFixed(0)} nJy` : "";
  return `MJD ${one.time_mjd?.toFixed(4) ?? "unknown"}  ${one.band ?? ""}  ${brightness}`;
}

function show(place) {
  shown = place % data.alerts.length;
  const one = data.alerts[shown];
  cut(movie, shown);
  const trouble = one.kinds.includes(kinds.value) ? (isLost ? "   cannot be shown" : "") : `   no ${kinds.value} stamp`;
  moment.textContent = `${shown + 1} of ${data.alerts.length}   ${describe(one)}${trouble}`;
  opener.href = alertUrl(one);
  ring(one.alert_id);
  for (const [number, entry] of [...strip.children].entries()) {
    entry.firstElementChild.setAttribute("aria-current", number === shown);
  }
}

function run(isOn) {
  play.setAttribute("aria-pressed", isOn);
  play.textContent = isOn ? "Pause" : "Play";
  // While it runs, nobody wants each moment read out.
  moment.setAttribute("aria-live", isOn ? "off" : "polite");
  clearInterval(timer);
  if (isOn) timer = setInterval(() => show(shown + 1), 1000 / Number(speed.value));
}

async function load(kind) {
  const picture = new Image();
  picture.src = sheetUrl(kind);
  // Without stamps there are alerts and a light curve still.
  sheet = await picture.decode().then(() => picture, () => null);
  isLost = sheet === null;
  for (const [place, entry] of [...strip.children].entries()) cut(entry.querySelector("canvas"), place);
  show(shown);
}

function fillStrip() {
  for (const [place, one] of data.alerts.entries()) {
    const entry = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", describe(one));
    const day = document.createElement("span");
    day.className = "soft";
    day.textContent = `${one.time_mjd === null ? "" : Math.floor(one.time_mjd)} ${one.band ?? ""}`;
    button.append(document.createElement("canvas"), day);
    button.addEventListener("click", () => show(place));
    button.addEventListener("dblclick", () => location.assign(alertUrl(one)));
    entry.append(button);
    strip.append(entry);
  }
}

/** Downloads are what is played. */
function link() {
  const folder = `${root}/object/${data.survey}/${encodeURIComponent(data.object_id)}`;
  for (const form of ["gif", "png"]) {
    document.querySelector(`#as-${form}`).href = `${folder}/${kinds.value}.${form}?frame_ms=${Math.round(1000 / speed.value)}`;
  }
}

kinds.addEventListener("change", () => {
  load(kinds.value);
  link();
});
play.addEventListener("click", () => run(play.getAttribute("aria-pressed") !== "true"));
speed.addEventListener("input", () => {
  link();
  if (play.getAttribute("aria-pressed") === "true") run(true);
});

fillStrip();
link();
show(data.alerts.length - 1);
showLightCurve(document.querySelector("#light-curve"), data, root).then((found) => {
  ring = found;
  show(shown);
});
await load(kinds.value);
document.documentElement.dataset.ready = "true";
