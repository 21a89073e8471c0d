// The page for annotation: asks for sentences, handles keys, and sends decisions.
import { showProgress } from "./annotation_progress.js";
import { connectTraining, toggleTraining } from "./annotation_training.js";
import { announce, element, find, percent } from "./elements.js";
import { connectLabels, hasFilter, hueMap, labelOfKey, openFilter } from "./label_list.js";
import { showPassage, showSelection, touchedTokens } from "./passage.js";
import { get, post } from "./requests.js";
import { clear, label, makeWork, moveTo, moveToSpan, place, selected, spanAt, toggleUnknown, words, workBody } from "./spans.js";
import { connectStopwatch, idleSeconds, restart, seconds } from "./stopwatch.js";

const NAME = "tagger.annotator";
const PREPARING_MILLISECONDS = 1000;
const LEASED_MILLISECONDS = 5000;
const STATES = {
  preparing: "The next sentences are being chosen …",
  leased: "Others annotate all sentences that are left. The page looks again every few seconds.",
  done: "Nothing is left to annotate.",
  "audit preparing": "The annotations are being checked …",
  "audit done": "No other annotation looks wrong to the model.",
  "no model": "The project has no model, so that no annotation can be checked.",
};
const HELP = [
  ["← →", "Select the next token in this direction; Home and End for the first and last"],
  ["Shift ← →", "Extend the selection"],
  ["↑ ↓", "Select the previous or next span"],
  ["1 … 9", "Label the selection, or the span of the selected token"],
  ["/", "Find a label by its name (projects with more than nine)"],
  ["0", "Leave the selected tokens unknown: training does not learn from them"],
  ["Delete", "Remove the spans of the selection"],
  ["Enter", "Accept and go to the next sentence"],
  ["S", "Skip the sentence; while checking, leave it unchanged"],
  ["U", "Undo the last decision"],
  ["A", "Check annotations that are probably wrong; again to stop"],
  ["P", "While checking, take the model's proposal"],
  ["T", "Train the next version of the model, resume a training, or stop it"],
  ["?", "Show or close this help"],
];

let project = null;
let current = null; // the leased sentence: key, work, suspicions
let isBusy = false;
let isAudit = false;
let timer = 0;
let isDragged = false; // the selection by mouse, before the click that ends it
let model = null; // version that proposed the last sentence

const token = () => find("token").value;
const annotator = () => find("annotator").value.trim();
const send = (name, body) => post(`annotation/${name}`, body, token());

/** Run an action unless another one runs; report its error. */
async function run(action) {
  if (isBusy) return;
  isBusy = true;
  find("main").setAttribute("aria-busy", "true");
  clearTimeout(timer);
  try {
    await action();
    find("problem").replaceChildren();
  } catch (error) {
    report(error);
  } finally {
    isBusy = false;
    find("main").removeAttribute("aria-busy");
  }
}

function report(error) {
  find("problem").replaceChildren(error.message);
  if (error.status === 401) {
    find("access").hidden = false;
    find("token").focus();
  }
}

async function start() {
  project = await get("annotation/project", token());
  find("who").hidden = find("access").hidden = true;
  find("title").replaceChildren(project.name);
  find("facts").replaceChildren(`annotates ${project.task} as `, element("bdi", {}, annotator()));
  connectLabels(project.labels, labelSelection, () => find("text").focus());
  connectStopwatch(project.pause_seconds);
  connectTraining({ token, onEnd: refresh, report });
  setInterval(renew, (1000 * project.lease_seconds) / 3);
  await next();
}

async function next() {
  await show(await send("next", { annotator: annotator(), audit: isAudit }));
  refresh();
}

/** Show the progress. It only informs: an error in it must not keep anybody from working. */
function refresh() {
  get("annotation/progress", token()).then((progress) => showProgress(progress, useModel), report);
}

async function show(answer) {
  find("work").hidden = !answer.lease;
  find("rest").hidden = Boolean(answer.lease);
  if (!answer.lease) {
    current = null;
    showState(answer.state);
    return;
  }
  find("state").replaceChildren();
  current = { key: answer.lease.key, work: makeWork(answer, project), suspicions: answer.suspicions ?? [] };
  say(model !== null && model !== answer.model ? `Version ${answer.model} of the model proposes spans now.` : "");
  model = answer.model;
  showSuspicions();
  showWork();
  find("text").scrollTop = 0;
  find("text").focus({ preventScroll: true });
  announce(describeSentence());
  restart();
}

