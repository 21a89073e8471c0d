// The text of a sentence: tokens, marked spans, the selection, and selection by mouse.
import { element, percent, shade } from "./elements.js";
import { selected, spanAt } from "./spans.js";

/** Show an annotation in a node. Rebuilds all tokens. */
export function showPassage(node, work, hues) {
  const nodes = [];
  let index = 0;
  while (index < work.tokens.length) {
    const span = spanAt(work, index);
    const end = span ? span.end : index + 1;
    nodes.push(work.tokens[index].before);
    const tokens = [];
    for (let own = index; own < end; own += 1) {
      if (own > index) tokens.push(work.tokens[own].before);
      tokens.push(showToken(work, own));
    }
    nodes.push(...(span ? [showSpan(span, tokens, hues)] : tokens));
    if (work.unknown.has(index)) nodes.push(tag("?", "unknown-tag"));
    index = end;
  }
  node.replaceChildren(...nodes, work.after);
  showSelection(node, work);
}

const showToken = (work, index) =>
  element("span", { class: work.unknown.has(index) ? "token unknown" : "token", "data-index": index }, work.tokens[index].text);

function showSpan(span, tokens, hues) {
  const isMine = span.score === null || span.score === undefined;
  const label = tag(isMine ? span.label : `${span.label}\u00a0${percent(span.score)}`);
  return shade(element("mark", { class: isMine ? "mine" : null }, ...tokens, label), hues.get(span.label), span.score ?? 1);
}

const tag = (text, kind = "") => element("span", { class: `tag ${kind}`.trim() }, element("bdi", {}, text));

/** Mark the selected tokens, and scroll to the cursor. */
export function showSelection(node, work) {
  const [start, end] = selected(work);
  for (const token of node.querySelectorAll(".selected, .cursor")) token.classList.remove("selected", "cursor");
  const tokens = node.getElementsByClassName("token");
  for (let index = start; index < end; index += 1) tokens[index].classList.add("selected");
  tokens[work.cursor].classList.add("cursor");
  tokens[work.cursor].scrollIntoView({ block: "nearest" });
}

/**
 * Return the tokens that a selection by mouse touches: first, last, and whether a border was inside a token.
 * Null if it touches none.
 */
export function touchedTokens(node, range) {
  let first = null;
  let last = null;
  let isExtended = false;
  for (const token of node.getElementsByClassName("token")) {
    const own = document.createRange();
    own.setStart(token.firstChild, 0);
    own.setEnd(token.firstChild, token.firstChild.length);
    const beginsBeforeEnd = range.compareBoundaryPoints(Range.END_TO_START, own) < 0;
    const endsAfterStart = range.compareBoundaryPoints(Range.START_TO_END, own) > 0;
    if (!beginsBeforeEnd || !endsAfterStart) continue;
    first ??= Number(token.dataset.index);
    last = Number(token.dataset.index);
    const isInside =
      range.compareBoundaryPoints(Range.START_TO_START, own) > 0 || range.compareBoundaryPoints(Range.END_TO_END, own) < 0;
    isExtended ||= isInside;
  }
  return first === null ? null : { first, last, isExtended };
}
