"""Sources, the feature cache, the classifier of actions, figures and `jvid evaluate` on tiny data."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from jvid.errors import InputError
from jvid.plugins import hookimpl
from jvid_training.evaluation import (
    Coded,
    EvaluationResult,
    FeatureCache,
    Figure,
    RealClips,
    evaluate,
    real_floor,
)
from jvid_training.evaluation.evaluating import ProtocolWarning
from jvid_training.evaluation.figures import base_of, load, named, save
from jvid_training.evaluation.metrics.coherence import agreement, identity
from jvid_training.evaluation.recognition import Linear, proportion, train_recogniser
from jvid_training.evaluation.sources import Subset, check_agreement
from tests.evaluation_tools import Clips, Means, noise
from tests.training_tools import prepare, rows_of


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two actions by three actors, one held out, mirrored too: 12 sequences of 12 or more frames, windows of 8."""
    folder = tmp_path_factory.mktemp("evaluation")
    prepare(folder)
    return folder / "latents"


class Identity:
    """A codec that changes nothing, or darkens."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def encode(self, video):
        return video

    def decode(self, latents):
        return latents * self.gain


def every(source) -> np.ndarray:
    return np.concatenate(list(source.batches(5)))


def test_real_clips_are_one_window_of_each_sequence(latents: Path) -> None:
    real = RealClips(latents, phrases={"walk": "walking about"})
    assert (len(real), real.frames, real.size, real.fps) == (12, 8, (32, 32), 12.5)
    assert set(real.labels) == {"stand", "walking about"}
    clips = every(real)
    assert clips.shape == (12, 8, 32, 32, 3)
    np.testing.assert_array_equal(clips, np.concatenate(list(real.batches(12))))
    # Each is a run of consecutive frames of its own sequence.
    for clip, (sequence, offset) in zip(clips, real._windows, strict=True):
        stored = rows_of(latents, sequence, "frames")
        np.testing.assert_array_equal(clip, stored[offset : offset + 8])
        assert offset + 8 <= sequence.length


def test_a_window_does_not_depend_on_which_others_are_chosen(latents: Path) -> None:
    whole = {(s.clip, s.flip): start for s, start in RealClips(latents)._windows}
    for options in ({"actors": "held-out"}, {"actors": "training"}, {"mirrored": False}):
        part = {(s.clip, s.flip): start for s, start in RealClips(latents, **options)._windows}
        assert part.items() < whole.items()
    starts = {seed: tuple(o for _, o in RealClips(latents, seed=seed)._windows) for seed in range(4)}
    assert len(set(starts.values())) > 1
    several = RealClips(latents, windows=3)
    assert len(several) == 36
    assert [o for _, o in several._windows[::3]] == [o for _, o in RealClips(latents)._windows]


def test_actors_and_fingerprints(latents: Path) -> None:
    held, training = RealClips(latents, actors="held-out"), RealClips(latents, actors="training")
    assert set(held.actors) == {"eve"}
    assert set(training.actors) == {"ann", "bob"}
    assert len(held) + len(training) == 12
    prints = {one.fingerprint for one in (held, training, RealClips(latents), RealClips(latents, windows=2))}
    assert len(prints) == 4
    assert RealClips(latents).fingerprint == RealClips(latents).fingerprint
    with pytest.raises(InputError, match="holds no clips of all actors with 99 frames"):
        RealClips(latents, frames=99)
    with pytest.raises(InputError, match="no latents in"):
        RealClips(latents / "absent")


def test_coded_clips_and_subsets(latents: Path) -> None:
    real = RealClips(latents)
    same, dark = Coded(real, Identity()), Coded(real, Identity(0.5))
    np.testing.assert_array_equal(every(same), every(real))
    assert not np.array_equal(every(dark), every(real))
    assert len({real.fingerprint, same.fingerprint, dark.fingerprint}) == 3
    some = Subset(real, lambda label, index: label == "walk" and index > 3)
    np.testing.assert_array_equal(every(some), every(real)[some.chosen])
    assert set(some.labels) == {"walk"}
    assert Coded(some, Identity()).actors == tuple(real.actors[index] for index in some.chosen)


@pytest.mark.parametrize(
    ("other", "stated"),
    [
        (Clips(noise(3, side=16), "b"), "size 16x16 of b is not the 8x8 of the reference a"),
        (Clips(noise(3, frames=5), "b"), "frames 5 of b is not the 4"),
        (Clips(noise(3), "b", fps=25), "frame rate 25 of b is not the 12.5"),
        (Clips(noise(0), "b"), "b has no clips"),
    ],
)
def test_clips_of_another_kind_are_refused_in_one_line(other: Clips, stated: str) -> None:
    with pytest.raises(InputError) as found:
        check_agreement(other, Clips(noise(3), "a"))
    assert stated in str(found.value)
    assert "\n" not in str(found.value)


def test_agreement_and_identity_of_features() -> None:
    turn = np.linspace(0, np.pi / 2, 4)
    features = np.stack([np.cos(turn), np.sin(turn)], -1)[None]
    np.testing.assert_allclose(agreement(features), [np.cos(np.pi / 6)])
    np.testing.assert_allclose(identity(features), [0], atol=1e-12)
    np.testing.assert_allclose(identity(features[:, :1]), agreement(features[:, :1]))


def test_the_classifier_is_regularised_logistic_regression() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="compared with scikit-learn")
    random = np.random.default_rng(0)
    for count, width in ((90, 5), (40, 120)):
        labels = [("a", "b", "c")[index % 3] for index in range(count)]
        rows = (
            random.standard_normal((count, width))
            + np.asarray([ord(label) for label in labels])[:, None] * 0.3
        )
        found = Linear.fit(rows, labels, 0.1)
        other = linear_model.LogisticRegression(C=1 / (0.1 * count), tol=1e-10, max_iter=5000)
        standard = (rows - rows.mean(0)) / (rows.std(0) + 1e-6)
        other.fit(standard, labels)
        np.testing.assert_allclose(found.weight, other.coef_, atol=2e-3)
        assert found.predict(rows) == other.predict(standard).tolist()


def test_the_recogniser_is_judged_on_actors_that_it_did_not_see() -> None:
    """The action is one direction; a held-out actor who does it the other way round is missed."""
    random = np.random.default_rng(0)
    actors = [actor for actor in "abcd" for _ in range(20)]
    labels = ["run" if index % 2 else "walk" for index in range(80)]
    rows = random.standard_normal((80, 6)) * 0.1
    rows[:, 0] += np.where(np.asarray(labels) == "run", 1, -1)
    rows[60:, 0] *= -1
    found = train_recogniser("net", {"pooled": rows, "features": rows[:, 1:]}, labels, actors, ["d"])
    assert (found.layer, found.left_out, found.held_out) == ("pooled", (60, 60), (0, 20))
    assert found.actors == ("a", "b", "c")
    assert found.prompted(["Walk.", "run", "jump", ""]) == ["walk", "run", None, None]
    with pytest.raises(InputError, match="1 actors to train"):
        train_recogniser("net", {"pooled": rows}, labels, actors, ["b", "c", "d"])
    assert proportion(8, 10) == (0.8, pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


def test_names_have_the_network_and_the_number() -> None:
    clips, frames = (2048, "clips"), (50_000, "frames")
    assert named("FVD[i3d]", 2048, clips) == "FVD[i3d]"
    assert named("FVD[i3d]", 2047, clips) == "FVD[i3d, 2047 clips]"
    assert named("FID", 1536, frames) == "FID[1536 frames]"
    assert named("IS[efficientnet-lite0]", 96, frames) == "IS[efficientnet-lite0, 96 frames]"
    for base, size in (("FVD[i3d]", clips), ("FID", frames), ("IS[x]", frames)):
        assert base_of(named(base, 5, size)) == base_of(named(base, 10**6, size)) == base


def test_evaluation_of_clips_with_floors_and_back_from_json(latents: Path, tmp_path: Path) -> None:
    real = RealClips(latents)
    source = Clips(noise(9, frames=8, side=32), "noise", ["walk", "stand", ""] * 3)
    networks = [Means("clip", "clip-means"), Means()]
    with pytest.warns(ProtocolWarning, match="noise has 9 clips, fewer than the protocol requires") as stated:
        found = evaluate(source, real, networks, cache=tmp_path, bootstrap=20)
    assert len([one for one in stated if one.category is ProtocolWarning]) == 1
    assert list(found.figures) == [
        "FVD[clip-means, 9 clips]", "FID[means, 72 frames]", "IS[means, 72 frames]", "agreement[means]",
        "identity[means]", "flicker", "flicker ratio", "jerk", "jerk ratio", "action[clip-means]",
    ]  # fmt: skip
    figure = found["FVD[clip-means]"]
    assert figure.low < figure.value < figure.high
    assert found["flicker ratio"].value == pytest.approx(
        found["flicker"].value / found.floor("flicker").value
    )
    assert found["action[clip-means]"].note.endswith("of 6 clips")
    floor = found.floor("FVD[clip-means, 9 clips]")
    assert 0 < floor.value < figure.value
    assert "halves of 6 files" in floor.note
    assert found.floor("flicker ratio").value == pytest.approx(1)
    assert found.recognition["held_out"][1] == 4
    save([found], tmp_path / "figures.json")
    assert load(tmp_path / "figures.json") == [found]
    assert EvaluationResult.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(KeyError, match="no figure 'FVD'"):
        found["FVD"]


def test_the_same_clips_are_at_no_distance_and_order_means_nothing(latents: Path, tmp_path: Path) -> None:
    real = RealClips(latents)
    options = {"networks": [Means("clip", "c"), Means()], "cache": tmp_path, "bootstrap": 0, "floors": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ProtocolWarning)
        same = evaluate(Coded(real, Identity()), real, **options)
        turned = evaluate(Clips(every(real)[::-1].copy()), real, **options)
        dark = evaluate(Coded(real, Identity(0.9)), real, **options)
    for name in ("FVD[c]", "FID[means]"):
        assert abs(same[name].value) < 1e-6 * dark[name].value
        assert turned[name].value == pytest.approx(0, abs=1e-6 * dark[name].value)
        assert (same[name].low, same[name].high) == (None, None)
    # Of real clips only those of an actor who was not trained on are asked for.
    assert same["action[c]"].note.endswith("of 4 clips")


def test_sides_of_the_real_floor_share_no_file(latents: Path, tmp_path: Path) -> None:
    """Mirror images have the same colours: on both sides of a split they would bring the distance to nothing."""
    real = RealClips(latents, windows=4)
    floor = real_floor(real, [Means("clip", "c")], cache=FeatureCache(tmp_path))["FVD[c]"]
    features = FeatureCache(tmp_path).features(real, [Means("clip", "c")])["c"]["features"]
    from jvid_training.evaluation.statistics import frechet_distance, moments_of

    mirrored = np.asarray([s.flip for s, _ in real._windows])
    across = frechet_distance(*(moments_of(features, np.flatnonzero(side)) for side in (mirrored, ~mirrored)))
    assert floor.low > 3 * across


def test_networks_of_one_name_are_refused(latents: Path) -> None:
    real = RealClips(latents)
    with pytest.raises(InputError, match="feature networks means, means: expected different names"):
        evaluate(real, real, [Means(), Means("clip")])


def test_wrong_json_is_reported(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"evaluations": [{"format": 1}]}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError, match="evaluate again"):
            load(tmp_path / "x.json")
    with pytest.raises(InputError, match="format 7: expected 1"):
        EvaluationResult.from_dict({"format": 7})


def test_the_command_prints_a_table_and_writes_json(
    latents: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    from jvid_training.evaluation import cli, networks

    monkeypatch.setattr(
        networks, "load_network", lambda text: Means("clip" if text == "i3d" else "frame", text)
    )
    monkeypatch.setattr(cli, "_codec", lambda name, real: Identity(0.9))
    monkeypatch.setenv("COLUMNS", "160")
    out = tmp_path / "figures.json"
    cli.evaluate(
        ["real:held-out", "codec:dark"], str(latents), network=None, codec_floor=["dark"], out=out,
        cache=tmp_path / "cache", bootstrap=10, threads=1,
    )  # fmt: skip
    shown = capsys.readouterr()
    for text in (
        "real against real",
        "codec dark",
        "FVD[i3d]",
        "flicker ratio",
        "action classifier on real clips",
    ):
        assert text in shown.out
    assert shown.err.count("fewer than the protocol requires") == 2
    evaluations = load(out)
    assert [one.source for one in evaluations] == ["real, held-out", "codec:dark"]
    assert evaluations[1]["FVD[i3d]"].value == evaluations[0].floor("FVD[i3d]", "codec dark").value
    assert isinstance(evaluations[0]["FVD[i3d]"], Figure)


def test_the_summary_is_one_json_object_on_stdout(latents: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    from jvid.cli import main
    from jvid_training.evaluation import networks

    monkeypatch.setattr(networks, "load_network", lambda text: Means("frame", text))
    words = ["codec:pixels", "-r", str(latents), "--network", "means", "--codec-floor", "pixels:scale=2"]
    assert main(["evaluate", *words, "--bootstrap", "5", "--json", "--cache", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    (line,) = shown.out.splitlines()
    stated = json.loads(line)
    (one,) = map(EvaluationResult.from_dict, stated["evaluations"])
    assert (stated["file"], one.source) == (None, "codec:pixels")
    assert list(one.floors) == ["real", "codec pixels:scale=2"]
    assert one["FID[means]"].value == pytest.approx(0.0, abs=1e-6), "pixels in, pixels out"


class Normalised:
    """A codec whose latents are normalised."""

    def __init__(self, mean: list[float], std: list[float], gain: float = 1.0) -> None:
        self.mean, self.std, self.gain = mean, std, gain

    def decode(self, latents):
        return latents


def test_a_codec_is_a_registered_one_or_an_ensembles(latents: Path, tmp_path: Path) -> None:
    """One that is normalised gets the reference's statistics; options are given as everywhere."""
    from jvid.ensemble.pixels import PixelCodec
    from jvid.plugins.registrar import Registrar
    from jvid.plugins.registry import using
    from jvid_training.evaluation.cli import _codec
    from tests.toy import toy_registry

    class Plugin:
        @hookimpl
        def jvid_register(self, register: Registrar) -> None:
            register.codec("normalised", Normalised)

    real, registry = RealClips(latents), toy_registry()
    registry.add(Plugin(), "codecs")
    with using(registry):
        made = _codec("normalised:gain=2", real)
        assert (made.mean, made.std, made.gain) == (real.manifest.mean, real.manifest.std, 2)
        assert _codec("pixels:scale=3", real) == PixelCodec(3)
        assert hasattr(_codec("toy", real), "decode")
        for name, stated in (
            (
                "absent",
                "no codec or ensemble 'absent': expected one of pixels, normalised, toy, or an ensemble's",
            ),
            ("pixels:scale=0", "scale 0: expected a number above 0"),
            ("pixels:size=3", "size"),
        ):
            with pytest.raises(InputError, match=stated):
                _codec(name, real)


def test_the_command_is_listed_and_reports_wrong_sets_in_one_line(
    latents: Path, tmp_path: Path, capsys
) -> None:
    from jvid.cli import main

    for arguments, stated in (
        ([str(tmp_path), "-r", str(tmp_path / "absent")], "no latents in"),
        (["codec:absent", "-r", str(latents)], "no codec or ensemble 'absent'"),
        (["real:held-out", "-r", str(latents), "--network", "vgg"], "unknown features 'vgg'"),
        ([str(tmp_path), "-r", str(latents)], str(tmp_path)),
    ):
        assert main(["evaluate", *arguments]) == 2
        error = capsys.readouterr().err
        assert stated in error.replace("\n", "")
        assert "Traceback" not in error