function showState(state) {
  const isWaiting = state === "preparing" || state === "leased";
  find("state").replaceChildren((isAudit && STATES[`audit ${state}`]) || STATES[state] || "");
  if (isWaiting) timer = setTimeout(() => run(next), state === "leased" ? LEASED_MILLISECONDS : PREPARING_MILLISECONDS);
  find("again").focus();
}

function showWork() {
  showPassage(find("text"), current.work, hueMap());
}

function say(text) {
  find("notice").replaceChildren(text);
}

function describeSentence() {
  const spans = current.work.spans.map(({ start, end, label: name }) => `${words(current.work, start, end)}: ${name}`);
  return `${words(current.work, 0, current.work.tokens.length)}. ${spans.join("; ") || "No spans."}`;
}

// Checking annotations

function showSuspicions() {
  const { suspicions } = current;
  find("suspicions").hidden = !suspicions.length;
  find("audit").setAttribute("aria-pressed", String(isAudit));
  find("audit-rest").setAttribute("aria-pressed", String(isAudit));
  if (!suspicions.length) return;
  const items = suspicions.map(({ gold, proposal, gold_probability: own, proposal_probability: other, words: text }) =>
    element(
      "li",
      {},
      element("bdi", {}, text.join(" ")),
      `: annotated as ${gold?.label ?? "no span"} (${percent(own)}), the model prefers ${proposal?.label ?? "no span"} (${percent(other)})`,
    ),
  );
  find("suspicions").replaceChildren(
    element("p", {}, "This annotation is probably wrong. ", element("kbd", {}, "P"), " takes what the model prefers."),
    element("ul", {}, ...items),
  );
  const { gold, proposal } = suspicions[0];
  moveTo(current.work, Math.min(gold?.start ?? Infinity, proposal?.start ?? Infinity));
}

function takeProposals() {
  const { work, suspicions } = current;
  for (const { gold, proposal } of suspicions) {
    for (const span of [gold, proposal].filter(Boolean)) {
      [work.anchor, work.cursor] = [span.start, span.end - 1];
      clear(work);
    }
    if (proposal) place(work, proposal.start, proposal.end, proposal.label);
  }
  showWork();
}

function toggleAudit() {
  return run(async () => {
    const key = current?.key;
    isAudit = !isAudit;
    if (key) await send("release", { key });
    await next();
  });
}

// Decisions

function decide(work) {
  return run(async () => {
    if (!current) return next();
    if (isAudit && work === null) await send("release", { key: current.key });
    else await store(work);
    return next();
  });
}

async function store(work) {
  try {
    await send("decide", { key: current.key, work, seconds: seconds() });
  } catch (error) {
    if (error.code !== "run.exists") throw error; // somebody else has taken the sentence
    find("problem").replaceChildren(error.message);
  }
}

const accept = () => decide(current && workBody(current.work));
const skip = () => decide(null);

function undo() {
  return run(async () => {
    const answer = await send("undo", { annotator: annotator(), key: current?.key ?? null });
    if (!answer.lease) {
      say("There is nothing to undo.");
      return;
    }
    isAudit = false;
    await show(answer);
    say("Undone: change it, and accept or skip it again.");
  });
}

async function renew() {
  const key = current?.key;
  if (!key || isBusy || idleSeconds() > project.lease_seconds) return;
  const { renewed } = await send("renew", { key }).catch(() => ({ renewed: true })); // the next renewal may succeed
  if (renewed || current?.key !== key) return;
  await run(next);
  say("The last sentence was left too long, and somebody else has taken it.");
}

function useModel(version) {
  return run(async () => {
    showProgress(await send("model", { version }), useModel);
    say(`Version ${version} of the model proposes spans from the next sentence on.`);
    find("text").focus();
  });
}

// Editing

function labelSelection(name) {
  if (current && !isBusy) edit(() => label(current.work, name));
}

function edit(change) {
  const { work } = current;
  const removed = change();
  const also = removed.map((span) => `${span.label} “${words(work, span.start, span.end)}”`);
  say(also.length ? `Removed, because it overlapped: ${also.join(", ")}.` : "");
  showWork();
  announceSelection();
}

function announceSelection() {
  const { work } = current;
  const [start, end] = selected(work);
  const span = spanAt(work, start);
  const state = span ? `${span.label} ${words(work, span.start, span.end)}` : work.unknown.has(start) ? "unknown" : "no span";
  announce(`${words(work, start, end)}: ${state}`);
}

function move(change) {
  change(current.work);
  say("");
  showSelection(find("text"), current.work);
  announceSelection();
}

const forward = () => (getComputedStyle(find("text")).direction === "rtl" ? -1 : 1);
const step = (by, extend) => move((work) => moveTo(work, work.cursor + by * forward(), extend));
const remove = () => edit(() => (clear(current.work), []));

