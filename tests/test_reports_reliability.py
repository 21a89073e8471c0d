"""Compare reliability diagrams with their bins, and curves with their thresholds."""

import numpy as np
import pytest

from tagger.evaluation.calibration import reliability
from tagger.reports.reliability import draw_reliability, reliability_figure
from tagger.runtime.model_calibration import Calibration


def make(*, temperature: float = 2.0, has_spans: bool = True, count: int = 300) -> Calibration:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.2, 1, count).astype(np.float32)
    is_right = rng.random(count) < scores
    return Calibration(has_spans, temperature, count, is_right, np.sqrt(scores), scores)


def test_points_and_bars_match_the_bins():
    calibration = make()
    diagram, counts, _ = reliability_figure({"ner": calibration}).axes
    _, *lines = diagram.get_lines()  # the first is the diagonal
    bars = [bar.get_height() for bar in counts.patches]
    for number, (line, scores) in enumerate(zip(lines, (calibration.before, calibration.after), strict=True)):
        bins = reliability(calibration.is_right, scores)
        assert list(line.get_xdata()) == [one["score"] for one in bins if one["count"]]
        assert list(line.get_ydata()) == [one["right"] for one in bins if one["count"]]
        assert bars[number * len(bins) : (number + 1) * len(bins)] == [one["count"] for one in bins]
    assert f"ECE {calibration.errors[1]:.4f}" in lines[1].get_label()


def test_curves_match_the_thresholds():
    calibration = make()
    curve = reliability_figure({"ner": calibration}, min_score=0.75).axes[2]
    lines = {line.get_label(): line for line in curve.get_lines()}
    assert lines.keys() == {"precision", "recall", "F1", "--min-score 0.75"}
    thresholds = lines["recall"].get_xdata()
    rows = calibration.against(list(thresholds))
    for name in ("precision", "recall", "F1"):
        expected = [row[name.lower()] if row["found"] or name != "precision" else np.nan for row in rows]
        np.testing.assert_allclose(np.array(lines[name].get_ydata(), float), expected)


def test_a_model_without_temperature_has_one_line_and_each_task_three_panels():
    both = {"pos": make(temperature=1.0, has_spans=False), "a$_b$": make()}
    axes = reliability_figure(both).axes
    assert len(axes) == 6
    assert len(axes[0].get_lines()) == 2
    assert axes[0].get_title() == "pos: 300 predicted tokens"
    assert axes[3].get_title() == "a$_b$: 300 predicted spans"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.svg", "b.png"])
@pytest.mark.parametrize("count", [0, 1])
def test_few_or_no_predictions_can_be_drawn(tmp_path, name, count):
    draw_reliability({"ner": make(count=count)}, tmp_path / name, min_score=0.5)
    first = (tmp_path / name).read_bytes()
    draw_reliability({"ner": make(count=count)}, tmp_path / name, min_score=0.5)
    assert len(first) > 1000
    assert len((tmp_path / name).read_bytes()) == len(first)
