"""The lines of ``tagger tag --format jsonl`` can be written without the command line."""

import pytest
from command_line import run

from tagger import Tagger
from tagger.runtime.json_lines import sentence_lines
from tagger.runtime.options import TagOptions

TEXT = "Ada met Otto in Oslo.\n\nMia saw the sea. Otto left for Lima.\n"


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ([], {}),
        (["--scores", "--n-best", "2"], {"has_scores": True, "n_best": 2}),
        (["--min-score", "0.9", "--candidates", "0.01"], {"min_score": 0.9, "candidates": 0.01}),
    ],
)
def test_lines_equal_those_of_the_command(model, arguments, values):
    tagger = Tagger.load(model)
    options = TagOptions(tasks=tagger.tasks, **values)
    lines = sentence_lines(tagger.annotate(tagger.tokenizer(TEXT), options), options)
    assert "".join(lines) == run("tag", "-m", model, "--format", "jsonl", *arguments, stdin=TEXT.encode())[1]


def test_the_document_is_named_if_there_are_several(model, tmp_path):
    paths = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in paths:
        path.write_text(TEXT)
    tagger = Tagger.load(model)
    options = TagOptions(tasks=tagger.tasks)
    expected = [
        line
        for path in paths
        for line in sentence_lines(tagger.annotate(tagger.tokenizer(TEXT), options), options, path.name)
    ]
    assert "".join(expected) == run("tag", "-m", model, "--format", "jsonl", *paths)[1]
