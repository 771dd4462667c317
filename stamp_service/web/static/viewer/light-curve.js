/** Measurements against time: drawn by uPlot's axes and our marks; a click on a mark opens its alert. */

/* global uPlot */

const LIBRARY = "./vendor/uplot-1.6.32/uPlot";

const COLOURS = {
  u: "#8a5cf6", g: "#2e9e4f", r: "#d8412f", i: "#c98a04", z: "#a0522d", y: "#7d8590", Y: "#7d8590",
  c: "#0891b2", o: "#ea7317",
};
const OTHER = "#5b7bd5";
const HEIGHT_PX = 320;
const LEAST_WIDTH_PX = 260;
const NEAR_PX = 14;
const RADIUS_PX = 4;
const SOURCES = { alert: "this alert", detection: "alert", forced: "forced photometry" };

/**
 * @typedef {object} Measurement
 * @property {string} source `alert`, `detection` or `forced`
 * @property {number} time_mjd
 * @property {string | null} band
 * @property {number} value
 * @property {number | null} error
 * @property {string} unit `mag` or `nJy`
 * @property {boolean} is_limit
 * @property {boolean} is_negative
 * @property {string | null} alert_id
 */

const colourOf = ({ band }) => COLOURS[band] ?? OTHER;

/** @param {Measurement} one @returns {string} the same in words */
function describe(one) {
  const value = one.unit === "mag" ? one.value.toFixed(2) : one.value.toFixed(0);
  const error = one.error === null ? "" : ` ± ${one.unit === "mag" ? one.error.toFixed(2) : one.error.toFixed(0)}`;
  const what = one.is_limit ? "limit" : SOURCES[one.source];
  const sign = one.is_negative ? ", negative" : "";
  return `MJD ${one.time_mjd.toFixed(4)}  ${one.band ?? ""}  ${one.is_limit ? "> " : ""}${value}${error} ${one.unit}  ${what}${sign}`;
}

const urlOf = (suffix) => new URL(`${LIBRARY}.${suffix}`, import.meta.url);

/** Put an element that fetches something into the page. */
function load(name, attributes) {
  const element = Object.assign(document.createElement(name), attributes);
  return new Promise((done, fail) => {
    element.addEventListener("load", done);
    element.addEventListener("error", () => fail(new Error("the chart's library cannot be loaded")));
    document.head.append(element);
  });
}

/**
 * @param {HTMLElement} parent where it is shown
 * @param {{survey: string, alert_id?: string, light_curve: Measurement[]}} data what is shown
 * @param {string} root where the service is
 * @returns {Promise<(alertId: string) => void>} rings the measurement of another alert
 */
export async function showLightCurve(parent, data, root) {
  const all = data.light_curve;
  if (all.length === 0) {
    parent.innerHTML = "<p class='soft'>No measurements are known.</p>";
    return () => {};
  }
  await Promise.all([
    load("script", { src: urlOf("iife.min.js") }),
    load("link", { rel: "stylesheet", href: urlOf("min.css") }),
  ]);
  const isMagnitude = all[0].unit === "mag";
  const caption = document.createElement("p");
  caption.className = "number soft caption";
  const legend = makeLegend(all);
  const box = document.createElement("div");
  parent.replaceChildren(legend, box, caption);

  const style = getComputedStyle(document.documentElement);
  const axis = {
    stroke: style.getPropertyValue("--soft"),
    grid: { stroke: style.getPropertyValue("--line"), width: 1 },
    ticks: { stroke: style.getPropertyValue("--line"), width: 1 },
  };
  let ringed = data.alert_id;
  const plot = new uPlot(
    {
      width: Math.max(LEAST_WIDTH_PX, parent.clientWidth),
      height: HEIGHT_PX,
      legend: { show: false },
      cursor: { points: { show: false }, drag: { x: true, y: true } },
      scales: { x: { time: false, range: (_, low, high) => padded(all, low, high) }, y: { dir: isMagnitude ? -1 : 1, range: () => reach(all) } },
      axes: [
        { ...axis, label: "MJD", space: 64, values: (_, ticks) => ticks.map((tick) => +tick.toFixed(4)) },
        { ...axis, label: isMagnitude ? "magnitude" : "flux (nJy)", size: 64 },
      ],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: { draw: [(self) => drawMarks(self, all, ringed, style)] },
    },
    [all.map((one) => one.time_mjd), all.map((one) => one.value)],
    box,
  );
  point(plot, all, caption, data, root);
  new ResizeObserver(() => plot.setSize({ width: Math.max(LEAST_WIDTH_PX, parent.clientWidth), height: HEIGHT_PX })).observe(parent);
  parent.append(makeTable(all, data, root));
  return (alertId) => {
    ringed = alertId;
    plot.redraw();
  };
}

function padded(all, low, high) {
  // A single measurement comes with a range of the chart's own making.
  const times = all.map((one) => one.time_mjd);
  const [first, last] = [Math.max(low, Math.min(...times)), Math.min(high, Math.max(...times))];
  const margin = (last - first) * 0.06 || 0.5;
  return [first - margin, last + margin];
}

