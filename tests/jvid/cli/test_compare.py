"""``jvid compare`` with the ensemble in closed form: its columns, its files and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import av
import numpy as np
import pytest
from PIL import Image

from jvid.cli import main
from jvid.ensemble import compose
from jvid.media import read_metadata
from jvid.media.frames import to_frames
from jvid.strategy import Strategy
from jvid.strategy.simple import alone
from tests.toy import SHAPE, STRATEGY, built, toy_ensemble

WAVE = "a person waving"
pytestmark = pytest.mark.usefixtures("toys")


def compare(*args: str) -> int:
    return main(["compare", WAVE, "--ensemble", "toy", *args])


def expected(strategy: Strategy, seed: int) -> np.ndarray:
    ensemble = toy_ensemble()
    sampled = compose(strategy, ensemble)(SHAPE, seeds=[seed], cond=ensemble.condition([WAVE]))
    return to_frames(ensemble.codec.decode(sampled).float())[0]


def holds(page: np.ndarray, frame: np.ndarray, scale: int) -> bool:
    """Whether the page has the enlarged frame somewhere."""
    wanted = frame.repeat(scale, 0).repeat(scale, 1)
    height, width, _ = wanted.shape
    corners = np.argwhere((page == wanted[0, 0]).all(-1))
    return any(np.array_equal(page[top : top + height, left : left + width], wanted) for top, left in corners)


def test_a_column_for_each_expert_and_strategy(capsys: pytest.CaptureFixture[str]) -> None:
    """The pixels of the picture are those of the sampler, of the same seed in every column."""
    other = attrs.evolve(STRATEGY, selector="cycle:experts=image+video", steps=4)
    STRATEGY.save("first.json")
    other.save("second.json")
    words = ["--strategy", "first.json", "--strategy", "in turn=second.json", "--seed", "5", "--scale", "2"]
    assert compare(*words, "-o", "all.png", "--rows", "2") == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.rpartition("s  calls")[0].rsplit(maxsplit=1)[0].strip() for line in out[:4]] == [
        "video alone", "image alone", "first", "in turn",
    ]  # fmt: skip
    assert out[-1] == "all.png"
    page = np.asarray(Image.open("all.png").convert("RGB"))
    columns = {
        "video alone": alone(STRATEGY, "video"),
        "image alone": alone(STRATEGY, "image"),
        "first": STRATEGY,
        "in turn": other,
    }
    for strategy in columns.values():
        frames = expected(strategy, 5)
        assert all(holds(page, frames[at], 2) for at in (0, -1))
    stated = read_metadata("all.png")
    assert stated["clips"] == [{"prompt": WAVE, "seed": 5}]
    assert {each["label"]: Strategy.from_dict(each["strategy"]) for each in stated["columns"]} == columns


@pytest.mark.parametrize("ending", [".mp4", ".gif", ".webp"])
def test_it_plays(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("-o", f"all{ending}", "-o", "all.png", "--steps", "2", "--scale", "1", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert [each["label"] for each in summary["columns"]] == ["video alone", "image alone", "mixture"]
    assert summary["files"] == [f"all{ending}", "all.png"]
    for each in summary["columns"]:
        assert len(each["experts"]) == Strategy.from_dict(each["strategy"]).steps == 2
        assert sum(each["calls"].values()) == 2
    assert summary["columns"][0]["experts"] == [{"video": 1.0}] * 2
    if ending == ".mp4":
        with av.open("all.mp4") as container:
            pages = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            assert float(container.streams.video[0].average_rate) == 12.5
    else:
        with Image.open(f"all{ending}") as image:
            pages = [np.asarray(image.convert("RGB")) for at in range(image.n_frames) if not image.seek(at)]
    assert len(pages) == SHAPE[1]
    first = read_metadata(f"all{ending}")
    assert (first["comparison"], first["created_by"]) == (1, "jvid compare")
    assert main(["sample", "--again", f"all{ending}", "-o", "again.png"]) == 2
    assert (
        "a comparison of several strategies: expected a file that jvid sample wrote"
        in capsys.readouterr().err
    )


def test_a_strategy_of_one_expert_is_its_column(capsys: pytest.CaptureFixture[str]) -> None:
    alone(STRATEGY, "video").save("video.json")
    assert (
        compare("--strategy", "video.json", "--paper", "64", "--steps", "2", "-o", "all.png", "--json") == 0
    )
    labels = [each["label"] for each in json.loads(capsys.readouterr().out)["columns"]]
    assert labels == ["image alone", "video", "Table 6 at 64"]


def test_options_change_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("--steps", "3", "--guidance", "1", "--frames", "2", "-o", "all.png", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert {Strategy.from_dict(each["strategy"]).steps for each in summary["columns"]} == {3}
    assert read_metadata("all.png")["frames"] == 2


@pytest.mark.parametrize(("words", "message"), [
    (["-o", "all.safetensors"], "ends in '.safetensors': expected .mp4, .gif, .webp, .png"),
    (["-o", "all.png", "-o", "./all.png"], "would be written twice"),
    (["-o", "no/all.png"], "there is no folder 'no'"),
    (["-o", "all.png", "--strategy", "absent.json"], "absent.json"),
    (["-o", "all.png", "--paper", "65"], "65"),
    (["-o", "all.png", "--strategy", "s.json", "--strategy", "s.json"], "label 's' is given twice"),
    (["-o", "all.png", "--strategy", "video alone=s.json"], "an expert alone has this label"),
    (["-o", "all.png", "--strategy", "early=other.json"], "early: "),
    (["-o", "all.png", "--selector", "always:name=nobody"], "nobody"),
])  # fmt: skip
def test_mistakes_before_a_network_loads(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    STRATEGY.save("s.json")
    Strategy("always:name=early").save("other.json")
    assert compare(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert built == []
    assert not Path("all.png").exists()


def test_an_unknown_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "a person flying", "--ensemble", "toy", "-o", "all.png"]) == 2
    assert "unknown prompt 'a person flying'" in capsys.readouterr().err
    assert built == []
