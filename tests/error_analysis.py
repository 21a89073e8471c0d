"""Shared by the tests of reports: an evaluation built from literal tags, without a model."""

from collections.abc import Sequence
from dataclasses import replace

from tagger.runtime.model_evaluation import Evaluation, evaluate_task
from tagger.text.sentence import from_tokens

Tags = Sequence[Sequence[str]]


def make_evaluation(
    words: Tags, tasks: dict[str, tuple[Tags, Tags, str | None]], source: str = "a"
) -> Evaluation:
    """Return what ``evaluate`` would return for these gold and predicted tags and schemes."""
    sentences = [
        replace(from_tokens(own), source=f"{source}:{n}").with_tags(
            {name: gold[n - 1] for name, (gold, _, _) in tasks.items()}
        )
        for n, own in enumerate(words, start=1)
    ]
    seen = [[index % 2 == 0 for index in range(len(own))] for own in words]
    results = {
        name: evaluate_task(name, sentences, predicted, scheme=scheme, seen=seen, known_tags=())
        for name, (_, predicted, scheme) in tasks.items()
    }
    return Evaluation(results, sentences, seen, tokens_per_second=1.0)


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
