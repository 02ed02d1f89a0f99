"""The cache of features: one pass, resumed, shared, damaged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jvid.errors import InputError
from jvid_training.evaluation import (
    FeatureCache,
)
from jvid_training.evaluation.networks.pixels import Pixels
from tests.evaluation_tools import Clips, Means, noise


def test_features_are_computed_once_in_one_pass(tmp_path: Path) -> None:
    source, first, second = Clips(noise(20)), Means(), Means("clip", "clip-means")
    made = FeatureCache(tmp_path).features(source, [first, second])
    assert source.shown == 3  # both networks saw the same three batches
    assert made["means"]["features"].shape == (20, 4, 3)
    np.testing.assert_allclose(made["means"]["features"], source.clips.mean((2, 3)), rtol=1e-6)
    again = FeatureCache(tmp_path).features(source, [first, Pixels()])
    assert (first.calls, source.shown) == (3, 6)
    np.testing.assert_array_equal(again["means"]["features"], made["means"]["features"])
    FeatureCache(tmp_path).features(source, [Means(fingerprint="means-2")])
    assert len(list(tmp_path.glob("means-*"))) == 2


class Broken(Means):
    """Stops at its third batch."""

    def __call__(self, frames):
        if self.calls == 2:
            raise KeyboardInterrupt
        return super().__call__(frames)


def rows_of(folder: Path) -> np.ndarray:
    return np.load(next(folder.glob("means-*/*/features.npy")))


def test_an_interrupted_pass_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Bit for bit as in one pass; another network in the same pass sees what it lacks and no more."""
    clips = noise(40)
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path).features(Clips(clips), [Broken()])
    again, other = Means(), Means(fingerprint="other")
    FeatureCache(tmp_path).features(Clips(clips), [again, Means("clip", "clip-means")])
    assert again.calls == 3  # of five
    FeatureCache(tmp_path / "whole").features(Clips(clips), [other])
    assert other.calls == 5
    np.testing.assert_array_equal(rows_of(tmp_path), rows_of(tmp_path / "whole"))
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("harm", ["cut", "longer", "no count", "other clips"])
def test_rows_that_cannot_be_relied_on_are_computed_again(tmp_path: Path, harm: str) -> None:
    clips = noise(40)
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path).features(Clips(clips), [Broken()])
    (part,) = tmp_path.rglob("*.part")
    rows = part / "features.npy"
    content = rows.read_bytes()
    if harm == "cut":
        rows.write_bytes(content[:-1])
    elif harm == "longer":  # killed between its rows and their count
        rows.write_bytes(content + content[-100:])
    elif harm == "no count":
        (part / "rows.json").unlink()
    else:
        rows.write_bytes(content.replace(b"(40,", b"(41,"))
    network = Means()
    FeatureCache(tmp_path).features(Clips(clips), [network])
    assert network.calls == (3 if harm == "longer" else 5)
    FeatureCache(tmp_path / "whole").features(Clips(clips), [Means()])
    np.testing.assert_array_equal(rows_of(tmp_path), rows_of(tmp_path / "whole"))


def test_of_two_that_ask_for_the_same_features_one_computes_them(tmp_path: Path) -> None:
    clips, networks = noise(40), [Means(), Means()]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda n: FeatureCache(tmp_path).features(Clips(clips), [n]), networks))
    assert sorted(network.calls for network in networks) == [0, 5]
    np.testing.assert_array_equal(*(each["means"]["features"] for each in found))


def test_a_full_disk_is_reported_and_what_is_finished_stays(tmp_path: Path, monkeypatch) -> None:
    from jvid_training.evaluation.resumable import ResumableArrays

    store = FeatureCache(tmp_path)
    store.features(Clips(noise(4)), [Means()])

    def full(self, made):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ResumableArrays, "add", full)
        with pytest.raises(
            InputError, match=r"cannot write features.*No space left on device; free the space"
        ):
            store.features(Clips(noise(4)), [Means(), Pixels()])
    assert len(list(tmp_path.rglob("meta.json"))) == 1
    store.features(Clips(noise(4)), [Means(), Pixels()])
    assert len(list(tmp_path.rglob("meta.json"))) == 2


def test_a_feature_file_of_another_network_or_damaged_is_refused(tmp_path: Path) -> None:
    store, source = FeatureCache(tmp_path), Clips(noise(5))
    store.features(source, [Means()])
    mine, other = (store.folder_of(network, source) for network in (Means(), Means(fingerprint="other")))
    other.parent.mkdir()
    mine.rename(other)
    with pytest.raises(
        InputError, match=r"are of another network \(means means-1, expected means other\)"
    ) as found:
        store.features(source, [Means(fingerprint="other")])
    assert "\n" not in str(found.value)
    other.rename(mine)
    (mine / "features.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"are damaged .*delete the folder"):
        store.features(source, [Means()])
