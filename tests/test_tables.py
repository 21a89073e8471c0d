"""Tables from the names of a kind to its implementations."""

from typing import Any, get_args

import pytest

from tagger.config import Characters, HeadKind, MergeMode, OptimizerKind, ScheduleKind
from tagger.corpus.files import FORMATS, FormatName
from tagger.network.encoder import MERGES
from tagger.network.heads import HEADS
from tagger.network.words import CHARACTERS
from tagger.training.optimizers import OPTIMIZERS
from tagger.training.schedules import SCHEDULES


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (Characters, CHARACTERS),
        (FormatName, FORMATS),
        (HeadKind, HEADS),
        (MergeMode, MERGES),
        (OptimizerKind, OPTIMIZERS),
        (ScheduleKind, SCHEDULES),
    ],
)
def test_a_table_has_the_names_of_its_literal(kind: Any, table: dict[str, object]):
    assert set(table) == set(get_args(kind))
