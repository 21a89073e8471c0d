"""Evaluate the tokenizer on a CoNLL-U corpus: tokens, sentences and speed on one core.

    python scripts/benchmarks/tokenizer.py --train en_ewt-ud-train.conllu --dev en_ewt-ud-dev.conllu

The text is rebuilt from the `# text` lines of the dev file: a space between the sentences of a paragraph, a
blank line at `# newpar` or `# newdoc`. A token is correct if its character range equals that of a gold word,
a sentence if its range equals that of a gold sentence. The convention is learnt from the train file. Speed is
measured over five runs on the dev text (and on the --raw text), from a string to sentences, in processor time
(other programs disturb it less). If spaCy is installed, its blank English pipeline with `sentencizer` is
measured in the same run.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from measurement import Estimate, estimate, parser, show, show_machine, write_results

from tagger.corpus.conllu import read_conllu
from tagger.text.sentence import Offset, Sentence
from tagger.text.tokenizer import Tokenizer, learn_convention

RUNS = 5
Cut = Callable[[str], tuple[list[Offset], list[Offset]]]
"""Maps a text to the character ranges of its tokens and of its sentences."""
Row = dict[str, object]


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "--train", type=Path, required=True, help="CoNLL-U file to learn the convention from"
    )
    options.add_argument("--dev", type=Path, required=True, help="CoNLL-U file to measure on")
    options.add_argument("--raw", type=Path, help="plain text to measure speed on as well")
    paths = options.parse_args()

    show_machine()
    learnt = learn_convention(read_conllu(paths.train, tasks=()))
    text, tokens, sentences = document(read_conllu(paths.dev, tasks=()))
    raw = paths.raw.read_text(encoding="utf-8") if paths.raw else ""
    print(f"dev: {len(tokens):,} tokens, {len(sentences):,} sentences, {len(text):,} characters")
    changed = {k: v for k, v in learnt.settings().items() if v != Tokenizer().settings()[k]}
    print(f"learnt from train: {changed}")
    rows = [
        measure(name, ranges_of(tokenizer), tokenizer.tokenize, tokens, sentences, text, raw)
        for name, tokenizer in (("tagger, learnt", learnt), ("tagger, default", Tokenizer()))
    ]
    if spacy_cut := find_spacy(max(len(text), len(raw))):
        rows.append(measure(*spacy_cut, tokens, sentences, text, raw))
    show("tokenizer, one core", rows, COLUMNS)
    files = [path.name for path in (paths.train, paths.dev, paths.raw) if path]
    print(write_results("tokenizer", paths.results, rows, {"files": files}))


def find_spacy(longest: int) -> tuple[str, Cut, Callable[[str], object]] | None:
    """Return row name, segmentation function and timed function of spaCy; None if it is not installed."""
    try:
        import spacy
    except ImportError:
        print("spaCy: skipped, not installed. To include it: pip install spacy")
        return None
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = longest + 1

    def cut(text: str) -> tuple[list[Offset], list[Offset]]:
        doc = pipeline(text)
        words = [(t.idx, t.idx + len(t)) for t in doc if not t.is_space]
        return words, [trimmed(text, s.start_char, s.end_char) for s in doc.sents]

    return f"spaCy {spacy.__version__}", cut, pipeline.make_doc


def document(sentences: Iterable[Sentence]) -> tuple[str, list[Offset], list[Offset]]:
    """Rebuild the text of a corpus; return it with the ranges of its tokens and sentences."""
    pieces: list[str] = []
    tokens: list[Offset] = []
    ranges: list[Offset] = []
    position = 0
    for sentence in sentences:
        if pieces:
            is_paragraph = sentence.starts_document or any(
                comment.startswith(("# newpar", "# newdoc")) for comment in sentence.comments
            )
            pieces.append("\n\n" if is_paragraph else " ")
            position += len(pieces[-1])
        shift = position - sentence.text_start
        tokens += [(start + shift, end + shift) for start, end in sentence.offsets]
        pieces.append(sentence.text)
        ranges.append((position, position + len(sentence.text)))
        position += len(sentence.text)
    return "".join(pieces), tokens, ranges


def ranges_of(tokenizer: Tokenizer) -> Cut:
    def cut(text: str) -> tuple[list[Offset], list[Offset]]:
        sentences = tokenizer.tokenize(text)
        tokens = [offset for sentence in sentences for offset in sentence.offsets]
        return tokens, [(s.text_start, s.text_start + len(s.text)) for s in sentences]

    return cut


def trimmed(text: str, start: int, end: int) -> Offset:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def score(gold: Sequence[Offset], predicted: Sequence[Offset]) -> tuple[float, float, float]:
    """Return precision, recall and F1 over exact ranges."""
    right = len(set(gold) & set(predicted))
    precision, recall = right / len(set(predicted)), right / len(set(gold))
    return precision, recall, 2 * precision * recall / (precision + recall)


def measure(
    name: str,
    cut: Cut,
    timed: Callable[[str], object],
    tokens: Sequence[Offset],
    sentences: Sequence[Offset],
    text: str,
    raw: str,
) -> Row:
    predicted_tokens, predicted_sentences = cut(text)
    figures = (*score(tokens, predicted_tokens), *score(sentences, predicted_sentences))
    row: Row = {"name": name} | dict(zip(SCORES, figures, strict=True))
    row["dev_tokens_per_second"] = rate(timed, text, len(predicted_tokens))
    if raw:
        row["raw_tokens_per_second"] = rate(timed, raw, len(cut(raw)[0]))
    return row


def rate(timed: Callable[[str], object], text: str, count: int) -> Estimate:
    """Estimate tokens per second of processor time; short texts are repeated within each run."""
    timer = timeit.Timer(lambda: timed(text), timer=time.process_time)
    repetitions, _ = timer.autorange()  # enough for at least a fifth of a second
    return estimate(count * repetitions / seconds for seconds in timer.repeat(RUNS, repetitions))


SCORES = (
    "token_precision",
    "token_recall",
    "token_f1",
    "sentence_precision",
    "sentence_recall",
    "sentence_f1",
)
COLUMNS = {
    "name": "",
    "token_f1": "token F1",
    "sentence_f1": "sentence F1",
    "dev_tokens_per_second": "dev, tokens/s",
    "raw_tokens_per_second": "raw, tokens/s",
}

if __name__ == "__main__":
    main()
