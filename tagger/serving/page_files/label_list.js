// The labels as buttons: keys 1 to 9, and a filter for projects with more.
import { element, find, shade } from "./elements.js";

const MOST_KEYS = 9;

let names = [];
let hues = new Map();
let onChoose = () => {};
let onLeave = () => {};
let position = 0; // of the label that Enter takes, among those that the filter leaves

/** Show the labels; `choose` receives the name of one, `leave` is called when the filter closes. */
export function connectLabels(labels, choose, leave) {
  names = labels.map(({ name }) => name);
  hues = new Map(labels.map(({ name, hue }) => [name, hue]));
  [onChoose, onLeave] = [choose, leave];
  find("filter-box").hidden = !hasFilter();
  find("filter").addEventListener("input", () => showMatches(0));
  find("filter").addEventListener("keydown", handleKey);
  find("filter").addEventListener("blur", () => showLabels(names));
  showLabels(names);
}

export const hasFilter = () => names.length > MOST_KEYS;

export const hueMap = () => hues;

/** Return the label of a digit key, undefined for other keys. */
export const labelOfKey = (key) => (/^[1-9]$/.test(key) ? names[Number(key) - 1] : undefined);

/** Begin to filter the labels. */
export function openFilter() {
  find("filter").value = "";
  find("filter").focus();
  showMatches(0);
}

const matches = () => {
  const query = find("filter").value.trim().toLowerCase();
  const found = names.filter((name) => name.toLowerCase().includes(query));
  const begins = (name) => name.toLowerCase().startsWith(query);
  return [...found.filter(begins), ...found.filter((name) => !begins(name))];
};

function showMatches(target) {
  const found = matches();
  position = Math.max(0, Math.min(found.length - 1, target));
  showLabels(found, found[position]);
  find("labels").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

function showLabels(shown, current) {
  find("labels").replaceChildren(
    ...shown.map((name) => {
      const number = names.indexOf(name) + 1;
      const button = element(
        "button",
        { type: "button", "aria-current": name === current ? "true" : null },
        number <= MOST_KEYS ? element("kbd", {}, `${number}`) : null,
        element("bdi", {}, name),
      );
      button.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the filter and selection
      button.addEventListener("click", () => choose(name));
      return shade(button, hues.get(name), 0.6);
    }),
  );
}

function choose(name) {
  onLeave();
  onChoose(name);
}

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

function handleKey(event) {
  if (event.isComposing) return;
  if (event.key in STEPS) showMatches(position + STEPS[event.key]);
  else if (event.key === "Escape") onLeave();
  else if (event.key === "Enter" && matches().length) choose(matches()[position]);
  else if (event.key !== "Enter") return;
  event.preventDefault();
  event.stopPropagation();
}
