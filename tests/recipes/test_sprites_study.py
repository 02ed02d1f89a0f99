"""The sprites' study: its recipes and strategies are read, its prompts are of different characters, its classifier is trained."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest
from PIL import Image

import jvid
from jvid import paper
from jvid.ensemble.source import Source
from jvid.strategy.strategy import Strategy
from jvid_training.generation import generate
from jvid_training.recipe import load_recipe, to_document
from jvid_training.search.recipe import load_study
from jvid_training.search.rows import whole
from jvid_training.train.networks import build_network
from tests.search_tools import Real

RECIPE = Path(__file__).parents[2] / "recipes" / "sprites-64"
ROOT = RECIPE.parents[1]
KEYS = {
    "sex": "woman", "body": "tanned", "hair": "long", "hair_colour": "red", "head": "none", "facial": "none",
    "torso": "a maroon top", "legs": "red pants", "feet": "brown shoes", "cape": "none", "direction": "up",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def modules() -> Any:
    """The recipe's modules, which are scripts beside each other."""
    sys.path.insert(0, str(RECIPE))
    yield
    sys.path.remove(str(RECIPE))


def test_recipes_of_training_fit_each_other() -> None:
    frames, clips, own = (load_recipe(RECIPE / f"{name}.toml") for name in ("frames", "clips", "autoencoder"))
    autoencoder: Any = build_network(own)
    assert autoencoder.factor * frames.network["sample_size"] == frames.data.size == own.data.size
    assert {each.network["latent_channels"] for each in (frames, clips)} == {autoencoder.channels}
    assert clips.data.statistics == frames.data.latents
    assert frames.text == clips.text
    assert frames.codec == clips.codec
    parameters = sum(
        each.numel() for recipe in (frames, clips, own) for each in build_network(recipe).parameters()
    )
    assert 2 * parameters < 64e6, "bytes of all weights in half precision"


def test_controls_and_the_decoder_differ_in_what_they_state() -> None:
    """Controls are the clip expert's recipe but for their length and the stills; the decoder's run has the same encoder."""

    def document(name: str) -> dict[str, Any]:
        return to_document(load_recipe(RECIPE / f"{name}.toml"))

    def differing(one: dict[str, Any], other: dict[str, Any], path: str = "") -> set[str]:
        if not isinstance(one, dict):
            return {path} if one != other else set()
        assert one.keys() == other.keys()
        return {name for key in one for name in differing(one[key], other[key], f"{path}.{key}".strip("."))}

    clips, long, joint = (document(name) for name in ("clips", "clips-long", "clips-joint"))
    assert differing(clips, long) == {"name", "out", "training.steps", "training.init"}
    assert long["training"]["init"] == f"{clips['out']}/final/model.safetensors"
    # Equal training time: both controls go on from the clip expert, for as many steps.
    assert differing(long, joint) == {"name", "out", "training.stills"}
    assert joint["training"]["stills"] == load_recipe(RECIPE / "frames.toml").data.latents
    autoencoder, decoder = (document(name) for name in ("autoencoder", "decoder"))
    assert differing(autoencoder["network"], decoder["network"]) == {"decoder_layers_per_block"}
    assert decoder["training"]["init"] == f"{autoencoder['out']}/final/model.safetensors"


