/** The page of recent alerts: their stamps, the next ones, and the keys to look through them. */

const root = document.documentElement.dataset.root;
// A list for each page of them.
const alerts = document.querySelector("#alerts");
const status = document.querySelector("#status");
const keys = document.querySelector("#keys");
const tool = (name) => document.querySelector(`.tools [data-do=${name}]`);
// Sides of a stamp on the contact sheet, and from one to the next.
const PITCH_PX = 65;
// Pages with nothing on them that are asked for of the script's own accord.
const MOST_EMPTY = 5;
const STORE = "stamp-service.marked";
const FIELDS = ["survey", "alertId", "objectId", "raDeg", "decDeg", "timeMjd"];
const COLUMNS = ["survey", "alert_id", "object_id", "ra_deg", "dec_deg", "time_mjd"];

const nameOf = (card) => `${card.dataset.survey}/${card.dataset.alertId}`;
const cardAt = (element) => element?.closest?.(".card");
const cardsOf = (element) => [...element.querySelectorAll(".card")];

/** The marked alerts: values of their fields by name, kept for as long as the tab is open. */
const marked = new Map(remembered());

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE)) ?? [];
  } catch {
    return [];
  }
}

function tell(text) {
  status.textContent = text;
}

const count = (number, what = "alert") => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

function tellCount() {
  const more = document.querySelector("#following") ? " so far" : "";
  tell(`${count(cardsOf(alerts).length)}${more}${marked.size ? `, ${marked.size} marked` : ""}`);
}

function show(card, isMarked) {
  card.classList.toggle("marked", isMarked);
  card.querySelector(".mark input").checked = isMarked;
}

function mark(card, isMarked) {
  if (isMarked) marked.set(nameOf(card), FIELDS.map((field) => card.dataset[field]));
  else marked.delete(nameOf(card));
  show(card, isMarked);
  remember();
  tell(`${card.dataset.alertId} ${isMarked ? "marked" : "not marked"}, ${marked.size} marked in all`);
}

function unmarkAll() {
  marked.clear();
  for (const card of cardsOf(alerts)) show(card, false);
  remember();
  // The button is gone now, and with it the focus.
  tool("export").focus();
  tell("Nothing is marked any more");
}

function remember() {
  tool("unmark").hidden = !marked.size;
  try {
    sessionStorage.setItem(STORE, JSON.stringify([...marked]));
  } catch {
    // Full, or not allowed: then marks last as long as the page.
  }
}

/** Shows the stamps of a page's alerts, a row of its contact sheet each. */
async function showStamps(cards, sheet) {
  const image = new Image();
  image.src = sheet;
  try {
    await image.decode();
  } catch {
    for (const card of cards) card.classList.add("unseen");
    return;
  }
  cards.forEach((card, row) => {
    const { style } = card.querySelector(".stamps");
    style.backgroundImage = `url("${image.src}")`;
    style.backgroundPositionY = `calc(var(--zoom) * ${-row * PITCH_PX}px)`;
  });
}

function adopt(cards, sheet) {
  for (const card of cards) if (marked.has(nameOf(card))) show(card, true);
  if (sheet) showStamps(cards, sheet);
  fillRows();
}

const columns = () => getComputedStyle(alerts.firstElementChild).gridTemplateColumns.split(" ").length;

/** Fills the last row of each list with alerts of the next one, and says how high lists are that are not laid out. */
function fillRows() {
  const across = columns();
  for (const list of [...alerts.children]) {
    const following = list.nextElementSibling;
    while (following?.childElementCount && list.childElementCount % across) list.append(following.firstElementChild);
    list.style.setProperty("--rows", Math.ceil(list.childElementCount / across));
    if (!list.childElementCount && alerts.childElementCount > 1) list.remove();
  }
}

/** Fetches the page that a link leads to, and moves its alerts here. */
async function fetchPage(link) {
  link.setAttribute("aria-busy", "true");
  const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = page.querySelector("#alerts");
  if (!answer.ok || !found) throw new Error(page.querySelector(".notice")?.textContent ?? `status ${answer.status}`);
  const cards = cardsOf(found);
  alerts.append(found.firstElementChild);
  alerts.dataset.looked = Number(alerts.dataset.looked) + Number(found.dataset.looked);
  adopt(cards, found.dataset.sheet);
  const following = page.querySelector("#following");
  if (following) {
    link.removeAttribute("aria-busy");
    link.setAttribute("href", following.getAttribute("href"));
  } else link.remove();
  return cards.length;
}

