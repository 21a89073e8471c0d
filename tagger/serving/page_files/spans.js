// The annotation of one sentence: spans of whole tokens, and unknown tokens. No DOM.

/** Make an annotation from the server's answer; its selection is the first token. */
export function makeWork({ tokens, after, spans, unknown }, task) {
  return { tokens, after, spans: [...spans], unknown: new Set(unknown), hasSpans: task.has_spans, anchor: 0, cursor: 0 };
}

/** Return the selected range of tokens, half-open. */
export const selected = ({ anchor, cursor }) => [Math.min(anchor, cursor), Math.max(anchor, cursor) + 1];

export const spanAt = ({ spans }, index) => spans.find(({ start, end }) => start <= index && index < end);

const overlaps = (start, end) => (span) => span.start < end && start < span.end;

/** Remove the spans and unknown tags of the selection. Returns the removed spans. */
export function clear(work) {
  const [start, end] = selected(work);
  return clearRange(work, start, end);
}

function clearRange(work, start, end) {
  const removed = work.spans.filter(overlaps(start, end));
  work.spans = work.spans.filter((span) => !removed.includes(span));
  for (let index = start; index < end; index += 1) work.unknown.delete(index);
  return removed;
}

/**
 * Label the selection; a single token in a span stands for the span. Without spans, each token has its own label.
 * Returns the spans that it overlapped with other borders, which are removed.
 */
export function label(work, name) {
  let [start, end] = selected(work);
  const whole = end - start === 1 && work.hasSpans ? spanAt(work, start) : undefined;
  if (whole) [start, end] = [whole.start, whole.end];
  return place(work, start, end, name);
}

/** Put a span on a range of tokens, as `label` does. */
export function place(work, start, end, name) {
  const same = work.spans.find((span) => span.start === start && span.end === end && span.label === name);
  if (same) return [];
  const removed = clearRange(work, start, end);
  const ranges = work.hasSpans ? [[start, end]] : [...Array(end - start).keys()].map((index) => [start + index, start + index + 1]);
  work.spans.push(...ranges.map(([first, last]) => ({ start: first, end: last, label: name, score: null })));
  work.spans.sort((one, other) => one.start - other.start);
  return removed.filter((span) => span.start < start || span.end > end);
}

/** Mark the selected tokens as unknown, or no longer if all are. Returns the removed spans. */
export function toggleUnknown(work) {
  const [start, end] = selected(work);
  const indices = [...Array(end - start).keys()].map((index) => start + index);
  const isUnknown = indices.every((index) => work.unknown.has(index));
  const removed = clearRange(work, start, end);
  if (!isUnknown && work.hasSpans) indices.forEach((index) => work.unknown.add(index));
  return removed;
}

/** Move the cursor to a token; without `extend`, the selection is this token. */
export function moveTo(work, index, extend = false) {
  work.cursor = Math.max(0, Math.min(work.tokens.length - 1, index));
  if (!extend) work.anchor = work.cursor;
}

/** Select the next (1) or the previous (-1) span, if there is one. */
export function moveToSpan(work, step) {
  const [start] = selected(work);
  const others = work.spans.filter((span) => (step > 0 ? span.start > start : span.start < start));
  const span = step > 0 ? others[0] : others.at(-1);
  if (span) [work.anchor, work.cursor] = [span.start, span.end - 1];
}

export const words = ({ tokens }, start, end) =>
  tokens
    .slice(start, end)
    .map(({ before, text }, index) => (index ? before : "") + text)
    .join("");

/** Return the work as the server takes it. */
export const workBody = ({ tokens, spans, unknown }) => ({
  n_tokens: tokens.length,
  spans: spans.map(({ start, end, label: name }) => ({ start, end, label: name })),
  unknown: [...unknown].sort((one, other) => one - other),
});
