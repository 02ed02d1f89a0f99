"""Metrics against the clip whose caption a prompt is: distances, and attributes that a classifier reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import jvid
from jvid.cli import main
from jvid.core.metrics import Resampling
from jvid.errors import InputError, MissingDependencyError
from jvid.media.clips import whole_clip
from jvid.testing import conforms
from jvid_training.evaluation.attributes import train_attributes, values_of
from jvid_training.evaluation.metrics.attributes import Attributes
from jvid_training.evaluation.networks.attributes import AttributeClassifier, AttributeNetwork
from jvid_training.evaluation.sources import RealClips
from tests.caption_tools import captioned, captions_of, make_captioned
from tests.evaluation_tools import Clips, noise
from tests.training_tools import write_recipe

KEYS = ("colour", "action")


def of(array: np.ndarray, labels: list[str], captions: Any = None, attributes: Any = None) -> Any:
    """Clips in memory with captions and attributes."""
    made: Any = Clips(array, labels=labels)
    made.captions = captions or [(label,) for label in labels]
    made.attributes, made.features = attributes, ()
    return made


def value(name: str, clips: Any, reference: Any) -> Any:
    return jvid.load("metric", name).compute(clips, reference, Resampling())


def test_the_distances_are_their_formulas_for_the_clip_of_the_caption() -> None:
    true, made = noise(3, seed=1), noise(2, seed=2)
    reference = of(true, ["a", "b", "c"], [("a", "an a"), ("b",), ("c",)])
    clips = of(made, ["C. ", "an a"])
    x, y = made.astype(float), true[[2, 0]].astype(float)
    psnr = [20 * np.log10(255) - 10 * np.log10(((a - b) ** 2).mean()) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(value("psnr", clips, reference), psnr, rtol=1e-12)
    look = [
        20 * np.log10(255) - 10 * np.log10(((a.mean(0) - b.mean(0)) ** 2).mean())
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(value("psnr-mean-frame", clips, reference), look, rtol=1e-12)
    error = [np.abs((a[1:] - a[:-1]) - (b[1:] - b[:-1])).mean() for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(value("motion-error", clips, reference), error, rtol=1e-12)


def test_the_closest_of_several_counts_and_other_prompts_do_not() -> None:
    true = noise(3, seed=3)
    reference = of(true, ["a", "a", "b"])
    clips = of(np.stack([true[1], true[2], true[0]]), ["a", "z", "b"])
    found = value("psnr", clips, reference)
    assert found.shape == (2,)
    assert found[0] == 100.0, "equal to the second clip of its caption"
    assert found[1] < 20, "another clip than its caption's"
    assert value("psnr", of(true[:1], ["z"]), reference) is None
    assert value("motion-error", of(true[:1], [""]), reference) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captioned clips of 32x32, encoded."""
    folder = tmp_path_factory.mktemp("truth")
    make_captioned(folder / "clips")
    recipe = captioned(folder) | {"codec": {"name": "pixels"}}  # needs no weights
    assert main(["encode", str(write_recipe(folder / "recipe.toml", recipe))]) == 0
    return folder


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Path:
    """A folder of a classifier of colours and actions, barely trained."""
    files = stated(folder)
    accuracy = train_attributes(files, files, KEYS, folder / "classifier", steps=24, batch=6)
    assert accuracy["colour"] == 1.0, "three colours are learned at once"
    return folder / "classifier"


def stated(folder: Path) -> list[Any]:
    from jvid_training.data.captions import find_files
    from jvid_training.recipe import structure_recipe

    return find_files(folder / "clips", structure_recipe(captioned(folder)).data)


def test_training_writes_what_the_network_reads(classifier: Path, folder: Path) -> None:
    document = json.loads((classifier / "attributes.json").read_text())
    assert document["values"] == {"colour": ["blue", "green", "red"], "action": ["waits", "walks"]}
    assert document["held_out"] == 6
    network = AttributeNetwork(classifier)
    frames = np.stack([whole_clip(file.path).frames[:2] for file in stated(folder)])
    rows = network(frames)
    logs = network.log_probabilities(rows["logits"])
    assert {key: each.shape for key, each in logs.items()} == {"colour": (6, 2, 3), "action": (6, 2, 2)}
    np.testing.assert_allclose(np.exp(logs["colour"]).sum(-1), 1, rtol=1e-5)
    seen = logs["colour"].mean(1).argmax(-1)
    assert [network.values["colour"][each] for each in seen] == [
        file.attributes["colour"] for file in stated(folder)
    ]
    conforms("features", network, examples=4).raise_for_failures()


