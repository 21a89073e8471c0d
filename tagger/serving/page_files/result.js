// The whole text: spans with scores above a threshold, the tags of other tasks, and the next best taggings.
import { announce, element, hueOf, longTag, percent, shade } from "./elements.js";

const STEPS = [...Array(20).keys()].map((step) => step / 20).concat(0.99);

/** Return the name that a page uses for a task. */
export const titleOf = ({ name }) => ({ ner: "Entities", pos: "Parts of speech", chunk: "Chunks" })[name] ?? name;

/** Return the tasks, those with spans first. */
export const spansFirst = (tasks) => [...tasks].sort((one, other) => Boolean(other.hues) - Boolean(one.hues));

/** Show the tagged sentences of every task; `thresholds` keeps the score threshold of each. */
export function showResult(node, sentences, tasks, thresholds) {
  node.replaceChildren(
    ...spansFirst(tasks).map((task) => {
      const panel = element("div", { class: "panel" }, element("h3", {}, titleOf(task)));
      const text = element("div", { class: "text" });
      if (task.hues) panel.append(makeSlider(task, thresholds, () => fill(text, sentences, task, thresholds)));
      panel.append(text);
      fill(text, sentences, task, thresholds);
      return panel;
    }),
  );
}

function makeSlider(task, thresholds, onChange) {
  const points = task.thresholds.length ? task.thresholds : STEPS.map((least) => ({ min_score: least }));
  const found = points.findIndex((point) => point.min_score === (thresholds.get(task.name) ?? 0));
  const slider = element("input", { type: "range", min: 0, max: points.length - 1, value: Math.max(0, found) });
  const number = element("output", {});
  const promise = element("p", { class: "promise" });
  const update = () => {
    const point = points[slider.value];
    thresholds.set(task.name, point.min_score);
    number.replaceChildren(percent(point.min_score));
    slider.setAttribute("aria-valuetext", `at least ${percent(point.min_score)}`);
    promise.replaceChildren(...promised(point));
  };
  slider.addEventListener("input", () => {
    update();
    onChange();
    announce(`Score at least ${number.textContent}. ${promise.textContent}`);
  });
  update();
  const label = element("label", { class: "slide" }, element("span", {}, "Score at least"), slider);
  return element("div", { class: "threshold" }, element("div", { class: "player" }, label, number), promise);
}

function promised({ precision, recall, found }) {
  if (precision === undefined) {
    return ["This model does not store which precision and recall to expect at each threshold."];
  }
  const value = (share) => element("b", {}, `${(100 * share).toFixed(1)}%`);
  const right = found ? [value(precision), " of the marked spans were right (precision), and "] : ["no span is marked, and "];
  return ["On dev, ", ...right, value(recall), " of all spans were found (recall)."];
}

function fill(node, sentences, task, thresholds) {
  const least = thresholds.get(task.name) ?? 0;
  node.replaceChildren(
    ...sentences.map((sentence, index) => {
      const content = task.hues ? markSpans(sentence, task, least) : markTags(sentence, task);
      const label = `${titleOf(task)}, sentence ${index + 1}`;
      const text = element("p", { class: "sentence", tabindex: 0, role: "group", "aria-label": label }, ...content);
      const best = element("div", { class: "best" });
      text.addEventListener("focus", () => {
        node.querySelectorAll(".best").forEach((other) => other.replaceChildren());
        best.replaceChildren(...listBest(sentence, task));
        announce(best.textContent);
      });
      return element("div", {}, text, best);
    }),
  );
}

function markSpans(sentence, task, least) {
  const characters = [...sentence.text]; // offsets count code points
  const slice = (start, end) => characters.slice(start - sentence.start, end - sentence.start).join("");
  const nodes = [];
  let position = sentence.start;
  for (const span of sentence.spans[task.name].filter((one) => one.score >= least)) {
    const mark = element(
      "mark",
      {},
      element("bdi", {}, slice(span.start, span.end)),
      " ",
      element("span", { class: "tag" }, element("b", {}, span.label), "\u00a0", element("span", { class: "score" }, percent(span.score))),
    );
    nodes.push(slice(position, span.start), shade(mark, task.hues[span.label], span.score));
    position = span.end;
  }
  return [...nodes, slice(position, sentence.start + characters.length)];
}

function markTags(sentence, task) {
  return sentence.tokens.flatMap(({ text }, index) => {
    const tag = sentence.tags[task.name][index];
    const score = sentence.scores[task.name][index];
    const label = element("span", { class: "tag" }, element("b", {}, tag), " ", element("span", { class: "score" }, percent(score)));
    return [
      element("span", { class: "word" }, element("span", { class: "form", dir: "auto" }, text), shade(label, hueOf(tag, task), score)),
      " ",
    ];
  });
}

/** List the most probable tag sequences of a sentence; each by its difference from the first. */
function listBest(sentence, task) {
  const [first, ...others] = sentence.n_best?.[task.name] ?? [];
  if (!first) return [];
  const items = others.map(({ tags, probability }) => {
    const differences = sentence.tokens.flatMap(({ text }, index) =>
      tags[index] === first.tags[index]
        ? []
        : [
            element(
              "span",
              {},
              element("bdi", {}, text),
              sentence.tokens.filter((other) => other.text === text).length > 1 ? ` (word ${index + 1}) ` : " ",
              element("b", {}, longTag(tags[index], task)),
            ),
          ],
    );
    return element("li", {}, element("span", { class: "score" }, percent(probability)), " ", ...withCommas(differences));
  });
  return [
    element(
      "ol",
      { class: "n-best" },
      element("li", {}, element("span", { class: "score" }, percent(first.probability)), " the tags above"),
      ...items,
    ),
  ];
}

const withCommas = (nodes) => nodes.flatMap((node, index) => (index ? [", ", node] : [node]));
