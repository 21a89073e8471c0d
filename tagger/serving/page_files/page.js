// Reads the text, asks the server, and shows the answers.
import { copy, fromFragment, toConll, toFragment, toJsonLines, withThresholds } from "./copying.js";
import { announce, element, find } from "./elements.js";
import { showTables } from "./next_words.js";
import { ask, get } from "./requests.js";
import { showResult, spansFirst, titleOf } from "./result.js";
import { connectStage, pause, showStage } from "./stage.js";

const EXAMPLES = {
  "Two Jordans": "Jordan scored twice for Chicago before Jordan and Israel signed the treaty.",
  "Garden path": "Time flies like an arrow. The old man the boat. The complex houses married soldiers.",
  "Names of names": "Chelsea Clinton watched Chelsea play. Georgia Brown met Jordan in Jordan.",
};
const READS = {
  forward: "was trained to read from left to right only",
  backward: "was trained to read from right to left only",
  bidirectional: "was trained to read both ways",
};
const TYPING_MILLISECONDS = 250;
const N_BEST = 5;

let served = { models: [], compare: null };
let answers = {}; // the latest answers: next, tagged, compared
let timer = 0;
const thresholds = new Map();

const token = () => find("token").value;
const model = () => served.models.find((one) => one.name === find("model").value) ?? served.models[0];
const taskName = () => document.querySelector("input[name=task]:checked")?.value;

async function start() {
  try {
    served = await get("page/models", token());
  } catch (error) {
    report([error]);
    return;
  }
  find("model").replaceChildren(...served.models.map(({ name }) => element("option", { value: name }, name)));
  find("models").hidden = served.models.length < 2;
  showTasks();
  await load();
}

/** Offer the tasks of the selected model, those with spans first. */
function showTasks() {
  const selected = taskName();
  const tasks = spansFirst(model().tasks);
  const radios = tasks.map((task, index) => {
    const checked = tasks.some(({ name }) => name === selected) ? task.name === selected : index === 0;
    const radio = element("input", { type: "radio", name: "task", value: task.name, checked });
    return element("label", {}, radio, ` ${titleOf(task)}`);
  });
  find("tasks").replaceChildren(element("legend", {}, "Show"), ...radios);
  find("tasks").hidden = tasks.length < 2;
  find("facts").replaceChildren(`model ${model().name}, ${model().direction}`);
}

async function load() {
  const text = find("text").value;
  find("link").setAttribute("href", toFragment(text));
  find("main").setAttribute("aria-busy", "true");
  const name = model().name;
  const requests = [
    { path: "next-words", body: { text, model: name } },
    { path: "tag", body: { text, model: name, scores: true, n_best: N_BEST } },
  ];
  if (served.compare) requests.push({ path: "next-words", body: { text, model: served.compare.name } });
  const received = await ask(requests, token());
  if (!received) return;
  find("main").removeAttribute("aria-busy");
  const [next, tagged, compared] = received;
  answers = { next: next.value, tagged: tagged.value, compared: compared?.value };
  report(received.map(({ error }) => error).filter(Boolean));
  show();
}

function report(errors) {
  const sentences = [...new Set(errors.map((error) => error.message))];
  find("problem").replaceChildren(sentences.join(" "));
  if (errors.some((error) => error.status === 401)) find("access").hidden = false;
}

function show() {
  const { next, tagged } = answers;
  const task = model().tasks.find(({ name }) => name === taskName());
  find("stage").hidden = find("ahead").hidden = !next?.sentences.length;
  find("result").hidden = !tagged?.sentences.length;
  pause();
  if (next) showStage(next.sentences, task);
  showAhead();
  if (tagged) showResult(find("panels"), tagged.sentences, model().tasks, thresholds);
  find("copied").replaceChildren();
}

function showAhead() {
  const { next, compared } = answers;
  if (!next?.sentences.length) return;
  const task = model().tasks.find(({ name }) => name === taskName());
  showTables(find("tables"), next.sentences, task);
  find("compared").replaceChildren();
  if (!compared?.sentences.length) return;
  const { name, direction, tasks } = served.compare;
  const other = tasks.find((one) => one.name === task.name);
  const tables = element("div", {});
  const lead = other
    ? `The same text for the model ${name}, which ${READS[direction]}.`
    : `The model ${name} has no task ${task.name}.`;
  find("compared").append(element("h3", {}, `Compared with ${name}`), element("p", { class: "quiet" }, lead), tables);
  if (other) showTables(tables, compared.sentences, other);
}

async function copyResult(convert, name) {
  const sentences = answers.tagged?.sentences ?? [];
  let said = `Copied as ${name}.`;
  try {
    await copy(convert(withThresholds(sentences, thresholds)));
  } catch (error) {
    said = `${name} could not be copied: ${error.message}.`;
  }
  find("copied").replaceChildren(said);
  announce(said);
}

function setText(text) {
  find("text").value = text;
  return load();
}

function connect() {
  const reload = () => {
    clearTimeout(timer);
    timer = setTimeout(served.models.length ? load : start, TYPING_MILLISECONDS);
  };
  find("text").addEventListener("input", reload);
  find("token").addEventListener("input", reload);
  find("access").addEventListener("submit", (event) => event.preventDefault());
  find("model").addEventListener("change", () => {
    showTasks();
    load();
  });
  find("tasks").addEventListener("change", show);
  find("copy-json").addEventListener("click", () => copyResult(toJsonLines, "JSON"));
  find("copy-conll").addEventListener("click", () => copyResult(toConll, "CoNLL"));
  for (const [name, text] of Object.entries(EXAMPLES)) {
    const button = element("button", { type: "button" }, name);
    button.addEventListener("click", () => setText(text));
    find("examples").append(button);
  }
  addEventListener("hashchange", () => {
    const text = fromFragment(location.hash);
    if (text !== null && text !== find("text").value) setText(text);
  });
  // The title changes its size with the window and with the size of text, but not with the tables.
  new ResizeObserver(showAhead).observe(find("ahead-title"));
  connectStage();
}

find("text").value = fromFragment(location.hash) ?? Object.values(EXAMPLES)[0];
connect();
start();
