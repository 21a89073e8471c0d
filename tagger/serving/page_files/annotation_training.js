// Trainings of the model on the server: their state, and the buttons that start and stop them.
import { find } from "./elements.js";
import { get, post } from "./requests.js";

const POLL_MILLISECONDS = 1000;
const RETRY_MILLISECONDS = 5000; // after a request that failed
const UNUSABLE = ["run.mismatch", "run.damaged"]; // codes of an unfinished training that cannot be resumed

let training = null; // the state that the server has told; null if it does not train
let isAsking = false; // a request to start or stop has no answer yet
let timer = 0; // of the next request for the state; 0 if no training runs
let options = null;

/**
 * Connect the buttons.
 * `given`: `token` returns the access token, `onEnd` is called when no training runs any more, `report` receives errors.
 */
export function connectTraining(given) {
  options = given;
  find("train").addEventListener("click", toggleTraining);
  find("retrain").addEventListener("click", () => ask("start", { restart: true }));
  find("train-actions").addEventListener("click", () => find("text").focus()); // Enter must accept again
}

/** Start, resume or stop a training. */
export function toggleTraining() {
  if (!training || find("train").hidden) return;
  if (training.is_running) ask("stop", {});
  else ask("start", {});
}

/** Show the state of the training, unless another request will tell a later one. */
export function showTraining(state) {
  if (!isAsking && !timer) show(state);
}

/** Show a state, and keep it up to date while the training runs. */
function show(state) {
  clearTimeout(timer);
  timer = 0;
  training = state;
  find("train-actions").hidden = !training;
  if (!training) return;
  const { is_running: isRunning, is_unfinished: isUnfinished, code } = training;
  say(describe(training));
  find("train-name").replaceChildren(isRunning ? "Stop training" : isUnfinished ? "Resume training" : "Train the model");
  find("train").hidden = UNUSABLE.includes(code);
  find("retrain").hidden = isRunning || !isUnfinished;
  if (isRunning) timer = setTimeout(poll, POLL_MILLISECONDS);
}

async function poll() {
  // After an error, the next action reports what is wrong.
  const state = await get("annotation/training", options.token()).catch(() => null);
  if (isAsking) return; // its answer is newer
  if (state) show(state);
  else timer = setTimeout(poll, RETRY_MILLISECONDS);
  if (state && !state.is_running) options.onEnd();
}

async function ask(action, body) {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  say(action === "stop" ? "Training stops after the current step …" : "Training starts …");
  let state = training;
  try {
    state = await post(`annotation/training/${action}`, body, options.token());
    find("problem").replaceChildren();
  } catch (error) {
    options.report(error);
  }
  isAsking = false;
  show(state);
  if (!state.is_running) options.onEnd();
}

/** Change the text only if it differs: screen readers read each change. */
function say(text) {
  if (find("training").textContent !== text) find("training").replaceChildren(text);
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;

function describe({ state, epoch, epochs, problem, code, result, is_unfinished: isUnfinished }) {
  if (state === "starting") return "Training starts …";
  if (state === "training") return `Training: epoch ${Math.min(epoch + 1, epochs)} of ${epochs}.`;
  if (state === "comparing") return "The new version is compared with the active one …";
  if (state === "finished") return sentence(result);
  if (state === "stopped") return `Training was stopped${epochs ? ` after ${epoch} of ${epochs} epochs` : ""}.`;
  if (UNUSABLE.includes(code)) return "An interrupted training has other options or is damaged, so that it cannot be resumed.";
  if (state === "failed") return sentence(`training failed: ${problem}`);
  return isUnfinished ? "A training was interrupted. It resumes with the annotations that it began with." : "";
}
