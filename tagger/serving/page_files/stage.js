// The text word by word: what the tagger says when only the words so far are known.
import { announce, element, find, longTag, percent, shortTag } from "./elements.js";
import { changesOf, tagAfter, tagLines } from "./next_words.js";

const PLAY_MILLISECONDS = 900;

let sentences = [];
let task = null;
let steps = []; // for each word of the text: its sentence, the number of words so far, and what it changes
let position = 0; // words read
let timer = 0;

/** Show another text or task. Begins at the first word that changes a tag, or else at the end of the text. */
export function showStage(newSentences, newTask) {
  pause();
  sentences = newSentences;
  task = newTask;
  steps = sentences.flatMap((sentence, index) =>
    changesOf(sentence, task.name).map((changes, last) => ({ index, words: last + 1, changes })),
  );
  const first = steps.findIndex((step) => step.changes.length);
  find("step").max = steps.length;
  listChanges();
  goTo(first < 0 ? steps.length : first + 1, false);
}

function goTo(target, isSpoken = true) {
  position = Math.max(0, Math.min(steps.length, target));
  const step = steps[position - 1];
  find("step").value = position;
  find("count").replaceChildren(`${position} of ${steps.length}`);
  find("words").replaceChildren(...sentences.map((sentence, index) => showSentence(sentence, index, step)));
  const said = describe(step);
  find("event").replaceChildren(said);
  find("step").setAttribute("aria-valuetext", `${position} of ${steps.length} words`);
  for (const button of find("changes").querySelectorAll("button")) {
    if (Number(button.dataset.step) === position) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
  }
  if (isSpoken) announce(said);
}

function showSentence(sentence, index, step) {
  const known = !step || index > step.index ? 0 : index < step.index ? sentence.tokens.length : step.words;
  const before = new Map(
    step && index === step.index ? step.changes.map((change) => [change.word, change.before]) : [],
  );
  return element(
    "p",
    { class: "sentence" },
    ...sentence.tokens.flatMap(({ text }, word) => [
      showWord(sentence, text, word, known, before.get(word)),
      " ", // a place to break the line, and a space in copied text
    ]),
  );
}

function showWord(sentence, text, word, known, before) {
  const node = element("span", { class: "word" }, element("span", { class: "form", dir: "auto" }, text));
  reserve(node, sentence, word);
  if (word >= known) {
    node.classList.add("unread");
    return node;
  }
  const { tag, score } = tagAfter(sentence, task.name, word, known);
  node.append(...tagLines(tag, score, before, task));
  if (before) node.classList.add("changed");
  if (word === known - 1) node.classList.add("latest");
  return node;
}

/** Reserve the room that all tags of a word need, so that the text stays in its place. */
function reserve(node, sentence, word) {
  const tags = sentence.prefixes.slice(word).map((prefix) => shortTag(prefix.tags[task.name][word], task));
  const isChanging = new Set(tags).size > 1;
  const longest = Math.max(...tags.map((tag) => tag.length));
  node.style.setProperty("--room", `${longest + (isChanging ? 9 : 5)}ch`);
  if (isChanging) node.classList.add("changing");
}

function describe(step) {
  if (!step) return "Nothing is read yet. Press an arrow key, or Play.";
  const { tokens } = sentences[step.index];
  const word = `“${tokens[step.words - 1].text}”`;
  if (!step.changes.length) {
    const { tag, score } = tagAfter(sentences[step.index], task.name, step.words - 1, step.words);
    return `${word} is read as ${longTag(tag, task)} (${percent(score)}) and changes no other tag.`;
  }
  const changes = step.changes.map((change) => `“${tokens[change.word].text}” ${sayChange(change)}`);
  return `${word} arrives: ${changes.join("; ")}.`;
}

function sayChange({ before, after }) {
  const [old, now] = [before, after].map(({ tag, score }) => `${longTag(tag, task)} (${percent(score)})`);
  return `changes from ${old} to ${now}`;
}

/** List all changes as buttons that go to them. */
function listChanges() {
  const buttons = steps.flatMap((step, index) =>
    step.changes.map(({ word, before, after }) => {
      const { tokens } = sentences[step.index];
      const button = element(
        "button",
        { type: "button", "data-step": index + 1 },
        element("b", { dir: "auto" }, tokens[word].text),
        ` ${shortTag(before.tag, task)} ${percent(before.score)} → ${shortTag(after.tag, task)} ${percent(after.score)}`,
        element("span", { class: "quiet" }, " at ", element("bdi", {}, tokens[step.words - 1].text)),
      );
      button.addEventListener("click", () => {
        pause();
        goTo(index + 1);
      });
      return element("li", {}, button);
    }),
  );
  const count = buttons.length === 1 ? "One tag changes" : `${buttons.length} tags change`;
  const title = steps.length ? (buttons.length ? `${count} later:` : "No tag of this text changes later.") : "";
  find("changes").replaceChildren(element("p", {}, title), element("ul", { class: "chips" }, ...buttons));
}

export function pause() {
  clearInterval(timer);
  timer = 0;
  find("play").replaceChildren("Play");
}

function play() {
  if (position === steps.length) goTo(0);
  find("play").replaceChildren("Pause");
  timer = setInterval(() => {
    goTo(position + 1);
    if (position === steps.length) pause();
  }, PLAY_MILLISECONDS);
}

const KEYS = {
  ArrowLeft: () => position - 1,
  ArrowRight: () => position + 1,
  Home: () => 0,
  End: () => steps.length,
};

/** Connect the buttons, the slider and the arrow keys. */
export function connectStage() {
  const move = (target) => {
    pause();
    goTo(target);
  };
  find("back").addEventListener("click", () => move(position - 1));
  find("forward").addEventListener("click", () => move(position + 1));
  find("play").addEventListener("click", () => (timer ? pause() : play()));
  find("step").addEventListener("input", (event) => move(Number(event.target.value)));
  document.addEventListener("keydown", (event) => {
    const isFree = event.target === document.body || find("stage").contains(event.target);
    const isOwn = event.target === find("step"); // a slider handles its own keys
    const isModified = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
    if (!(event.key in KEYS) || !isFree || isOwn || isModified || find("stage").hidden) return;
    event.preventDefault();
    move(KEYS[event.key]());
  });
}
