// The result as text: JSON lines and CoNLL, as `tagger tag --min-score` writes them, and a link to the text.

/** Return sentences without the spans below each task's threshold, whose tokens become "O". */
export function withThresholds(sentences, thresholds) {
  return sentences.map((sentence) => {
    const [tags, spans] = [{ ...sentence.tags }, { ...sentence.spans }];
    for (const [task, least] of thresholds) {
      if (!spans[task]) continue;
      const dropped = spans[task].filter((span) => span.score < least);
      const isDropped = (token) => dropped.some((span) => span.start <= token.start && token.end <= span.end);
      spans[task] = spans[task].filter((span) => span.score >= least);
      tags[task] = tags[task].map((tag, index) => (isDropped(sentence.tokens[index]) ? "O" : tag));
    }
    return { ...sentence, tags, spans };
  });
}

/** Return one JSON object a line, without tag scores and n-best. */
export function toJsonLines(sentences) {
  return sentences
    .map(({ scores, n_best, ...rest }) => `${JSON.stringify(rest)}\n`)
    .join("");
}

/** Return a line for each token, with a column for each task, and an empty line after each sentence. */
export function toConll(sentences) {
  const tags = sentences.flatMap((sentence) => Object.values(sentence.tags).flat());
  const separator = tags.some((tag) => tag.includes(" ")) ? "\t" : " ";
  return sentences
    .map(({ tokens, tags }) =>
      tokens.map(({ text }, index) => [text, ...Object.values(tags).map((of) => of[index])].join(separator)),
    )
    .map((lines) => `${lines.join("\n")}\n\n`)
    .join("");
}

/** Copy a text; pages of another machine have no clipboard without TLS, so that a selection is copied instead. */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  if (!isCopied) throw new Error("the browser refused");
}

/** Return the fragment that holds a text. A browser never sends it to the server. */
export const toFragment = (text) => `#${new URLSearchParams({ text })}`;

/** Return the text of a fragment, or null. */
export const fromFragment = (fragment) => new URLSearchParams(fragment.slice(1)).get("text");
