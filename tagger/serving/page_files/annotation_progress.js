// The progress of a project: work done, time left, and the versions of its model.
import { showTraining } from "./annotation_training.js";
import { element, find } from "./elements.js";

const UNITS = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
];

let shownModels = "";

const counted = (count, name) => `${count.toLocaleString("en")} ${name}${count === 1 ? "" : "s"}`;

function duration(seconds) {
  for (const [size, name] of UNITS) {
    if (seconds >= size) return `about ${counted(Math.round(seconds / size), name)}`;
  }
  return "less than a minute";
}

/** Show the progress; `useModel` receives the version that shall propose spans. */
export function showProgress(progress, useModel) {
  const { accepted, skipped, sentences, seconds, tokens, seconds_left: left, annotators, models, training } = progress;
  const done = accepted + skipped;
  find("progress").hidden = false;
  find("share").max = Math.max(1, sentences);
  find("share").value = done;
  const each = done && seconds ? `, ${(seconds / done).toFixed(1)} s each` : "";
  const rest = done < sentences ? ` The rest of the pool takes ${duration(left)}.` : "";
  const counts = `${counted(accepted, "sentence")} (${counted(tokens, "token")}) accepted, ${skipped} skipped, of ${sentences.toLocaleString("en")}${each}.`;
  find("counts").replaceChildren(counts + rest);
  const people = annotators.map(({ name, accepted: own }) => [element("bdi", {}, name), ` ${own}`]);
  find("people").replaceChildren(
    ...(people.length > 1 ? people.flatMap((one, index) => (index ? [", ", ...one] : one)) : []),
  );
  showTraining(training);
  showModels(models, training, useModel);
}

/** Return the F1 of scores on the random share; null if it has no sentences. */
const score = (scores) => (typeof scores?.f1 === "number" && scores.low !== null ? scores.f1 : null);

function describeGain({ version, scores }) {
  const [own, before] = [score(scores), score(scores?.before)];
  if (own === null) return "";
  const earlier = before === null ? "" : `; version ${scores.before.version} has ${percentOf(before)}`;
  return `On the random share, version ${version} has an F1 of ${percentOf(own)}${earlier}.`;
}

/** Return the name of a model; those that were trained for the project have none. */
const nameOf = ({ name, scores }) => (scores.trained_on ? [] : [", ", element("bdi", {}, name)]);

function showModels(models, training, useModel) {
  const content = JSON.stringify([models, training?.state]);
  if (content === shownModels) return; // keep the focus on a button
  shownModels = content;
  const active = models.find((model) => model.is_active);
  const rows = models.map((model) => {
    const use = element("button", { type: "button" }, "Use");
    use.addEventListener("click", () => useModel(model.version));
    const date = new Date(1000 * model.created).toISOString().slice(0, 16).replace("T", " ");
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, `Version ${model.version}`, ...nameOf(model)),
      element("td", {}, score(model.scores) === null ? "not measured" : `F1 ${percentOf(score(model.scores))}`),
      element("td", {}, `${date} UTC`),
      element("td", {}, model.is_active ? "proposes spans" : use),
    );
  });
  const table = models.length > 1 ? element("table", {}, element("tbody", {}, ...rows)) : null;
  find("models").replaceChildren(element("p", {}, active && training?.state !== "finished" ? describeGain(active) : ""), ...(table ? [table] : []));
}

const percentOf = (f1) => `${(100 * f1).toFixed(1)}%`;