const EDITS = {
  ArrowLeft: ({ shiftKey }) => step(-1, shiftKey),
  ArrowRight: ({ shiftKey }) => step(1, shiftKey),
  ArrowUp: () => move((work) => moveToSpan(work, -1)),
  ArrowDown: () => move((work) => moveToSpan(work, 1)),
  Home: ({ shiftKey }) => move((work) => moveTo(work, 0, shiftKey)),
  End: ({ shiftKey }) => move((work) => moveTo(work, work.tokens.length, shiftKey)),
  Escape: () => move((work) => moveTo(work, work.cursor)),
  0: () => edit(() => toggleUnknown(current.work)),
  "/": () => hasFilter() && openFilter(),
  Delete: remove,
  Backspace: remove,
  p: () => current.suspicions.length && takeProposals(),
};
const COMMANDS = { Enter: accept, s: skip, u: undo, a: toggleAudit, t: toggleTraining, "?": () => find("help").showModal() };

/** Return the name of a key; on a keyboard of another script, that of the Latin letter in its place. */
function nameOf({ key, code, shiftKey }) {
  if (key.length > 1) return key;
  if (key <= "~") return key.toLowerCase();
  if (code === "Slash") return shiftKey ? "?" : "/";
  return code.replace("Key", "").toLowerCase();
}

function handleKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !project) return;
  const name = nameOf(event);
  if (find("help").open) {
    if (name === "?") find("help").close();
    return;
  }
  if (target.matches("input, select, textarea") || (target.matches("button, a") && (key === "Enter" || key === " "))) return;
  const isEdit = name in EDITS || labelOfKey(name) !== undefined;
  if (!isEdit && !(name in COMMANDS)) return;
  event.preventDefault();
  if ((isBusy && name !== "t") || (event.repeat && !name.startsWith("Arrow"))) return;
  if (name in COMMANDS) COMMANDS[name]();
  else if (current && name in EDITS) EDITS[name](event);
  else if (current) labelSelection(labelOfKey(name));
}

function selectByMouse() {
  isDragged = false;
  const selection = document.getSelection();
  if (!current || isBusy || !selection.rangeCount || !find("text").contains(selection.anchorNode)) return;
  const range = selection.getRangeAt(0);
  if (range.collapsed) return;
  const touched = touchedTokens(find("text"), range);
  selection.removeAllRanges();
  if (!touched) return;
  isDragged = true;
  move((work) => {
    [work.anchor, work.cursor] = [touched.first, touched.last];
  });
  const text = words(current.work, touched.first, touched.last + 1);
  if (touched.isExtended) say(`A span has whole tokens: the selection was extended to “${text}”.`);
}

function selectByClick(event) {
  const target = event.target.closest(".token") ?? event.target.closest("mark")?.querySelector(".token");
  if (!current || isBusy || !target || isDragged) return;
  move((work) => moveTo(work, Number(target.dataset.index), event.shiftKey));
}

function leave() {
  if (!current) return;
  const headers = { "Content-Type": "application/json" };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  fetch("annotation/release", { method: "POST", keepalive: true, headers, body: JSON.stringify({ key: current.key }) });
  current = null;
}

function connect() {
  const begin = (event) => {
    event.preventDefault();
    if (!annotator()) return;
    try {
      localStorage.setItem(NAME, annotator());
    } catch {
      // Without storage, the name is asked for again.
    }
    run(project ? next : start);
  };
  find("who").addEventListener("submit", begin);
  find("access").addEventListener("submit", begin);
  find("keys").replaceChildren(
    ...HELP.flatMap(([keys, text]) => [element("dt", {}, element("kbd", {}, keys)), element("dd", {}, text)]),
  );
  const buttons = { accept, skip, undo, audit: toggleAudit, unknown: EDITS[0], remove };
  for (const [id, action] of Object.entries(buttons)) {
    find(id).addEventListener("click", () => {
      find("text").focus();
      if (current && !isBusy) action();
    });
  }
  find("again").addEventListener("click", () => run(next));
  find("undo-rest").addEventListener("click", undo);
  find("audit-rest").addEventListener("click", toggleAudit);
  find("help-button").addEventListener("click", COMMANDS["?"]);
  find("help").addEventListener("close", () => find("text").focus());
  document.addEventListener("mouseup", selectByMouse); // a selection may end outside the text
  find("text").addEventListener("click", selectByClick);
  document.addEventListener("keydown", handleKey);
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", (event) => event.persisted && run(next));
  try {
    find("annotator").value = localStorage.getItem(NAME) ?? "";
  } catch {
    // see above
  }
  find("annotator").focus();
}

connect();
