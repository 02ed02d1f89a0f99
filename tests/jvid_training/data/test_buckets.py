"""Buckets of sizes and lengths: which one a clip is encoded into, and that each step's batch is of one."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch import Tensor

from jvid.errors import InputError
from jvid_training.data.buckets import best_bucket, cost
from jvid_training.data.latents import encode
from jvid_training.data.loading import Share
from jvid_training.data.manifest import Manifest, load_manifest
from jvid_training.data.streams import generator
from jvid_training.data.windows import HELD_OUT_STEP, Windows
from jvid_training.evaluation.sources import RealClips
from jvid_training.recipe import CodecChoice, Data, structure_recipe
from jvid_training.recipe_buckets import Aspects, Bucket, buckets_of

CLIPS = [("walk", 9, 32, 32), ("walk", 12, 32, 48), ("stand", 16, 40, 32), ("stand", 4, 32, 32)]
"""Action, frames, height and width, by two actors each."""
UNBUCKETED = "79514d788bb7ce32cefc62f43679df85d261a72e7378943a77135a616c4053d2"
"""Of rows, sequences and drawn windows of these clips, before there were buckets. No processor rounds what it is of."""
BUCKETS = [{"height": 32, "width": 32, "frames": 8}, {"width": 48}, {"frames": 2}, {"height": 40}]


def strided(video: Tensor) -> Tensor:
    """A codec's ``encode`` without arithmetic: every eighth pixel."""
    return video[..., ::8, ::8]


def gradient(count: int, height: int, width: int, shade: int) -> np.ndarray:
    """Frames ``(f, h, w)`` uint8 in which every pixel is another one's neighbour."""
    f, y, x = np.ogrid[:count, :height, :width]
    return ((shade + 3 * x + 5 * y + 7 * f) % 256).astype(np.uint8)


def write_gif(path: Path, frames: np.ndarray) -> None:
    """A file of grey frames that is decoded to the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = (Image.fromarray(frame, "L") for frame in frames)
    first.save(path, save_all=True, append_images=others, duration=100, loop=0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the clips."""
    folder = tmp_path_factory.mktemp("clips")
    for number, (action, count, height, width) in enumerate(CLIPS):
        for actor in ("ann", "eve"):
            shade = 10 * number + len(actor)
            write_gif(folder / action / f"{actor}_{number}.gif", gradient(count, height, width, shade))
    return folder


def data_of(latents: Path, **values: Any) -> Data:
    document = {
        "root": "-",
        "latents": str(latents),
        "fps": 10.0,
        "frames": 4,
        "size": 32,
        "flip": True,
        "holdout": ["eve"],
    }
    recipe = {"name": "t", "kind": "video", "out": "-", "training": {"steps": 1, "batch": 1}}
    return structure_recipe({**recipe, "data": {**document, **values}}).data


def encoded(root: Path, latents: Path, **values: Any) -> Manifest:
    return encode(data_of(latents, **values), CodecChoice(), root, strided)


def digest_of(folder: Path) -> str:
    """Of the rows, the sequences, and what is drawn of them."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("shard-*")):
        found.update(path.name.encode() + (b"" if path.suffix == ".json" else path.read_bytes()))
    for name, array in sorted(load_file(folder / "index.safetensors").items()):
        found.update(name.encode() + array.tobytes())
    for split in ("train", "holdout"):
        windows = Windows(folder, split)
        for step in (0, 1, 7, HELD_OUT_STEP):
            for place in range(16):
                window = windows.draw(generator(3, step, place), windows.bucket(3, step, place))
                sequence = window.sequence
                found.update(f"{sequence.clip} {sequence.flip} {sequence.phase} {window.start}".encode())
    return found.hexdigest()


def test_a_recipe_without_buckets_encodes_and_draws_as_before(root: Path, tmp_path: Path) -> None:
    manifest = encoded(root, tmp_path)
    assert digest_of(tmp_path) == UNBUCKETED
    assert "buckets" not in json.loads((tmp_path / "manifest.json").read_text())
    assert "bucket" not in (tmp_path / "shard-00000.json").read_text()
    assert not {"buckets", "aspects"} & set(manifest.key["data"])
    assert Windows(tmp_path).bucket(0, 1, 2) is None


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoding with four buckets."""
    latents = tmp_path_factory.mktemp("latents")
    encoded(root, latents, buckets=BUCKETS)
    return latents


