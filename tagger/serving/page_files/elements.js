// Builds elements. Text only ever becomes a text node, so that markup in it is shown as written.

export const find = (id) => document.getElementById(id);

/** Create an element with attributes and children; children are nodes or text. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Create text that only screen readers read. */
export const unseen = (text) => element("span", { class: "unseen" }, text);

/** Set the custom properties that shade an element: the label's hue and the score. */
export function shade(node, hue, score) {
  node.classList.add("shaded");
  if (hue === undefined) node.classList.add("plain");
  else node.style.setProperty("--hue", hue);
  node.style.setProperty("--score", score);
  return node;
}

export const percent = (score) => (score > 0 && score < 0.005 ? "<1%" : `${Math.round(100 * score)}%`);

/** Say a tag in a table, "…PER" for a tag that continues a span. */
export function shortTag(tag, task) {
  if (!task.hues) return tag;
  if (tag === "O") return "–";
  const [prefix, label] = splitTag(tag);
  return "IEML".includes(prefix) ? `…${label}` : label;
}

/** Say a tag in a sentence. */
export function longTag(tag, task) {
  if (!task.hues) return tag;
  if (tag === "O") return "no span";
  const [prefix, label] = splitTag(tag);
  return "IEML".includes(prefix) ? `${label}, continued` : label;
}

/** Return the hue of a tag's label; undefined for tags without a label. */
export const hueOf = (tag, task) => (task.hues && tag !== "O" ? task.hues[splitTag(tag)[1]] : undefined);

function splitTag(tag) {
  const dash = tag.indexOf("-");
  return [tag.slice(0, dash), tag.slice(dash + 1)];
}

let waiting = 0;

/** Let screen readers say a text once nothing newer was announced for a second. */
export function announce(text) {
  clearTimeout(waiting);
  waiting = setTimeout(() => find("announcer").replaceChildren(text), 1000);
}
