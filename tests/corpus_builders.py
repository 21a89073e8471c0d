"""Builders of corpora for several test files: HF datasets, Label Studio exports, written columns."""

import io
from collections.abc import Iterable
from pathlib import Path

import datasets

from tagger.corpus.conll import write_conll
from tagger.corpus.hub import read_dataset
from tagger.corpus.reading import Reading
from tagger.text.sentence import Sentence

NAMES = ["O", "B-PER", "I-PER"]
STRINGS = datasets.List(datasets.Value("string"))
NUMBERS = datasets.List(datasets.Value("int64"))
LABELS = datasets.List(datasets.ClassLabel(names=NAMES))
ROWS = {"tokens": [["Ada", "Byron", "wrote"], ["Yes"]], "ner_tags": [[1, 2, 0], [0]]}
FEATURES = {"tokens": STRINGS, "ner_tags": LABELS}
EXPECTED = [(("Ada", "Byron", "wrote"), ("B-PER", "I-PER", "O")), (("Yes",), ("O",))]

TEXT = "🌊 Ada sang.\nOtto left."


def make(rows=ROWS, features=FEATURES) -> datasets.Dataset:
    """Make a dataset."""
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def parquet(rows=ROWS, features=FEATURES, name: str = "x.parquet") -> str:
    """Write a dataset to a parquet file in the current folder; return its name."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    make(rows, features).to_parquet(name)
    return name


def read(path, **ways) -> list[tuple]:
    """Return the tokens and tags of each row of a dataset."""
    return [(s.tokens, s.tags["ner"]) for s in read_dataset(path, Reading(**ways))]


def region(start, end, label="PER", name="label", **more):
    """Make a labelled span of ``TEXT``, as Label Studio exports it."""
    value = {"start": start, "end": end, "text": TEXT[start:end], "labels": [label]}
    return {"id": "x", "from_name": name, "to_name": "text", "type": "labels", "value": value} | more


def annotated(*results, **more):
    """Make a Label Studio task with one annotation of ``TEXT``."""
    return {"id": 7, "data": {"text": TEXT}, "annotations": [{"id": 1, "result": list(results)} | more]}


def written(sentences: Iterable[Sentence], **options) -> str:
    """Return the columns that ``write_conll`` writes."""
    file = io.StringIO()
    write_conll(sentences, file, **options)
    return file.getvalue()