def test_each_clip_is_encoded_into_the_bucket_that_fits_it_best(root: Path, folder: Path) -> None:
    manifest = load_manifest(folder)
    assert manifest.buckets == (Bucket(32, 32, 8), Bucket(32, 48, 4), Bucket(32, 32, 2), Bucket(40, 32, 4))
    chosen = {sequence.clip.split("_")[1]: sequence.bucket for sequence in manifest.sequences}
    # Nine frames have the longest window of their size, four frames the one of two.
    assert chosen == {"0.gif": 0, "1.gif": 1, "2.gif": 3, "3.gif": 2}
    assert set(manifest.shards) == {
        f"shard-00000.{sides}.{kind}"
        for sides in ("32x32", "32x48", "40x32")
        for kind in ("latents", "frames")
    }
    windows = Windows(folder)
    for sequence in windows.sequences:
        number = int(sequence.clip.split("_")[1][0])
        action, count, height, width = CLIPS[number]
        assert (sequence.action, sequence.length) == (action, count)
        true = gradient(count, height, width, 10 * number + 3)  # pictures of a bucket's size are not touched
        rows = load_file(folder / f"{sequence.shard}.frames.safetensors")["rows"]
        rows = rows[sequence.offset : sequence.offset + count]
        shown = true[:, :, ::-1] if sequence.flip else true
        assert (rows == shown[..., None]).all(), sequence.clip
        latents = load_file(folder / f"{sequence.shard}.latents.safetensors")["rows"]
        pixels = shown[:, ::8, ::8].astype(np.float32) / np.float32(127.5) - 1
        assert np.allclose(latents[sequence.offset : sequence.offset + count, 0], pixels, atol=1e-6)


def test_statistics_are_of_all_buckets(folder: Path) -> None:
    manifest, values = load_manifest(folder), []
    for sequence in manifest.sequences:
        if sequence.actor == "ann":
            rows = load_file(folder / f"{sequence.shard}.latents.safetensors")["rows"]
            values.append(rows[sequence.offset : sequence.offset + sequence.length, 0].ravel())
    every = np.concatenate(values).astype(np.float64)
    assert manifest.mean == pytest.approx([every.mean()] * 3)
    assert manifest.std == pytest.approx([every.std()] * 3)


def test_a_clip_too_short_for_its_best_size_takes_another(root: Path, tmp_path: Path) -> None:
    """The pictures are decoded again, in the size of the one that is short enough; without any the clip is skipped."""
    buckets = [{"width": 48, "frames": 20}, {"frames": 10}]
    manifest = encoded(root, tmp_path, buckets=buckets)
    (wide,) = [s for s in manifest.sequences if s.clip == "walk/ann_1.gif" and not s.flip]
    assert (wide.bucket, wide.shard) == (1, "shard-00000.32x32")
    rows = load_file(tmp_path / "shard-00000.32x32.frames.safetensors")["rows"]
    middle = gradient(12, 32, 48, 13)[:, :, 8:40]
    assert (rows[wide.offset : wide.offset + 12] == middle[..., None]).all(), "the middle, not scaled"
    assert sorted(manifest.skipped) == [
        "stand/ann_3.gif",
        "stand/eve_3.gif",
        "walk/ann_0.gif",
        "walk/eve_0.gif",
    ]
    assert "4 frames at 10 fps, expected at least 10" in manifest.skipped["stand/ann_3.gif"]


