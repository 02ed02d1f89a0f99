"""A metric of one file, that of the page on metrics, in ``jvid evaluate``, a sweep, a table and a report; and wrong ones."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from jvid.cli import main
from jvid.core.metrics import Resampling
from jvid.errors import InputError, PluginError, UnknownNameError
from jvid.plugins.registry import using
from jvid_training.evaluation import evaluate
from jvid_training.evaluation.measurement import bound
from jvid_training.report.inputs import read
from jvid_training.report.page import page
from jvid_training.search.ablation import chosen_rows, make_table
from jvid_training.search.recipe import structure_study
from jvid_training.search.sweep import open_trials, work
from tests.docs.test_readme import blocks
from tests.evaluation_tools import Clips, Means, noise
from tests.report_tools import Page
from tests.search_tools import document, opened
from tests.toy import toy_registry
from tests.training_tools import prepare

PAGE = Path(__file__).parents[3] / "docs/plugins/metric.md"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """The page's first block as a module, installed beside the toys."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("mine")
    exec(compile(blocks(PAGE, "python")[0], "mine.py", "exec"), vars(module))
    registry = toy_registry()
    registry.add(module, "mine", "mine 1.0")
    with using(registry):
        yield module


def sharpness(clips: np.ndarray) -> float:
    """The reference: one loop over all pairs of neighbours."""
    pixels = clips.astype(np.float64)
    return float(
        np.mean(
            [np.abs(pixels[..., x + 1, :] - pixels[..., x, :]).mean() for x in range(pixels.shape[3] - 1)]
        )
    )


