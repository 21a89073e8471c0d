"""Compare exported graphs with torch; errors of the export."""

import json
from dataclasses import replace

import numpy as np
import pytest
from bundles import make_bundle, random_sentences
from command_line import input_error, run
from input_errors import check

from tagger.bundle import save_bundle
from tagger.features.batching import WordTable
from tagger.runtime.engine import Engine
from tagger.runtime.recurrence import open_graph

onnx = pytest.importorskip("onnx")
export = pytest.importorskip("tagger.runtime.onnx_export")
MERGES = ("concat", "sum", "mul", "ave")


@pytest.mark.parametrize(
    ("direction", "merge_mode"),
    [("forward", "concat"), ("backward", "sum")]
    + [("bidirectional", m) for m in ("concat", "sum", "mul", "ave")],
)
@pytest.mark.parametrize(
    ("layers", "characters", "affix_size"), [(1, "cnn", 0), (2, "lstm", 0), (1, "none", 2)]
)
def test_the_graph_gives_the_emissions_of_torch(
    tmp_path, direction, merge_mode, layers, characters, affix_size
):
    network, bundle = make_bundle(
        direction=direction,
        merge_mode=merge_mode,
        layers=layers,
        characters=characters,
        affix_size=affix_size,
    )
    assert export.export_model(bundle, tmp_path / "model.onnx") < 1e-4
    table = WordTable(bundle.vocabulary)
    batch = table.batch([table.rows(tokens) for tokens in random_sentences(bundle.vocabulary)])
    found = export.run_graph(open_graph(tmp_path / "model.onnx"), Engine(bundle), batch)
    expected = network.emissions(batch)
    for task in ("ner", "pos"):
        np.testing.assert_allclose(found[task][batch.mask], expected[task][batch.mask], atol=1e-4)


def test_a_model_with_a_linear_part_is_an_error(tmp_path):
    _, bundle = make_bundle(linear=True)
    with pytest.raises(export.InputError) as error:
        export.export_model(bundle, tmp_path / "model.onnx")
    assert (error.value.code, error.value.option) == ("option.conflict", "model.linear")


def test_the_file_contains_the_decoding_data(tmp_path):
    _, bundle = make_bundle()
    bundle = replace(bundle, temperatures={"ner": 1.5})
    export.export_model(bundle, tmp_path / "model.onnx")
    properties = {p.key: p.value for p in onnx.load(tmp_path / "model.onnx").metadata_props}
    tasks = json.loads(properties["tasks"])
    assert list(tasks) == ["ner", "pos"]
    transitions = Engine(bundle).transitions["ner"]
    found = np.array(tasks["ner"]["transitions"], np.float64)  # null becomes NaN
    assert np.array_equal(np.isnan(found), np.isneginf(transitions.scores))
    np.testing.assert_allclose(found[~np.isnan(found)], transitions.scores[~np.isnan(found)])
    assert tasks["ner"]["tags"] == list(bundle.vocabulary.tasks[0].tags)
    assert tasks["pos"]["scheme"] is None
    assert (tasks["ner"]["temperature"], tasks["pos"]["temperature"]) == (1.5, 1)


def test_a_difference_from_torch_is_an_error(tmp_path, monkeypatch):
    _, bundle = make_bundle()
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(export.InputError, match="torch") as error:
        export.export_model(bundle, tmp_path / "model.onnx")
    assert (error.value.code, error.value.file) == ("bundle.output", str(tmp_path / "model.onnx"))


def test_nan_emissions_are_an_error(tmp_path, monkeypatch):
    _, bundle = make_bundle()
    path = tmp_path / "model.onnx"
    path.write_bytes(b"earlier")
    nothing = {"ner": np.nan, "pos": np.nan}
    run_graph = export.run_graph
    monkeypatch.setattr(
        export,
        "run_graph",
        lambda *args: {task: one * nothing[task] for task, one in run_graph(*args).items()},
    )
    with pytest.raises(export.InputError, match="nan") as error:
        export.export_model(bundle, path)
    assert error.value.code == "bundle.output"
    assert path.read_bytes() == b"earlier"


def test_the_command(tmp_path):
    folder = tmp_path / "model"
    save_bundle(make_bundle()[1], folder)
    code, output, error = run("export", folder, tmp_path / "a.onnx")
    assert (code, output) == (0, "")
    assert "emissions differ from torch by at most" in error
    assert (tmp_path / "a.onnx").stat().st_size > 1000
    (tmp_path / "b.onnx").mkdir()
    for name, error_code in (
        ("a.txt", "option.value"),
        ("b.onnx", "file.kind"),
        ("none/a.onnx", "file.unwritable"),
    ):
        check(input_error("export", folder, tmp_path / name), error_code, file=tmp_path / name)