def test_studies_name_strategies_that_compose_with_their_experts() -> None:
    names = ("ablation", "sweep", "report", "planned", "paper", "shared-noise")
    ablation, sweep, report, planned, papers, shared = (load_study(RECIPE / f"{name}.toml") for name in names)
    assert sweep.sweep is not None
    named = [ablation.study.strategy, *ablation.ablation.strategies.values(), *sweep.sweep.points.values()]
    named += [*planned.ablation.strategies.values(), *sweep.ablation.strategies.values()]
    named += [*report.ablation.strategies.values(), *shared.ablation.strategies.values()]
    assert shared.study.strategy == report.ablation.strategies["the recommended"]
    assert attrs.evolve(papers.study, strategy=report.study.strategy) == report.study
    assert papers.study.strategy in named
    # The comment's command names rows that there are.
    stages = re.findall(
        r'--rows "?([^"\n]+?)"?(?= --|\n)', (RECIPE / "paper.toml").read_text(encoding="utf-8")
    )
    base = Strategy.load(ROOT / papers.study.strategy)
    assert {*stages} <= {*whole(base, 64, jvid.load("ensemble", "sprites-64"))}
    assert len(stages) == 3
    assert {Path(path).name for path in named} == {
        path.name for path in (RECIPE / "strategies").rglob("*.json")
    }
    oracle = "gaussian:schedule=scaled-linear,mean=.3,std=.5"
    experts_of = ("clips", "frames", "clips-long", "clips-joint", "clips-planned", "frames-planned")
    experts = dict.fromkeys(experts_of, oracle)
    source = Source(experts=experts, codec="pixels", shape=(3, 8, 16, 16), fps=8)
    others = {
        "clips-ddpm-50": {"clips"},
        "frames-guided-15": {"frames"},
        "frames-8-steps": {"frames"},
        "clips-long": {"clips-long"},
        "clips-joint": {"clips-joint"},
        "frames-shared-5": {"frames"},
        "frames-shared-9": {"frames"},
        "mixture-of-clips-long": {"clips-long", "frames"},
        "mixture-of-clips-joint": {"clips-joint", "frames"},
        "mixture": {"clips-planned", "frames-planned"},
    }
    from jvid import Composition

    for path in named:
        plan = Composition(Strategy.load(ROOT / path), source.load()).sampler().plan()
        used = {name for step in plan.steps for name in step.weights}
        assert used == others.get(Path(path).stem, {"clips", "frames"}), path
    prompts = [each.study.prompt_file for each in (ablation, report, planned, sweep)]
    assert prompts == [f"runs/sprites-64/{name}.txt" for name in ("report", "report", "report", "search")]
    strategies = [Strategy.load(ROOT / each.study.strategy).to_dict() for each in (report, planned)]
    assert strategies[0] == strategies[1], "both rows have the steps and switches of the mixture in 16 steps"
    recommended = Strategy.load(RECIPE / "strategies/recommended.json")
    assert recommended == jvid.load("ensemble", "sprites-64").strategy
    mixed = Strategy.load(RECIPE / "strategies/planned/mixture.json").to_dict()
    assert json.loads(json.dumps(mixed).replace("-planned", "")) == strategies[0]


def test_the_papers_row_is_table_6() -> None:
    """As it is printed, but for the names of the experts."""
    stated = Strategy.load(RECIPE / "strategies/paper.json").to_dict()
    expected = paper.strategy(64).to_dict()
    expected["selector"] += ",video=clips,image=frames"
    expected["experts"]["frames"] = expected["experts"].pop("image")
    assert stated == expected


