/** A record as a tree that can be searched. */

/**
 * @param {HTMLElement} parent where it is shown
 * @param {HTMLInputElement} search what is looked for
 * @param {object} record the record
 * @param {Object<string, string>} notes what the schema says of fields, by path
 */
export function showRecord(parent, search, record, notes) {
  const rows = [];
  parent.replaceChildren(branch(record, "", notes, rows));
  search.addEventListener("input", () => filter(rows, search.value.trim().toLowerCase()));
}

/** Rows of a record or a list; what is in a list is made when it is opened. */
function branch(value, path, notes, rows) {
  const list = document.createElement("ul");
  list.className = "tree";
  for (const [name, item] of Object.entries(value)) {
    const isIndex = Array.isArray(value);
    const own = isIndex ? path : path ? `${path}.${name}` : name;
    list.append(row(name, item, own, isIndex ? "" : notes[own], notes, rows));
  }
  return list;
}

function row(name, item, path, note, notes, rows) {
  const entry = document.createElement("li");
  const label = document.createElement("span");
  label.className = "name number";
  label.textContent = name;
  const about = document.createElement("span");
  about.className = "soft note";
  about.textContent = note ?? "";
  const isDeep = item !== null && typeof item === "object";
  rows.push({ entry, text: `${path} ${note ?? ""} ${isDeep ? "" : item}`.toLowerCase() });
  if (!isDeep) {
    const value = document.createElement("span");
    value.className = item === null ? "number soft" : "number";
    value.textContent = item === null ? "null" : String(item);
    entry.append(label, value, about);
    return entry;
  }
  const count = Object.keys(item).length;
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const size = document.createElement("span");
  size.className = "soft";
  size.textContent = Array.isArray(item) ? `${count} item${count === 1 ? "" : "s"}` : "";
  summary.append(label, size, about);
  details.append(summary, branch(item, path, notes, rows));
  details.open = !Array.isArray(item) && count > 0 && !path.includes(".");
  entry.append(details);
  return entry;
}

function filter(rows, wanted) {
  const kept = new Set();
  for (const { entry, text } of rows) {
    if (!wanted || !text.includes(wanted)) continue;
    for (let place = entry; place; place = place.parentElement.closest("li")) kept.add(place);
  }
  for (const { entry } of rows) {
    entry.hidden = wanted !== "" && !kept.has(entry);
    const details = entry.querySelector(":scope > details");
    if (details && wanted && kept.has(entry)) details.open = true;
  }
}