def test_the_share_of_attributes_counts_what_the_captions_state(classifier: Path, folder: Path) -> None:
    """A classifier that says what it is made to: colour of the first clip right, action wrong; the second the other way."""
    network = AttributeNetwork(classifier)
    frames = np.zeros((2, 1, 32, 32, 3), np.uint8)
    reference = of(
        frames, ["red walks", "blue waits"], [("red walks", "walks"), ("blue waits",)],
        [{"colour": "red", "action": "walks"}, {"colour": "blue", "action": "waits"}],
    )  # fmt: skip
    logits = np.log(
        np.array([[[0.1, 0.1, 0.8, 0.9, 0.1]], [[0.2, 0.6, 0.2, 0.7, 0.3]]])
    )  # blue green red, waits walks
    clips = of(frames, ["red walks", "blue waits"])
    clips.features = ({"logits": logits, "features": logits},)
    both = Attributes(network, KEYS)
    assert both.compute(clips, reference, Resampling()).tolist() == [0.5, 0.5]
    assert both.name == "attributes"
    one = Attributes(network, ("colour",))
    assert one.compute(clips, reference, Resampling()).tolist() == [1.0, 0.0]
    assert one.name == "attributes[colour]"
    assert both.compute(clips, of(frames, ["x", "y"]), Resampling()) is None, "no attributes stated"


def test_an_open_attribute_does_not_count(classifier: Path) -> None:
    network = AttributeNetwork(classifier)
    frames = np.zeros((2, 1, 32, 32, 3), np.uint8)
    reference = of(
        frames,
        ["a", "a"],
        None,
        [{"colour": "red", "action": "walks"}, {"colour": "blue", "action": "walks"}],
    )
    clips = of(frames[:1], ["a"])
    logits = np.array([[[5.0, 0, 0, 0, 5.0]]])
    clips.features = ({"logits": logits, "features": logits},)
    assert Attributes(network, KEYS).compute(clips, reference, Resampling()).tolist() == [1.0]
    assert Attributes(network, ("colour",)).compute(clips, reference, Resampling()) is None


def test_evaluate_names_them_and_takes_held_out_clips_alone(classifier: Path, folder: Path, capsys) -> None:
    metric = f"attributes:path={classifier},leave_out=action"
    given = ["evaluate", "real:held-out", "-r", str(folder / "recipe.toml"), "--actors", "held-out", "--json"]
    assert main([*given, "--metric", metric, "--metric", "psnr", "--bootstrap", "3"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert found["clips"] == 2
    real = RealClips.of_recipe(folder / "recipe.toml", actors="held-out")
    assert real.captions == tuple(tuple(captions_of("blue", verb)) for verb in ("waits", "walks"))
    network = AttributeNetwork(classifier)
    rows = network(next(real.batches()))["logits"]
    seen = network.log_probabilities(rows)["colour"].mean(1).argmax(-1)
    share = np.mean([network.values["colour"][each] == "blue" for each in seen])
    assert {name.split(",")[0]: each["value"] for name, each in found["figures"].items()} == {
        "attributes[colour]": share, "PSNR": 100.0,
    }  # fmt: skip
    report = conforms("metric", jvid.load("metric", "attributes", path=str(classifier)), examples=2)
    assert [each.check for each in report.outcomes if each.status == "failed"] == []


def test_wrong_classifiers_and_attributes_are_one_line(
    classifier: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(MissingDependencyError, match=r"no attributes\.json in .*nowhere"):
        AttributeNetwork(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"attribute 'shoes': the classifier in .* knows colour, action"):
        jvid.load("metric", "attributes", path=str(classifier), keys=["shoes"])
    with pytest.raises(InputError, match="no attribute is left"):
        jvid.load("metric", "attributes", path=str(classifier), leave_out=list(KEYS))
    files = stated(folder)
    with pytest.raises(InputError, match="no attribute 'shoes'"):
        values_of(files, ["shoes"])
    with pytest.raises(InputError, match="'colour' has one value, 'red'"):
        values_of([file for file in files if file.attributes["colour"] == "red"], ["colour"])
    training = [file for file in files if file.attributes["colour"] != "blue"]
    with pytest.raises(InputError, match="colour 'blue' is of no training file"):
        train_attributes(training, files, KEYS, tmp_path / "out", steps=1)
    assert not (tmp_path / "out").exists()
    with torch.device("meta"):
        other = AttributeClassifier({"colour": ("a", "b"), "action": ("c", "d")})
    document = json.loads((classifier / "attributes.json").read_text())
    document["values"] = {key: list(each) for key, each in other.values.items()}
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong/attributes.json").write_text(json.dumps(document))
    (tmp_path / "wrong/model.safetensors").write_bytes((classifier / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"model\.safetensors does not fit attributes\.json"):
        AttributeNetwork(tmp_path / "wrong")