def write_metadata(path: Path, count: int, **attributes: str) -> None:
    rows = [
        {
            "file_name": f"{k}-{v}.mkv",
            "text": [f"{k} does {v}", "brief"],
            "character": f"h{k:03}",
            **attributes,
        }
        for k in range(count)
        for v in "ab"
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_prompts_of_searches_and_of_reports_are_of_different_characters(tmp_path: Path, capsys) -> None:
    from prompts import main

    write_metadata(tmp_path / "metadata.jsonl", 130)
    assert main([str(tmp_path / "metadata.jsonl"), "-o", str(tmp_path / "out")]) == 0
    search, report = (
        (tmp_path / f"out/{name}.txt").read_text().splitlines() for name in ("search", "report")
    )
    assert sorted(search) == sorted(f"{k} does {v}" for k in range(100) for v in "ab")
    assert sorted(report) == sorted(f"{k} does {v}" for k in range(100, 130) for v in "ab")
    assert report != sorted(report)
    write_metadata(tmp_path / "metadata.jsonl", 100)
    assert main([str(tmp_path / "metadata.jsonl"), "-o", str(tmp_path / "none")]) == 2
    assert "100 characters, expected more than 100" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_classifier_of_sprites_is_trained_on_stills(tmp_path: Path, capsys) -> None:
    from attributes import KEYS as NAMES
    from attributes import main

    for split in ("train", "held-out"):
        folder = tmp_path / "stills" / split
        folder.mkdir(parents=True)
        rows = []
        for number in range(6):
            other = number % 2
            Image.fromarray(np.full((32, 32, 3), 60 + 120 * other, np.uint8)).save(folder / f"{number}.png")
            values = {key: value + other * " too" for key, value in {**KEYS, "action": "walks"}.items()}
            rows.append({"file_name": f"{number}.png", "text": "a woman walks", **values})
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["--stills", str(tmp_path / "stills"), "--steps", "80", "--batch", "4"]
    assert main([*given, "-o", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out/attributes.json").read_text())
    assert tuple(document["accuracy"]) == NAMES
    assert set(document["accuracy"].values()) == {1.0}
    assert main(["--stills", str(tmp_path / "nowhere"), "-o", str(tmp_path / "other")]) == 2
    assert capsys.readouterr().err.startswith("attributes.py: error: no folder of clips")


def test_ends_are_the_clips_nearest_to_their_true_clips_and_the_farthest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import ends

    real = Real(6)
    real.labels = tuple(f"clip {number}" for number in range(6))
    made = Real(6)
    made.labels = real.labels
    # Clip k differs from its true clip by `off[k]` of 255, clip 2 most and clip 4 least.
    off = np.array([3, 5, 9, 4, 1, 6], np.uint8)
    made._frames = real._frames + off[:, None, None, None, None]
    monkeypatch.setattr(ends, "ClipSet", SimpleNamespace(open=lambda path: made))
    monkeypatch.setattr(ends, "Evaluator", lambda study: SimpleNamespace(reference=real))
    words = ["set", str(RECIPE / "report.toml"), "-o", str(tmp_path / "out"), "-n"]
    assert ends.main([*words, "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":", 1)[1] for line in lines] == [
        f" clip {number}, {20 * np.log10(255 / off[number]):.1f} dB, clip {number}" for number in (2, 5, 4, 0)
    ]
    assert len(list((tmp_path / "out").glob("*.png"))) == 4
    assert ends.main([*words, "4"]) == 2
    made.labels = ("another", *real.labels[1:])
    assert ends.main([*words, "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_features_of_a_set_are_found_beside_the_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import one_frame

    source = Source(experts={"any": "gaussian:schedule=cosine"}, codec="pixels", shape=(3, 2, 8, 8), fps=4.0)
    made = generate(tmp_path / "sets/one", num=2, ensemble=source, prompts=["a"])
    real = np.random.default_rng(0).normal(size=(9, 2, 3))
    for name, features in (("real", real), (made.fingerprint[:32], real[:2] + 1), ("other", real[:2] + 2)):
        (tmp_path / "features" / name).mkdir(parents=True)
        np.save(tmp_path / "features" / name / "features.npy", features)
    folders = tmp_path / "features/real", tmp_path / "sets/one", tmp_path / "features/other"
    assert one_frame.main([*map(str, folders), "-n", "2"]) == 0
    found = capsys.readouterr().out
    assert (
        one_frame.main(
            [str(folders[0]), str(folders[0].parent / made.fingerprint[:32]), str(folders[2]), "-n", "2"]
        )
        == 0
    )
    assert capsys.readouterr().out == found


def test_one_frame_of_each_clip_gives_both_sets_as_many_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shift of all features by a, and nothing else, is a distance of d a^2: 4 times for twice the shift."""
    import one_frame

    real = np.random.default_rng(0).normal(size=(300, 4, 3))
    for name, features in (("real", real), ("first", real + 1), ("second", real + 2), ("fewer", real[:9])):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "features.npy", features)
    words = [str(tmp_path / name) for name in ("real", "first", "second")]
    assert one_frame.main([*words, "-n", "20"]) == 0
    every, one = capsys.readouterr().out.splitlines()
    assert every == "all frames: 3 and 12, 4.000 times"
    found = [float(number) for number in re.findall(r"\d\.\d{3}", one)]
    assert found == pytest.approx([4.0] * 3, rel=0.1)
    assert found[1] < found[0] < found[2]
    assert one_frame.main([*words[:2], str(tmp_path / "fewer")]) == 2
    assert "9 clips of 4 frames and 300 clips of 4 frames of the other set" in capsys.readouterr().err
    assert one_frame.main([words[0], words[0], words[2]]) == 2
    assert "is 0: expected features of other clips" in capsys.readouterr().err
    damaged: dict[str, Any] = {
        "300 clips of 2 frames and 300 clips of 4 frames of the other set": real[:, :2],
        "shape (300, 0, 3)": real[:, :0],
        "shape (300, 4, 0)": real[..., :0],
        "dtype complex128": real * 1j,
        "dtype <U3": np.full(real.shape, "abc"),
    }
    for expected, features in damaged.items():
        np.save(tmp_path / "fewer" / "features.npy", features)
        assert one_frame.main([*words[:2], str(tmp_path / "fewer")]) == 2
        assert expected in capsys.readouterr().err
    for content in (b"", b"PK\x03\x04"):
        (tmp_path / "fewer" / "features.npy").write_bytes(content)
        assert one_frame.main([*words[:2], str(tmp_path / "fewer")]) == 2
        assert "no features of a study" in capsys.readouterr().err
    assert one_frame.main([*words[:2], str(tmp_path)]) == 2
    assert "no features of a study" in capsys.readouterr().err
