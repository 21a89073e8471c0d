"""Measure the spaCy component: `nlp.pipe` against one text at a time, and against spaCy's own `ner`.

    python scripts/benchmarks/spacy_pipe.py text.txt

The file has one text per line. All pipelines get documents that spaCy has tokenized before. spaCy's `ner` has
its default architecture and random weights. The first round is not counted, so that the word cache of the
component holds the words of the texts. The systems take turns; ratios are of processor time, round by round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import spacy
from measurement import parser, show_machine
from spacy.tokens import Doc
from spacy.training import Example

from tagger.integrations.spacy_component import BiLSTMCRF

LABELS = ("LOC", "ORG", "PER")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("file", type=Path, help="one text per line")
    options.add_argument("--rounds", type=int, default=7)
    arguments = options.parse_args()
    texts = [line for line in arguments.file.read_text(encoding="utf-8").splitlines() if line.strip()]

    nlp = spacy.blank("en")
    nlp.add_pipe("bilstm_crf", config={"threads": 1})
    component = nlp.get_pipe("bilstm_crf")
    assert isinstance(component, BiLSTMCRF)
    rival = spacy.blank("en")
    ner = rival.add_pipe("ner")
    for label in LABELS:
        ner.add_label(label)
    rival.initialize(lambda: [Example.from_dict(rival.make_doc(texts[0]), {"entities": []})])

    def docs(pipeline: spacy.Language) -> list[Doc]:
        return [pipeline.make_doc(text) for text in texts]

    systems: dict[str, tuple[spacy.Language, Callable[[list[Doc]], object]]] = {
        "pipe": (nlp, lambda given: list(component.pipe(given))),
        "one at a time": (nlp, lambda given: [component(doc) for doc in given]),
        "spaCy's ner, pipe": (rival, lambda given: list(ner.pipe(given))),
    }
    n_words = sum(not token.is_space for doc in docs(nlp) for token in doc)
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(arguments.rounds + 1):
        for name, (pipeline, run) in systems.items():
            given = docs(pipeline)
            start = time.process_time()
            run(given)
            if number:  # the first round warms up
                seconds[name].append(time.process_time() - start)
    show_machine()
    print(f"{len(texts):,} texts, {n_words:,} words, {arguments.rounds} rounds, processor time")
    for name, values in seconds.items():
        ratios = sorted(other / own for own, other in zip(seconds["pipe"], values, strict=True))
        print(
            f"{name:20} {n_words / statistics.median(values):10,.0f} words/s, "
            f"{statistics.median(ratios):.2f} times the time of pipe ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