/** Goes on when the end comes near; after some pages with nothing on them, when asked. */
function follow(link) {
  let isBusy = false;
  let empty = alerts.querySelector(".card") ? 0 : 1;
  const next = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      const got = await fetchPage(link);
      empty = got ? 0 : empty + 1;
      link.textContent = alerts.querySelector(".card") ? "More alerts" : "Look further back";
      if (empty < MOST_EMPTY) tellCount();
      else tell(`Nothing in the last ${count(Number(alerts.dataset.looked))} looked through`);
    } catch (error) {
      empty = MOST_EMPTY;
      link.removeAttribute("aria-busy");
      link.textContent = "Try again";
      tell(`There may be more, but: ${error.message}`);
    }
    isBusy = false;
    // Observed anew, it is told whether the end is near still.
    watcher.unobserve(link);
    if (link.isConnected && empty < MOST_EMPTY) watcher.observe(link);
  };
  const watcher = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && next(), {
    rootMargin: "0px 0px 1500px 0px",
  });
  watcher.observe(link);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    empty = 0;
    next();
  });
}

function save(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}

function saveFits({ dataset: { survey, alertId } }) {
  save(`${root}/v1/stamps/${survey}/${encodeURIComponent(alertId)}.fits`, `${alertId}.fits`);
}

/** A value of a CSV file; in quotes where it holds what separates values. */
const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

function saveMarked() {
  if (!marked.size) return tell("Nothing is marked: Space marks an alert");
  const lines = [COLUMNS, ...marked.values()].map((values) => values.map(quoted).join(","));
  const address = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
  save(address, "marked-alerts.csv");
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  return tell(`${count(marked.size)} exported`);
}

function move(key) {
  const cards = cardsOf(alerts);
  const here = cards.indexOf(cardAt(document.activeElement));
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }[key];
  const there = here < 0 ? cards.find((card) => card.getBoundingClientRect().bottom > 0) : cards[here + step];
  there?.querySelector(".open").focus();
}

const isTyping = (element) =>
  element.matches?.("input:not([type=checkbox]), select, textarea, [contenteditable]") || element.closest?.("dialog");

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || keys.open) return;
  const { key } = event;
  const card = cardAt(event.target);
  if (key === "?") keys.showModal();
  else if (!alerts) return;
  else if (key.startsWith("Arrow")) move(key);
  else if (key === " " && event.target.matches(".card a")) mark(card, !marked.has(nameOf(card)));
  else if (key === "f") card ? saveFits(card) : tell("No alert has the focus: arrows move it");
  else if (key === "e") saveMarked();
  else return;
  event.preventDefault();
}

/** Small or large stamps, as they were when the page was last seen; a narrow page has small ones. */
function resize(button) {
  const set = (isSmall) => {
    button.setAttribute("aria-pressed", isSmall);
    alerts.classList.toggle("small", isSmall);
    fillRows();
  };
  const name = "stamp-service.small";
  try {
    set(localStorage.getItem(name) === "true");
  } catch {
    set(false);
  }
  button.addEventListener("click", () => {
    const isSmall = button.getAttribute("aria-pressed") !== "true";
    set(isSmall);
    try {
      localStorage.setItem(name, isSmall);
    } catch {
      // Not allowed: then it is forgotten.
    }
  });
}

document.addEventListener("keydown", press);
const filters = document.querySelector(".filters");
if (filters && !("used" in filters.dataset) && matchMedia("(max-width: 52rem)").matches) filters.open = false;
// Fields that nobody filled in do not stand in the address.
filters?.querySelector("form").addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
});
if (alerts) {
  adopt(cardsOf(alerts), alerts.dataset.sheet);
  addEventListener("resize", fillRows);
  alerts.addEventListener("change", (event) => mark(cardAt(event.target), event.target.checked));
  document.querySelector(".tools").hidden = false;
  tool("unmark").hidden = !marked.size;
  tool("unmark").addEventListener("click", unmarkAll);
  tool("export").addEventListener("click", saveMarked);
  tool("keys").addEventListener("click", () => keys.showModal());
  resize(tool("size"));
  const following = document.querySelector("#following");
  if (following) follow(following);
  tellCount();
}
document.documentElement.dataset.ready = "true";
performance.mark("usable");
