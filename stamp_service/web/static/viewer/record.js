/** A record as a tree that can be searched. */

/**
 * @param {HTMLElement} parent where it is shown
 * @param {HTMLInputElement} search what is looked for
 * @param {object} record the record
 * @param {Object<string, string>} notes what the schema says of fields, by path; a list's items have the list's
 */
export function showRecord(parent, search, record, notes) {
  const tree = new Tree(notes);
  parent.replaceChildren(tree.branch(record, ""));
  search.addEventListener("input", () => tree.filter(search.value.trim().toLowerCase()));
}

class Tree {
  constructor(notes) {
    this.notes = notes;
    this.rows = [];
    // Histories have thousands of rows: these are made for who opens them, or looks for something.
    this.folded = new Set();
    /** @type {Set<HTMLDetailsElement>} what a search has opened */
    this.opened = new Set();
  }

  branch(value, path) {
    const list = document.createElement("ul");
    list.className = "tree";
    for (const [name, item] of Object.entries(value)) {
      const isItem = Array.isArray(value);
      const own = isItem ? path : path ? `${path}.${name}` : name;
      const isDeep = item !== null && typeof item === "object";
      const about = span("soft note", isItem ? "" : (this.notes[own] ?? ""));
      const entry = document.createElement("li");
      entry.append(...(isDeep ? [this.details(name, item, own, about)] : leaf(name, item, about)));
      this.rows.push({ entry, text: `${own} ${about.textContent} ${isDeep ? "" : write(item)}`.toLowerCase() });
      list.append(entry);
    }
    return list;
  }

  details(name, item, path, about) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    const count = Object.keys(item).length;
    const size = Array.isArray(item) ? `${count} item${count === 1 ? "" : "s"}` : "";
    summary.append(span("name number", name), span("soft", size), about);
    details.append(summary);
    const unfold = () => this.folded.delete(unfold) && details.append(this.branch(item, path));
    this.folded.add(unfold);
    details.addEventListener("toggle", unfold);
    details.open = !Array.isArray(item) && count > 0 && !path.includes(".");
    if (details.open) unfold();
    return details;
  }

  filter(wanted) {
    for (const details of this.opened) details.open = false;
    this.opened.clear();
    // What is unfolded may have something folded in it, which a set's iterator reaches as well.
    if (wanted) for (const unfold of this.folded) unfold();
    const kept = new Set();
    for (const { entry, text } of this.rows) {
      if (!wanted || !text.includes(wanted)) continue;
      for (let place = entry; place; place = place.parentElement.closest("li")) kept.add(place);
    }
    for (const { entry } of this.rows) {
      entry.hidden = wanted !== "" && !kept.has(entry);
      const details = entry.querySelector(":scope > details");
      if (!details || details.open || !wanted || !kept.has(entry)) continue;
      details.open = true;
      this.opened.add(details);
    }
  }
}

function leaf(name, item, about) {
  const value = span(item === null ? "number soft" : "number", write(item));
  return [span("name number", name), value, about];
}

/** Numbers of single precision have at most nine digits that say something. */
function write(item) {
  if (typeof item !== "number" || Number.isInteger(item) || Math.fround(item) !== item) return String(item);
  const digits = [6, 7, 8, 9].find((count) => Math.fround(+item.toPrecision(count)) === item);
  return String(digits ? +item.toPrecision(digits) : item);
}

function span(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}
