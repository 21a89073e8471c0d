"""Measure the tokenizer on a CoNLL-U corpus: tokens, sentences and speed on one core.

    python scripts/benchmarks/tokenizer.py --train en_ewt-ud-train.conllu --dev en_ewt-ud-dev.conllu

The text is rebuilt from the dev file's `# text` lines: a space between the sentences of a paragraph, a blank
line where `# newpar` or `# newdoc` stands. A token counts as right if its character range is that of a gold
word, a sentence if its range is that of a gold sentence. The convention is learnt from the train file. Speed
is the median of five runs over the dev text (and over the --raw text), from a string to sentences. spaCy's
blank English pipeline (with its `sentencizer`) is measured in the same run where it is installed.
"""

from __future__ import annotations

import argparse
import statistics
import timeit
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tagger.corpus.conllu import read_conllu
from tagger.text.sentence import Offset, Sentence
from tagger.text.tokenizer import Tokenizer, learn_convention

RUNS = 5
Cut = Callable[[str], tuple[list[Offset], list[Offset]]]
"""A text to the character ranges of its tokens and of its sentences."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, required=True, help="CoNLL-U file to learn the convention from")
    parser.add_argument("--dev", type=Path, required=True, help="CoNLL-U file to measure on")
    parser.add_argument("--raw", type=Path, help="plain text to measure speed on as well")
    paths = parser.parse_args()

    learnt = learn_convention(read_conllu(paths.train, tasks=()))
    text, tokens, sentences = document(read_conllu(paths.dev, tasks=()))
    raw = paths.raw.read_text(encoding="utf-8") if paths.raw else ""
    print(f"dev: {len(tokens):,} tokens, {len(sentences):,} sentences, {len(text):,} characters")
    changed = {k: v for k, v in learnt.settings().items() if v != Tokenizer().settings()[k]}
    print(f"learnt from train: {changed}")
    print(f"{'':<18}{'tokens':^24}{'sentences':^24}{'tokens/s':^22}")
    print(f"{'':<18}" + f"{'P':>8}{'R':>8}{'F1':>8}" * 2 + f"{'dev':>11}" + (f"{'raw':>11}" if raw else ""))
    for name, tokenizer in (("tagger, learnt", learnt), ("tagger, default", Tokenizer())):
        report(name, ranges_of(tokenizer), tokenizer.tokenize, tokens, sentences, text, raw)
    try:
        import spacy
    except ImportError:
        print("spaCy is not installed, so it was not measured")
        return
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = max(len(text), len(raw)) + 1

    def cut(text: str) -> tuple[list[Offset], list[Offset]]:
        found = pipeline(text)
        words = [(t.idx, t.idx + len(t)) for t in found if not t.is_space]
        return words, [trimmed(text, s.start_char, s.end_char) for s in found.sents]

    report(f"spaCy {spacy.__version__}", cut, pipeline.make_doc, tokens, sentences, text, raw)


def document(sentences: Iterable[Sentence]) -> tuple[str, list[Offset], list[Offset]]:
    """Return the text of a corpus and the ranges of its tokens and sentences."""
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


def score(gold: Sequence[Offset], found: Sequence[Offset]) -> tuple[float, float, float]:
    """Return precision, recall and F1 over exact ranges."""
    right = len(set(gold) & set(found))
    precision, recall = right / len(set(found)), right / len(set(gold))
    return precision, recall, 2 * precision * recall / (precision + recall)


def report(
    name: str,
    cut: Cut,
    timed: Callable[[str], object],
    tokens: Sequence[Offset],
    sentences: Sequence[Offset],
    text: str,
    raw: str,
) -> None:
    found_tokens, found_sentences = cut(text)
    figures = (*score(tokens, found_tokens), *score(sentences, found_sentences))
    speeds = [rate(timed, text, len(found_tokens))]
    if raw:
        speeds.append(rate(timed, raw, len(cut(raw)[0])))
    print(
        f"{name:<18}"
        + "".join(f"{figure:>8.4f}" for figure in figures)
        + "".join(f"{speed:>11,.0f}" for speed in speeds)
    )


def rate(timed: Callable[[str], object], text: str, count: int) -> float:
    """Return tokens per second: the median of some runs, each of which repeats a short text."""
    timer = timeit.Timer(lambda: timed(text))
    repetitions, _ = timer.autorange()  # as often as fills a fifth of a second
    return count * repetitions / statistics.median(timer.repeat(RUNS, repetitions))


if __name__ == "__main__":
    main()