/** Errors are within it, unless they are huge. */
function reach(all) {
  const values = all.map((one) => one.value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const spread = high - low || 2 * (all[0].error ?? 0) || Math.abs(high) * 0.1 || 1;
  const ends = all.flatMap(({ value, error }) => (error === null ? [value] : [value - error, value + error]));
  const within = ends.filter((end) => end > low - spread && end < high + spread);
  const [bottom, top] = [Math.min(low, ...within), Math.max(high, ...within)];
  return [bottom - spread * 0.06, top + spread * 0.06];
}

function drawMarks(plot, all, ringed, style) {
  const { ctx } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
  ctx.clip();
  ctx.lineWidth = 1.5 * ratio;
  // What was measured lies over what was not.
  const ordered = [...all].sort((one, other) => rank(one) - rank(other));
  for (const one of ordered) {
    const [x, y] = [plot.valToPos(one.time_mjd, "x", true), plot.valToPos(one.value, "y", true)];
    ctx.strokeStyle = ctx.fillStyle = colourOf(one);
    ctx.globalAlpha = one.is_limit ? 0.55 : 1;
    if (one.error !== null) bar(ctx, x, ...[1, -1].map((sign) => plot.valToPos(one.value + sign * one.error, "y", true)));
    mark(ctx, one, x, y, RADIUS_PX * ratio);
    if (ringed && one.alert_id === ringed) ring(ctx, x, y, 2.4 * RADIUS_PX * ratio, style.getPropertyValue("--text"));
  }
  ctx.restore();
}

const rank = (one) => (one.is_limit ? 0 : { forced: 1, detection: 2, alert: 3 }[one.source]);

function bar(ctx, x, from, to) {
  ctx.beginPath();
  ctx.moveTo(x, from);
  ctx.lineTo(x, to);
  ctx.stroke();
}

/** Filled: an alert; open: forced photometry; a triangle: a limit; a diamond: fainter than the template. */
function mark(ctx, one, x, y, radius) {
  ctx.beginPath();
  if (one.is_limit) {
    ctx.moveTo(x - radius, y - radius / 2);
    ctx.lineTo(x + radius, y - radius / 2);
    ctx.lineTo(x, y + radius);
    ctx.closePath();
  } else if (one.is_negative) {
    for (const [dx, dy] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) ctx.lineTo(x + 1.3 * dx * radius, y + 1.3 * dy * radius);
    ctx.closePath();
  } else {
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
  }
  if (one.source === "forced" || one.is_limit) ctx.stroke();
  else ctx.fill();
}

function ring(ctx, x, y, radius, colour) {
  ctx.strokeStyle = colour;
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.stroke();
}

/** Says what is under the pointer, and opens it. */
function point(plot, all, caption, data, root) {
  const nearest = (event) => {
    const box = plot.over.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, least] = [null, NEAR_PX];
    for (const one of all) {
      const distance = Math.hypot(plot.valToPos(one.time_mjd, "x") - x, plot.valToPos(one.value, "y") - y);
      if (distance < least || (distance === least && one.alert_id)) [best, least] = [one, distance];
    }
    return best;
  };
  const canOpen = (one) => one?.alert_id && one.alert_id !== data.alert_id;
  plot.over.addEventListener("pointermove", (event) => {
    const found = nearest(event);
    caption.textContent = found ? describe(found) : "";
    plot.over.style.cursor = canOpen(found) ? "pointer" : "crosshair";
  });
  plot.over.addEventListener("click", (event) => {
    const found = nearest(event);
    if (canOpen(found)) location.assign(addressOf(data.survey, found.alert_id, root));
  });
}

const addressOf = (survey, alertId, root) => `${root}/alert/${survey}/${encodeURIComponent(alertId)}`;

function makeLegend(all) {
  const legend = document.createElement("p");
  legend.className = "legend soft";
  for (const band of new Set(all.map((one) => one.band))) {
    const entry = document.createElement("span");
    const dot = document.createElement("i");
    dot.style.background = COLOURS[band] ?? OTHER;
    entry.append(dot, band ?? "no band");
    legend.append(entry);
  }
  const has = (test, text) => all.some(test) && legend.append(Object.assign(document.createElement("span"), { textContent: text }));
  has((one) => one.source === "forced", "○ forced photometry");
  has((one) => one.is_limit, "▽ limit");
  has((one) => one.is_negative, "◆ fainter than the template");
  return legend;
}

/** The same for those who do not see charts. */
function makeTable(all, data, root) {
  const details = document.createElement("details");
  details.innerHTML =
    "<summary>As a table</summary><div class='scroll'><table><thead><tr><th scope='col'>MJD</th><th scope='col'>Band</th>" +
    "<th scope='col'>Value</th><th scope='col'>Error</th><th scope='col'>Unit</th><th scope='col'>What</th></tr></thead><tbody></tbody></table></div>";
  const body = details.querySelector("tbody");
  // Thousands of rows are made only for who wants them.
  details.addEventListener("toggle", () => body.rows.length || all.forEach((one) => addRow(body, one, data, root)));
  return details;
}

function addRow(body, one, data, root) {
  const row = body.insertRow();
  const what = one.is_limit ? "limit" : SOURCES[one.source] + (one.is_negative ? ", negative" : "");
  for (const text of [one.time_mjd.toFixed(5), one.band ?? "", one.value, one.error ?? "", one.unit, what]) {
    row.insertCell().textContent = typeof text === "number" ? +text.toPrecision(6) : text;
  }
  if (one.alert_id && one.alert_id !== data.alert_id) {
    const link = document.createElement("a");
    link.href = addressOf(data.survey, one.alert_id, root);
    link.textContent = one.alert_id;
    row.lastElementChild.textContent = "";
    row.lastElementChild.append(link);
  }
}
