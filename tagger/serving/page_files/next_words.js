// What the tagger says with k next words known, from the tags of every prefix of a sentence.
import { element, hueOf, longTag, percent, shade, shortTag, unseen } from "./elements.js";

export const KNOWN = [0, 1, 2, 4, Infinity];

/** Return the tag of a word, and its probability, after a number of words. */
export function tagAfter(sentence, task, word, words) {
  const prefix = sentence.prefixes[Math.min(words, sentence.tokens.length) - 1];
  return { tag: prefix.tags[task][word], score: prefix.scores[task][word] };
}

/** Return a row of tags for each number of known next words; `before` is the tag in the row above if it differs. */
export function rowsOf(sentence, task) {
  let above = null;
  return KNOWN.map((known) => {
    const row = sentence.tokens.map((_, word) => tagAfter(sentence, task, word, word + 1 + known));
    row.forEach((cell, word) => {
      cell.before = above && above[word].tag !== cell.tag ? above[word] : null;
    });
    above = row;
    return row;
  });
}

/** Return the tags that each newly read word changes: one list for each prefix. */
export function changesOf(sentence, task) {
  return sentence.tokens.map((_, last) => {
    const changes = [];
    for (let word = 0; word < last; word++) {
      const [before, after] = [tagAfter(sentence, task, word, last), tagAfter(sentence, task, word, last + 1)];
      if (before.tag !== after.tag) changes.push({ word, before, after });
    }
    return changes;
  });
}

/** Fill a node with the tables of all sentences; long sentences continue in further tables. */
export function showTables(node, sentences, task) {
  node.replaceChildren();
  sentences.forEach((sentence, number) => {
    const holder = element("div", { class: "tables" });
    node.append(holder);
    const rows = rowsOf(sentence, task.name);
    const whole = makeTable(sentence, rows, task, number, 0, sentence.tokens.length);
    holder.append(whole);
    const blocks = balance(whole, holder.clientWidth);
    if (blocks.length > 1) {
      const tables = blocks.map(([start, end]) => makeTable(sentence, rows, task, number, start, end));
      holder.replaceChildren(...tables);
    }
  });
}

/** Return the ranges of columns of as few tables as fit, about equally wide. */
function balance(table, available) {
  const [first, ...widths] = [...table.tHead.rows[0].cells].map((cell) => cell.getBoundingClientRect().width);
  const fewest = splitColumns(first, widths, available);
  const share = widths.reduce((sum, width) => sum + width, 0) / fewest.length;
  for (const slack of [1, 1.1, 1.2, 1.35]) {
    const blocks = splitColumns(first, widths, Math.min(available, first + share * slack));
    if (blocks.length === fewest.length) return blocks;
  }
  return fewest;
}

/** Return the ranges of columns that fit next to each other. */
function splitColumns(first, widths, available) {
  const blocks = [[0, 0]];
  let used = first;
  widths.forEach((width, column) => {
    if (used + width > available && used > first) {
      blocks.push([column, column]);
      used = first;
    }
    used += width;
    blocks.at(-1)[1] = column + 1;
  });
  return blocks;
}

function makeTable(sentence, rows, task, number, start, end) {
  const words = sentence.tokens.slice(start, end);
  const range = words.length < sentence.tokens.length ? `, words ${start + 1} to ${end}` : "";
  const heads = words.map(({ text }) =>
    element("th", { scope: "col" }, element("span", { class: "form", dir: "auto" }, text)),
  );
  return element(
    "table",
    { class: "ahead" },
    element("caption", { class: "unseen" }, `Sentence ${number + 1}${range}: tags by next words known`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col", class: "corner" }, "next words"), ...heads)),
    element(
      "tbody",
      {},
      ...rows.map((row, index) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, KNOWN[index] === Infinity ? "all" : String(KNOWN[index])),
          ...row.slice(start, end).map((cell) => makeCell(cell, task)),
        ),
      ),
    ),
  );
}

function makeCell({ tag, score, before }, task) {
  const kind = before ? "cell changed" : "cell";
  return element("td", {}, element("div", { class: kind }, ...tagLines(tag, score, before, task)));
}

/** Return the lines that say a tag, how sure the model is, and what it was before. */
export function tagLines(tag, score, before, task) {
  const lines = element(
    "span",
    { class: "tag" },
    element("b", { "aria-hidden": "true" }, shortTag(tag, task)),
    unseen(longTag(tag, task)),
    " ",
    element("span", { class: "score" }, percent(score)),
  );
  const hue = hueOf(tag, task);
  if (tag === "O" && task.hues) lines.classList.add("none");
  else shade(lines, hue, score);
  if (!before) return [lines];
  const was = element(
    "span",
    { class: "was" },
    "was ",
    element("span", { "aria-hidden": "true" }, shortTag(before.tag, task)),
    unseen(longTag(before.tag, task)),
    ` ${percent(before.score)}`,
  );
  return [lines, was];
}
