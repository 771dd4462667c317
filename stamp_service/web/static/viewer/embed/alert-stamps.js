/**
 * `<alert-stamps survey="ztf" alert-id="…">`: the stamps of an alert in anybody's page.
 *
 * Asks the service that this module came from, for pictures alone; nothing is written as HTML or as a style
 * attribute, so that a page with a strict Content-Security-Policy, or with trusted types, can have it.
 */

const SERVICE = new URL("..", import.meta.url);
const KINDS = ["science", "template", "difference"];
const DRAWN = ["stretch", "interval", "cmap"];
const SIZE_PX = { least: 16, usual: 126, most: 2048 };
// Stamps that are about to be seen are asked for as well.
const AHEAD = "300px";

const STYLE = `
:host { display: inline-block; max-width: 100%; vertical-align: top;
  --panel: light-dark(#fff, #1d2024); --text: light-dark(#1b1c1e, #e6e7e9); --soft: light-dark(#5b6068, #a3a9b2);
  --line: light-dark(#d9dbde, #353a41); --accent: light-dark(#0b5cad, #7db7f2); --empty: light-dark(#f0f1f2, #15171a); }
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host([theme="auto"]) { color-scheme: light dark; }
* { box-sizing: border-box; }
.card { width: fit-content; max-width: 100%; padding: 8px; border: 1px solid var(--line); border-radius: 6px;
  background: var(--panel); color: var(--text); font: 13px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
a { color: inherit; text-decoration: none; }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.stamps { display: flex; gap: 8px; }
figure { margin: 0; width: var(--size); min-width: 0; }
figcaption { margin-bottom: 2px; color: var(--soft); font-size: 12px; overflow: hidden; text-overflow: ellipsis; }
.frame { display: grid; grid-template: minmax(0, 1fr) / minmax(0, 1fr); place-items: center; width: 100%; aspect-ratio: 1;
  overflow: hidden; background: var(--empty); }
img { display: block; max-width: 100%; max-height: 100%; image-rendering: pixelated;
  background: repeating-linear-gradient(45deg, #6a7c93 0 2px, #2f3b4a 2px 4px); }
.waiting { visibility: hidden; }
p { margin: 0; padding: 6px; max-height: 100%; overflow: auto; text-align: center; overflow-wrap: anywhere; }
.none { border: 1px dashed var(--soft); color: var(--text); }
.name { margin-top: 6px; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.name a { color: var(--accent); }
.name a:hover { text-decoration: underline; }
`;
const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);

/** Say in words why a stamp is not shown; no status means that there was no answer. */
function reason(status) {
  if (status === 404) return "There is no such stamp.";
  if (status === 401 || status === 403) return "Restricted: shown to readers with a token only.";
  if (status === 400) return "The service does not know such an alert, or such a way to draw it.";
  if (status === 502) return "The stamp is damaged and cannot be read.";
  if (status === undefined || status === 503 || status === 504) return "The stamp service does not answer now.";
  return "The stamp cannot be shown here.";
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const observer = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) target.load();
  },
  { rootMargin: AHEAD },
);

export class AlertStamps extends HTMLElement {
  static observedAttributes = ["survey", "alert-id", "kinds", "size", ...DRAWN];

  #isNear = false;
  #isDue = false;

  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
  }

  connectedCallback() {
    this.#redraw();
    if (!this.#isNear) observer.observe(this);
  }

  disconnectedCallback() {
    observer.unobserve(this);
  }

  attributeChangedCallback(name, before, after) {
    if (before !== after) this.#redraw();
  }

  /** Ask for the stamps, now that the element is about to be seen. */
  load() {
    this.#isNear = true;
    observer.unobserve(this);
    this.#redraw();
  }

  /** Draw once, however many attributes change at a time. */
  #redraw() {
    if (this.#isDue || !this.isConnected) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  get #survey() {
    return this.getAttribute("survey") ?? "";
  }

  get #alertId() {
    return this.getAttribute("alert-id") ?? "";
  }

  /** The kinds that were asked for, in this order; all of them if none was. */
  get #kinds() {
    const asked = (this.getAttribute("kinds") ?? "").toLowerCase().split(/[\s,]+/);
    const known = [...new Set(asked)].filter((kind) => KINDS.includes(kind));
    return known.length ? known : KINDS;
  }

  get #size() {
    const asked = Math.round(Number(this.getAttribute("size") || SIZE_PX.usual));
    return Number.isNaN(asked) ? SIZE_PX.usual : Math.min(Math.max(asked, SIZE_PX.least), SIZE_PX.most);
  }

  /** An address at the service; whatever the attributes hold, each stays one part of the path. */
  #url(room, ending) {
    // A browser takes `.` and `..` out of a path, escaped or not.
    const names = [this.#survey, this.#alertId].map((name) => (/^\.+$/.test(name) ? "_" : encodeURIComponent(name)));
    return new URL(`${room}/${names.join("/")}${ending}`, SERVICE);
  }

  #stampUrl(kind, density) {
    const url = this.#url("v1/stamps", `/${kind}.png`);
    for (const name of DRAWN) if (this.getAttribute(name)) url.searchParams.set(name, this.getAttribute(name));
    url.searchParams.set("size", Math.min(this.#size * density, 4096));
    return url.href;
  }

  #draw() {
    if (!this.#survey || !this.#alertId) {
      const lack = element("p", {}, "An alert-stamps element needs the attributes survey and alert-id.");
      this.shadowRoot.replaceChildren(element("div", { class: "card" }, lack));
      return;
    }
    const name = `${this.#survey.toUpperCase()} ${this.#alertId}`;
    const page = this.#url("alert", "").href;
    const stamps = element("div", { class: "stamps" }, ...this.#kinds.map((kind) => this.#figure(kind, name, page)));
    stamps.style.setProperty("--size", `${this.#size}px`);
    const caption = element("div", { class: "name", part: "name" }, element("a", { href: page }, name));
    const group = { class: "card", part: "card", role: "group", "aria-label": `Stamps of ${name}` };
    this.shadowRoot.replaceChildren(element("div", group, stamps, caption));
  }

  #figure(kind, name, page) {
    // A click on a stamp leads to the alert, too; one stop for the keyboard is enough.
    const frame = element("a", { class: "frame", part: "stamp", href: page, tabindex: "-1" });
    if (this.#isNear) frame.append(this.#image(kind, name, frame));
    else frame.setAttribute("aria-hidden", "true");
    return element("figure", {}, element("figcaption", {}, kind[0].toUpperCase() + kind.slice(1)), frame);
  }

  #image(kind, name, frame) {
    const image = element("img", { alt: `${kind} stamp of ${name}`, class: "waiting", decoding: "async" });
    image.addEventListener("load", () => image.classList.remove("waiting"));
    image.addEventListener("error", async () => {
      const url = this.#stampUrl(kind, 1);
      // A picture does not tell why it failed.
      const status = await fetch(url, { method: "HEAD", credentials: "omit" }).then(
        (answer) => answer.status,
        () => undefined,
      );
      frame.classList.add("none");
      frame.replaceChildren(element("p", {}, reason(status)));
    });
    image.srcset = `${this.#stampUrl(kind, 2)} 2x`;
    image.src = this.#stampUrl(kind, 1);
    return image;
  }
}

// Another copy of this module may have been first.
if (!customElements.get("alert-stamps")) customElements.define("alert-stamps", AlertStamps);
