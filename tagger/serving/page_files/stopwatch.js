// The time that a sentence takes: hidden tabs and pauses without any action do not count.

const ACTIONS = ["keydown", "pointerdown", "pointermove", "wheel"];

let milliseconds = 0;
let last = 0; // time of the last action
let limit = 30_000;

/** Begin to watch actions; longer pauses do not count. */
export function connectStopwatch(pauseSeconds) {
  limit = 1000 * pauseSeconds;
  ACTIONS.forEach((name) => document.addEventListener(name, note, { passive: true, capture: true }));
  document.addEventListener("visibilitychange", () => (document.hidden ? note() : (last = performance.now())));
}

/** Count the time since the last action. */
function note() {
  const now = performance.now();
  if (now - last <= limit) milliseconds += now - last;
  last = now;
}

export function restart() {
  milliseconds = 0;
  last = performance.now();
}

/** Return the counted seconds. */
export function seconds() {
  note();
  return Math.round(milliseconds) / 1000;
}

/** Return the seconds since the last action. */
export const idleSeconds = () => (performance.now() - last) / 1000;