class Drawing:
    """An objective whose samples state what was drawn."""

    def sample(self, windows: Windows, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        window = windows.draw(generator(seed, step, place), windows.bucket(seed, step, place))
        sequence = window.sequence
        row = list(windows.sequences).index(sequence)
        x = windows.latents(window)
        return {"row": torch.tensor([row, window.start, sequence.bucket]), "x": x}


def test_batches_are_of_one_bucket_on_any_number_of_processes(folder: Path) -> None:
    """A step's samples are those of one process, whoever shares them, and whatever step it begins at."""
    windows = Windows(folder)
    frames = [bucket.frames for bucket in windows.manifest.buckets]
    seen = set()
    for step in (5, 0, 1, 2, 3, 4):
        whole = Share(Drawing(), windows, 7, 8)(step, 0)
        (bucket,) = set(whole["row"][:, 2].tolist())
        seen.add(bucket)
        assert whole["x"].shape[2] == frames[bucket]
        parts = [
            Share(Drawing(), windows, 7, 8, 2, rank, 2)(step, part) for part in (0, 1) for rank in (0, 1)
        ]
        for name, values in whole.items():
            assert torch.equal(torch.cat([part[name] for part in parts]), values)
    assert len(seen) > 1


def test_buckets_keep_the_chances_of_windows(folder: Path) -> None:
    """An action with equal chances, then any of its windows: by count against the exact probability, at five sigma."""
    windows = Windows(folder)
    counts = {"walk": 2 * (2 + 9), "stand": 2 * (13 + 3)}
    exact = [4 / counts["walk"], 18 / counts["walk"], 6 / counts["stand"], 26 / counts["stand"]]
    assert windows.shares == pytest.approx([each / 2 for each in exact])
    assert len(windows) == sum(counts.values())
    steps, rows = 6000, Counter[tuple[str, bool, int]]()
    for step in range(steps):
        window = windows.draw(generator(1, step, 0), windows.bucket(1, step, 0))
        rows[window.sequence.clip, window.sequence.flip, window.start] += 1
    assert len(rows) == len(windows)
    for (clip, _, _), count in rows.items():
        p = 1 / (2 * counts[clip.split("/")[0]])
        assert abs(count - steps * p) < 5 * math.sqrt(steps * p * (1 - p)), clip


def test_actors_left_out_take_no_share(root: Path, tmp_path: Path) -> None:
    encoded(root, tmp_path, buckets=BUCKETS, holdout=[])
    one, all_of_them = Windows(tmp_path, leave_out=["eve"]), Windows(tmp_path)
    assert len(one) * 2 == len(all_of_them)
    assert one.shares == pytest.approx(all_of_them.shares)
    drawn = {one.draw(generator(0, s, 0), one.bucket(0, s, 0)).sequence.actor for s in range(50)}
    assert drawn == {"ann"}


def test_an_interrupted_encoding_goes_on(root: Path, folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("jvid_training.data.latents.SHARD_FRAMES", 48)  # three clips a block
    whole = encoded(root, tmp_path / "whole", buckets=BUCKETS)
    encoded(root, tmp_path / "part", buckets=BUCKETS)
    for name in ("manifest.json", "index.safetensors", "shard-00001.json"):
        (tmp_path / "part" / name).unlink()
    for path in (tmp_path / "part").glob("shard-00001.*"):
        path.unlink()
    again = encoded(root, tmp_path / "part", buckets=BUCKETS)
    assert {name.split(".")[0] for name in again.shards} == {"shard-00000", "shard-00003", "shard-00002"}
    assert [attrs.evolve(s, shard="", offset=0) for s in again.sequences] == [
        attrs.evolve(s, shard="", offset=0) for s in whole.sequences
    ]
    assert (again.mean, again.std) == (whole.mean, whole.std)
    with pytest.raises(InputError, match=r"holds latents of other settings.*buckets"):
        encoded(root, tmp_path / "part", buckets=BUCKETS[:3])


def test_a_damaged_row_names_the_shard_that_is_made_again(root: Path, tmp_path: Path) -> None:
    encoded(root, tmp_path, buckets=BUCKETS)
    path = tmp_path / "shard-00000.40x32.latents.safetensors"
    content = bytearray(path.read_bytes())
    content[1024 + 3] ^= 1
    path.write_bytes(content)
    windows = Windows(tmp_path)
    drawn = [windows.draw(generator(0, 0, place), 3) for place in range(60)]
    first = next(window for window in drawn if window.sequence.offset + window.start == 0)
    with pytest.raises(InputError, match=r"40x32.latents.* \(row 0 .*delete shard-00000.json"):
        windows.latents(first)


def test_metrics_refuse_a_reference_of_several_sizes(folder: Path, root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds clips of 3 sizes"):
        RealClips(folder, frames=2)
    encoded(root, tmp_path, buckets=[{"frames": 2}, {"frames": 9}])
    assert RealClips(tmp_path).frames == 9


def test_the_rule_gives_sizes_of_about_equal_area() -> None:
    sizes = Aspects(step=64, ratio=2.0).sizes(512)
    assert sizes[0] == (512, 512)
    # NovelAI's own list of its base resolution begins so: 512x512, 448x576, 384x640, ...
    assert {(448, 576), (576, 448), (384, 640), (640, 384)} <= set(sizes)
    assert all(h % 64 == w % 64 == 0 and max(h, w) <= 2 * min(h, w) for h, w in sizes)
    assert all(0.75 * 512**2 < h * w <= 512**2 for h, w in sizes)
    # No other multiple fits beside a width: of each, a larger height has more pixels than the square.
    assert all((max(h, w) + 64) * min(h, w) > 512**2 for h, w in sizes)
    data = data_of(Path("-"), aspects={"step": 8, "frames": [1, 4]})
    found = buckets_of(data)
    assert found[:2] == (Bucket(32, 32, 1), Bucket(32, 32, 4))
    assert {bucket.size for bucket in found} == {(32, 32), (24, 40), (40, 24)}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((240, 320), (56, 72)),
        ((720, 1280), (48, 80)),
        ((1280, 720), (80, 48)),
        ((100, 100), (64, 64)),
        ((9, 90), (48, 88)),
    ],
)
def test_of_equal_areas_the_nearest_ratio_is_chosen(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    buckets = buckets_of(data_of(Path("-"), size=64, aspects={"step": 8, "ratio": 1.9}))
    number = best_bucket(buckets, shape)
    assert number is not None
    nearest = min(buckets, key=lambda b: abs(math.log(b.width / b.height * shape[0] / shape[1])))
    assert buckets[number].size == nearest.size
    if expected in {bucket.size for bucket in buckets}:
        assert buckets[number].size == expected


def test_the_cost_of_a_bucket() -> None:
    assert cost(Bucket(32, 32, 1), (32, 32)) == 0
    assert cost(Bucket(32, 32, 1), (32, 64)) == pytest.approx(math.log(2)), "half of it is cut off"
    assert cost(Bucket(64, 64, 1), (32, 32)) == pytest.approx(math.log(2)), "enlarged to twice"
    assert cost(Bucket(16, 16, 1), (32, 32)) == pytest.approx(math.log(2)), "reduced to half"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"buckets": [{"width": 0}]}, r"data.buckets.*width: got 0, expected a number above 0"),
        (
            {"buckets": [{"width": 48, "hight": 3}]},
            r"hight: unknown key, expected one of frames, height, width",
        ),
        ({"buckets": [{}, {"frames": 4}]}, r"data.buckets: 32x32x4 is there twice"),
        ({"buckets": [{}], "aspects": {"step": 8}}, r"data.aspects beside data.buckets"),
        ({"aspects": {"step": 64}}, r"data.aspects: no sides of multiples of 64"),
        ({"aspects": {"step": 8, "ratio": 0.5}}, r"data.aspects.ratio: got 0.5, expected 1 or more"),
        ({"aspects": {"step": 8, "frames": [0]}}, r"data.aspects.frames: got \[0\], expected 1 or more"),
        ({"buckets": [{"width": 48}], "crop": "person"}, r"data.crop = 'person' cuts squares"),
        ({"buckets": [{"width": 48}], "crop_size": 20}, r"data.crop_size cuts squares"),
    ],
)
def test_buckets_that_are_none_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        data_of(Path("-"), **values)
    assert "\n" not in str(caught.value)