def test_it_is_a_row_of_evaluate(
    mine: types.ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    words = ["evaluate", "real:held-out", "-r", str(tmp_path / "latents"), "--metric", "sharpness:step=1"]
    words += ["--metric", "flicker", "--bootstrap", "20"]
    assert main([*words, "-o", "figures.json"]) == 0
    shown = capsys.readouterr().out
    assert "sharpness \N{UPWARDS ARROW}, of 255" in shown
    assert "flicker, of 255" in shown
    assert main([*words, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert json.loads(Path("figures.json").read_text())["evaluations"] == [found]
    assert list(found["figures"]) == ["sharpness", "flicker"]
    figure = found["figures"]["sharpness"]
    assert (figure["better"], figure["note"]) == ("higher", "of 255")
    assert figure["low"] < figure["value"] < figure["high"]
    assert set(found["floors"]["real"]) == {"sharpness", "flicker"}


def test_its_figure_is_the_mean_over_clips(mine: types.ModuleType) -> None:
    clips = Clips(noise(9, seed=3))
    found = evaluate(clips, Clips(noise(5)), metrics=[mine.Sharpness()], bootstrap=10)
    assert found["sharpness"].value == pytest.approx(sharpness(clips.clips), rel=1e-12)


def test_a_sweep_aims_at_it_and_tables_and_reports_have_it(mine: types.ModuleType, tmp_path: Path) -> None:
    found = document(
        tmp_path / "study", study={"metrics": ["sharpness"]}, sweep={"objectives": ["sharpness", "cost"]}
    )
    recipe, evaluator = opened(found)
    make_table(evaluator, "ablation", chosen_rows(recipe, evaluator, ["video model", "mixture"]), 4, 0)
    work(evaluator, open_trials(evaluator, recipe.sweep), 4)
    front = json.loads((evaluator.folder / "front.json").read_text())
    assert front["objectives"] == [
        {"name": "sharpness", "better": "higher", "label": "sharpness"},
        {"name": "cost", "better": "lower", "label": "network cost"},
    ]
    points = [(*point["values"], point["front"]) for point in front["points"]]
    assert [value for value, _, _ in points] == [
        point["figures"]["sharpness"]["value"] for point in front["points"]
    ]
    for value, cost, on in points:  # higher is better
        beaten = any(a >= value and b <= cost and (a, b) != (value, cost) for a, b, _ in points)
        assert on is not beaten
    directions = [str(each.name) for each in open_trials(evaluator, recipe.sweep).study.directions]
    assert directions == ["MAXIMIZE", "MINIMIZE"]
    table = (evaluator.folder / "ablation-4-clips-seed-0.md").read_text()
    assert "| flicker ratio | sharpness | network cost |" in table
    html = page(read([evaluator.folder]))
    assert re.search(r'<th scope="col">\s*sharpness <span role="img" aria-label="higher is better">', html)
    parsed = Page(html)
    assert any("sharpness: of 255" in text for text in parsed.text("li"))
    assert any(text == "sharpness \N{UPWARDS ARROW}" for text in parsed.text("text"))


def test_a_study_without_further_metrics_keeps_its_figures(mine: types.ModuleType, tmp_path: Path) -> None:
    """The files of figures have the names that they had before recipes could name metrics."""
    _, plain = opened(document(tmp_path))
    _, more = opened(document(tmp_path, study={"metrics": ["sharpness"]}))
    assert plain.further() == []
    assert plain._figures("x", None) != more._figures("x", None)
    # As of version 0.1: reference, networks, resamplings.
    from jvid_training.search.evaluator import _hex

    by = [
        plain.reference.fingerprint,
        [network.fingerprint for network in plain.networks],
        plain.study.bootstrap,
    ]
    assert plain._figures("x", None).name == f"x-{_hex(by)[:12]}.json"


@attrs.frozen
class Wrong:
    """A metric that returns what it is given."""

    made: Any
    name: str = "wrong"
    better: Any = "lower"
    unit: str = ""
    features: Any = ()

    def compute(self, clips: Any, reference: Any, resampling: Resampling) -> Any:
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Wrong(float("nan")), "metric 'wrong' returned nan for clips: expected a finite number"),
        (Wrong([0.0, float("inf"), 1.0]), "metric 'wrong' returned inf for clips: expected a finite number"),
        (Wrong(np.zeros(4)), r"metric 'wrong' returned numbers of shape \(4,\) for 3 clips: expected one number, or \(3,\)"),
        (Wrong(np.zeros((3, 2))), r"metric 'wrong' returned numbers of shape \(3, 2\) for 3 clips"),
        (Wrong("much"), "metric 'wrong' returned a str: expected a number"),
        (Wrong(ZeroDivisionError("no clip moves")), "metric 'wrong' failed on clips: ZeroDivisionError: no clip moves"),
        (Wrong(1.0, better="minimize"), "metric 'wrong' has better='minimize': expected 'lower', 'higher' or None"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_the_metric_in_one_line(metric: Wrong, message: str) -> None:
    with pytest.raises(PluginError, match=message) as found:
        evaluate(Clips(noise(3)), Clips(noise(3)), metrics=[metric])
    assert "\n" not in str(found.value)


class Nan(Means):
    """Rows that are not finite."""

    def __call__(self, frames: np.ndarray) -> Any:
        return super().__call__(frames)["features"] * np.nan


def test_wrong_rows_name_the_network(mine: types.ModuleType) -> None:
    with pytest.raises(PluginError, match="features 'means' returned features with NaN or infinity"):
        evaluate(Clips(noise(3)), Clips(noise(3)), [Nan()])
    network = Means()
    network.kind = "clip"
    network.__class__ = type("Frames", (Means,), {"__call__": lambda self, x: x.mean((2, 3))})
    with pytest.raises(
        PluginError, match=r"features 'means' returned features \(3, 4, 3\) for .*expected \(n, d\)"
    ):
        evaluate(Clips(noise(3)), Clips(noise(3)), [network])


def test_what_is_not_registered_names_the_metric(mine: types.ModuleType, tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match="metric 'wrong': unknown features 'i4d': did you mean i3d"
    ) as found:
        bound([Wrong(1.0, features=("i4d",))])
    assert "\n" not in str(found.value)
    for text, message in (
        ("sharpnes", r"study\.metrics: unknown metric 'sharpnes': did you mean sharpness"),
        ("sharpness:steps=2", r"study\.metrics: metric 'sharpness' has no option 'steps'"),
    ):
        with pytest.raises(InputError, match=message):
            structure_study(document(tmp_path, study={"metrics": [text]}))
    with pytest.raises(
        InputError, match=r"expected some of clip, .*cost, each once; study\.metrics adds metrics"
    ):
        structure_study(document(tmp_path, sweep={"objectives": ["sharpness"]}))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "sharpnes"], "unknown metric 'sharpnes': did you mean sharpness"),
        (["--metric", "fvd:features=i4d"], "metric 'fvd': unknown features 'i4d': did you mean i3d"),
        (["--metric", "fid:features=pixels"], "metric 'fid': features 'pixels' have a row for each clip"),
        (["--metric", "sharpness:step=0"], "metric mine/sharpness (mine 1.0): ValueError: 'step' must be >= 1"),
        (["--metric", "sharpness", "--metric", "sharpness:step=1"], "two metrics are named 'sharpness': give each once"),
    ],
)  # fmt: skip
def test_the_command_refuses_in_one_line(
    mine: types.ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    prepare(tmp_path)
    assert main(["evaluate", "real:held-out", "-r", str(tmp_path / "latents"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("jvid: error: ")
    assert error.count("\n") == 1
