"""Code of a typed user, which `mypy --strict` checks (see test_typed_api.py) and nothing runs."""

from collections.abc import Iterator
from typing import assert_type

import tagger.corpus
from tagger import (
    EpochRecord,
    InputError,
    ModelScores,
    Sentence,
    Span,
    StepRecord,
    StreamingTagger,
    Tagger,
    evaluate,
    measure_forgetting,
    read_corpus,
    train,
    write_corpus,
)


def stop_early(record: StepRecord | EpochRecord) -> bool:
    if isinstance(record, EpochRecord):
        assert_type(record.score, float | None)
        return record.epoch == 3
    return record.loss < 0.1


def train_and_score() -> Tagger:
    data = read_corpus("train.conll", task="ner")
    assert_type(data, list[Sentence])
    assert_type(tagger.corpus.read_corpus("train.conll"), list[Sentence])
    model = train(data, dev="dev.conll", task=["ner", "pos"], callbacks=[stop_early], epochs=3)
    assert_type(model, Tagger)
    assert_type(train([(["Ada"], ["B-PER"])], init_from=model, output="runs/x"), Tagger)
    scores = model.evaluate("test.conll", task="ner")
    assert_type(scores, ModelScores)
    assert_type(evaluate("en", data), ModelScores)
    assert_type(scores.ner.f1, float)
    assert_type(scores["ner"].by_label["PER"].precision, float)
    assert_type(measure_forgetting(Tagger.load("en"), model, {"old": data})[0].after, float)
    return model


def tag(model: Tagger) -> None:
    assert_type(model.pipe(["Ada sang."]), Iterator[list[Sentence]])
    for sentence in model.tag("Ada sang."):
        assert_type(sentence, Sentence)
        assert_type(sentence.tags["ner"], tuple[str, ...])
        for span in sentence.spans["ner"]:
            assert_type(span, Span)
            assert_type((span.start_char, span.label, span.score), tuple[int, str, float | None])
    write_corpus(model.tag_tokens([["Ada", "sang"]]), "tagged.conll")
    assert_type([one.token for one in StreamingTagger(model, lookahead=1).push("Ada")], list[str])


def handle(error: InputError) -> str:
    return error.code


# mypy reports an ignored line without an error, so each of these must be an error.
def misuse(model: Tagger) -> None:
    train("train.conll", callbacks=[len])  # type: ignore[list-item]
    model.tag(["Ada", "sang"])  # type: ignore[arg-type]
    model.tag("Ada sang.", min_scores=0.5)  # type: ignore[call-arg]
    read_corpus(3)  # type: ignore[arg-type]
    Span("0", 1, "PER")  # type: ignore[arg-type]
    assert tagger.no_such_name  # type: ignore[attr-defined]
