"""Tables from the names of a kind to its implementations."""

from typing import Any, get_args

import pytest

from tagger.annotation.annotation_gain import UNITS, Unit
from tagger.annotation.strategies import STRATEGIES, StrategyName
from tagger.cli.formats import FORMATS as FORMATS_OF_TAG
from tagger.cli.sources import OutputStyle
from tagger.config import Characters, HeadKind, MergeMode, OptimizerKind, ScheduleKind
from tagger.corpus.files import FORMATS, FormatName
from tagger.network.bilstm import MERGES
from tagger.network.heads import HEADS
from tagger.network.words import CHARACTERS
from tagger.runtime import lstm
from tagger.runtime.engine import TRANSITIONS
from tagger.runtime.weights import CHARACTER_SHAPES, HEAD_SHAPES
from tagger.runtime.word_inputs import CHARACTER_FEATURES
from tagger.training.optimizers import OPTIMIZERS
from tagger.training.schedules import SCHEDULES


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (Characters, CHARACTERS),
        (Characters, CHARACTER_FEATURES),
        (Characters, CHARACTER_SHAPES),
        (FormatName, FORMATS),
        (HeadKind, HEADS),
        (HeadKind, HEAD_SHAPES),
        (HeadKind, TRANSITIONS),
        (MergeMode, MERGES),
        (MergeMode, lstm.MERGES),
        (OptimizerKind, OPTIMIZERS),
        (OutputStyle, {**FORMATS_OF_TAG, "conllu": None}),  # conllu is written by --input conllu only
        (ScheduleKind, SCHEDULES),
        (StrategyName, STRATEGIES),
        (Unit, UNITS),
    ],
)
def test_a_table_has_the_names_of_its_literal(kind: Any, table: dict[str, object]):
    assert set(table) == set(get_args(kind))
