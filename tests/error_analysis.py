"""Shared by the tests of reports: an error analysis built from literal tags, without a model."""

from collections.abc import Sequence
from dataclasses import replace

from tagger.evaluation.confusion import count_confusion, match_task
from tagger.evaluation.mistakes import find_mistakes
from tagger.evaluation.tasks import score_task
from tagger.runtime.model_evaluation import Analysis, TaskAnalysis
from tagger.text.sentence import from_tokens

Tags = Sequence[Sequence[str]]


def make_analysis(
    words: Tags, tasks: dict[str, tuple[Tags, Tags, str | None]], source: str = "a"
) -> Analysis:
    """What ``analyse`` would return for these gold and predicted tags and schemes."""
    sentences = [replace(from_tokens(own), source=f"{source}:{n}") for n, own in enumerate(words, start=1)]
    seen = [[place % 2 == 0 for place in range(len(own))] for own in words]
    analysed, scores = {}, {}
    for name, (gold, predicted, scheme) in tasks.items():
        outcomes = match_task(gold, predicted, scheme=scheme)
        confusion = count_confusion((one for own in outcomes for one in own), has_spans=scheme is not None)
        mistakes = find_mistakes(sentences, outcomes)
        analysed[name] = TaskAnalysis(scheme is not None, outcomes, confusion, mistakes)
        scores[name] = score_task(gold, predicted, scheme=scheme, seen=seen)
    tokens = sum(map(len, words))
    result = {"tasks": scores, "sentences": len(words), "tokens": tokens, "tokens_per_second": 1.0}
    return Analysis(result, sentences, seen, analysed)


WORDS = [text.split() for text in ("Ada saw New Lima", "In Lima", "Near Lima Ada sang", "All is right")]
NER = (
    [["B-PER", "O", "B-LOC", "I-LOC"], ["O", "B-LOC"], ["O", "B-LOC", "B-PER", "O"], ["O", "O", "O"]],
    [["O", "O", "O", "B-LOC"], ["O", "B-PER"], ["O", "B-PER", "B-PER", "B-PER"], ["O", "O", "O"]],
    "IOB2",
)
POS = (
    [["N", "V", "A", "N"], ["P", "N"], ["P", "N", "N", "V"], ["D", "V", "A"]],
    [["N", "V", "N", "N"], ["P", "V"], ["P", "N", "N", "N"], ["D", "V", "A"]],
    None,
)
