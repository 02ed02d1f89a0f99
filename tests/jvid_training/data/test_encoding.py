"""Encoding by several processes: each clip once, with the bits of one process, resumed, by one writer."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

import jvid
from jvid.errors import InputError, JvidError
from jvid.files import write_json
from jvid_models.codecs import ImageCodec
from jvid_training.data import blocks, encoder, latents
from jvid_training.data import workers as module
from jvid_training.data.blocks import Alone
from jvid_training.data.checks import check_same_everywhere
from jvid_training.data.encoder import FrameEncoder, encoder_of
from jvid_training.data.encoding import encode_recipe
from jvid_training.data.manifest import key_of, load_manifest
from jvid_training.jobs import agreement, pool
from jvid_training.jobs.locks import Lock
from jvid_training.jobs.ranks import ranks
from jvid_training.recipe import CodecChoice, Recipe, structure_recipe
from tests.forks import Workers, run_ranks
from tests.training_tools import document, make_clips


def tiny_autoencoder(folder: Path) -> None:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    AutoencoderKL(block_out_channels=(4, 4), norm_num_groups=2, **blocks).save_pretrained(folder)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("several")
    make_clips(folder / "clips")
    tiny_autoencoder(folder / "codec")
    found = structure_recipe(document(folder))
    return attrs.evolve(found, codec=CodecChoice("autoencoder", {"folder": str(folder / "codec")}))


@pytest.fixture(autouse=True)
def _a_shard_for_each_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "SHARD_FRAMES", 1)


def into(recipe: Recipe, folder: Path) -> Recipe:
    return attrs.evolve(recipe, data=attrs.evolve(recipe.data, latents=str(folder)))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


@pytest.fixture(scope="module")
def alone(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "SHARD_FRAMES", 1)
        encode_recipe(into(recipe, folder))
    return contents(folder)


def test_workers_write_what_one_process_writes(
    recipe: Recipe, alone: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers()
    monkeypatch.setattr(pool, "_started", workers)
    seen: list[tuple[int, int]] = []
    manifest = encode_recipe(
        into(recipe, tmp_path), workers=3, advance=lambda done, total, clip: seen.append((done, total))
    )
    assert contents(tmp_path) == alone
    assert len(alone) == 6 * 3 + 3
    assert len(workers.started) == 3
    assert seen == [(done, 6) for done in range(7)]
    assert manifest == load_manifest(tmp_path)


def test_processes_of_a_job_write_what_one_writes(
    recipe: Recipe, alone: dict[str, bytes], tmp_path: Path
) -> None:
    def work() -> int:
        return 0 if len(encode_recipe(into(recipe, tmp_path)).sequences) == 12 else 1

    codes, printed = run_ranks(2, work)
    assert codes == [0, 0], printed
    assert contents(tmp_path) == alone


def test_a_folder_that_nodes_do_not_share_is_refused(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> int:
        try:
            encode_recipe(into(recipe, tmp_path / os.environ["RANK"]))
        except InputError as error:
            print(error)
            return 2
        return 0

    monkeypatch.setattr(agreement, "_PATIENCE", 0.0)
    for rank in (0, 1):  # what another encoding left is no sign of a folder that both see
        (tmp_path / f"{rank}").mkdir()
        write_json(tmp_path / f"{rank}/key.json", key_of(recipe.data, recipe.codec))
    codes, printed = run_ranks(2, work)
    assert codes == [2, 2], printed
    lines = printed.strip().splitlines()
    assert len(lines) == 2
    assert all("the processes do not see one folder at" in line for line in lines)
    assert not (tmp_path / "0/manifest.json").exists()


def test_processes_of_other_data_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    def work() -> int:
        data = attrs.evolve(recipe.data, latents=str(tmp_path), fps=12.5 + int(os.environ["RANK"]))
        try:
            encode_recipe(attrs.evolve(recipe, data=data))
        except InputError as error:
            print(error)
            return 2
        return 0

    codes, printed = run_ranks(2, work)
    assert codes == [2, 2], printed
    assert printed.count("the data of the recipe: process 1 on ") == 2
    assert not list(tmp_path.iterdir())


def test_an_error_of_one_process_is_that_of_all(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(block, data, encoder, folder, finished) -> None:
        raise InputError("a disk is full")

    def work() -> int:
        if os.environ["RANK"] == "1":
            monkeypatch.setattr(blocks, "encode_block", fails)
        try:
            encode_recipe(into(recipe, tmp_path))
        except JvidError as error:
            print(error)
            return 2
        return 0

    codes, printed = run_ranks(2, work)
    assert codes == [2, 2], printed
    assert sorted(printed.strip().splitlines()) == ["a disk is full", "process 1: a disk is full"]
    assert not (tmp_path / "manifest.json").exists()


def test_clips_that_nobody_encoded_are_named(recipe: Recipe, tmp_path: Path) -> None:
    class Loses(Alone):
        def encode_blocks(self, every, data, folder, finished) -> None:
            super().encode_blocks(list(every)[1:], data, folder, finished)

    data = into(recipe, tmp_path).data
    encoder = encoder_of(jvid.load("codec", "autoencoder", **recipe.codec.options))
    with pytest.raises(JvidError, match=r"no finished shard holds stand/ann_stand\.avi; the same command"):
        latents.encode(data, recipe.codec, Path(data.root), Loses(encoder))
    whole = latents.encode(data, recipe.codec, Path(data.root), Alone(encoder))
    assert len(whole.sequences) == 12


@pytest.mark.parametrize("sums", [7, [1.0, 2.0], [[1.0], [2.0], [3.0]], [[1.0], [float("nan")]]])
def test_sums_of_another_form_are_one_line(sums: object, tmp_path: Path) -> None:
    row = {
        "clip": "a.avi",
        "action": "a",
        "actor": "b",
        "phase": 0,
        "flip": False,
        "offset": 0,
        "length": 1,
        "shard": "s",
    }
    path = tmp_path / "shard-00000.json"
    path.write_text(json.dumps({"sequences": [row], "clips": {"a.avi": ""}, "sums": [sums]}))
    with pytest.raises(
        InputError,
        match=r"shard-00000\.json is damaged .*two finite numbers.*: expected what `jvid encode` wrote; delete",
    ) as caught:
        blocks.read_block(path)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_sums_that_no_latents_have_are_one_line(recipe: Recipe, tmp_path: Path) -> None:
    """By Cauchy and Schwarz n values of sum s have at least s^2 / n as their sum of squares."""
    data = into(recipe, tmp_path).data
    encoder = Alone(encoder_of(jvid.load("codec", "autoencoder", **recipe.codec.options)))
    latents.encode(data, recipe.codec, Path(data.root), encoder)
    path = sorted(Path(data.latents).glob("shard-*.json"))[0]
    found = json.loads(path.read_text())
    trained = next(n for n, row in enumerate(found["sequences"]) if row["actor"] not in data.holdout)
    found["sums"][trained][0][0], found["sums"][trained][1][0] = 40.0, 5e-324
    path.write_text(json.dumps(found))
    (Path(data.latents) / "manifest.json").unlink()
    with pytest.raises(InputError, match=rf"{path.name} is damaged: .*delete") as caught:
        latents.encode(data, recipe.codec, Path(data.root), encoder)
    assert "\n" not in str(caught.value)


def test_a_channel_that_is_constant_is_refused_as_such(recipe: Recipe, tmp_path: Path) -> None:
    """.1 has no exact square: its variance from sums is not 0, and may be negative."""
    data = into(recipe, tmp_path).data

    def black(video: torch.Tensor) -> torch.Tensor:
        z = torch.full((1, 2, video.shape[2], 4, 4), 0.1)
        z[:, 1] = torch.arange(16.0).reshape(4, 4)
        return z

    with pytest.raises(InputError, match="the codec has a channel that is constant"):
        latents.encode(data, recipe.codec, Path(data.root), black)


def test_a_worker_that_dies_costs_its_block_alone(
    recipe: Recipe, alone: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_started", Workers())
    encode_block = module.encode_block

    def dies(block, data, encoder, folder, finished: Callable[[str], None]) -> None:
        if block.number == 2:
            os._exit(9)
        encode_block(block, data, encoder, folder, finished)

    monkeypatch.setattr(module, "encode_block", dies)
    with pytest.raises(JvidError, match=r"process \d of 2 died \(exit code 9\): finished shards stay"):
        encode_recipe(into(recipe, tmp_path), workers=2)
    left = {path.stem for path in tmp_path.glob("shard-*.json")}
    assert "shard-00002" not in left
    assert left
    assert not list(tmp_path.glob("shard-00002*"))
    monkeypatch.setattr(module, "encode_block", encode_block)
    manifest = encode_recipe(into(recipe, tmp_path), workers=2)
    assert [(s.clip, s.flip) for s in manifest.sequences] == [
        (s.clip, s.flip) for s in encode_recipe(into(recipe, tmp_path / "again")).sequences
    ]
    mean = load_manifest(tmp_path / "again").mean
    assert manifest.mean == mean


def test_two_encodings_of_one_folder_are_one_writer(recipe: Recipe, tmp_path: Path) -> None:
    with (
        Lock(tmp_path, alone=True),
        pytest.raises(InputError, match=r"another run \(process \d+\) is writing to"),
    ):
        encode_recipe(into(recipe, tmp_path), workers=2)


def test_frames_in_batches_are_those_of_one_at_a_time(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "_STRETCH", 8)
    codec = jvid.load("codec", "autoencoder", **recipe.codec.options)
    frames = np.random.default_rng(0).integers(0, 255, (20, 16, 16, 3), np.uint8)
    sizes: list[int] = []
    encode = codec.encode

    def counted(video: torch.Tensor) -> torch.Tensor:
        sizes.append(video.shape[2])
        return encode(video)

    one = encoder_of(codec)
    assert one.stretch == 8
    whole = codec.encode(torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1)
    np.testing.assert_array_equal(one(frames), whole[0].permute(1, 0, 2, 3).numpy())
    np.testing.assert_array_equal(attrs.evolve(one, encode=counted)(frames), one(frames))
    assert sizes == [8, 8, 4], "a clip of any length takes the memory of a stretch"
    many = encoder_of(codec, batch=6)
    assert (many.stretch, codec.chunk) == (12, 6)
    np.testing.assert_allclose(many(frames), one(frames), atol=2e-5)
    with pytest.raises(InputError, match=r"--batch 4: Whole encodes whole clips, leave it out"):
        encoder_of(Whole(), batch=4)
    assert encoder_of(Whole()) == FrameEncoder(Whole.encode)


def test_a_gpu_gets_the_frames_at_a_time_that_the_recipe_states(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    monkeypatch.setattr(ImageCodec, "to", lambda self, device: moved.append(device))
    for stated, batch, expected in ((1, None, 32), (8, None, 8), (8, 6, 6)):
        codec = jvid.load("codec", "autoencoder", **recipe.codec.options, chunk=stated)
        assert encoder_of(codec, "cuda", batch).device == "cuda"
        assert codec.chunk == expected
    assert moved == ["cuda"] * 3
    codec = jvid.load("codec", "autoencoder", **recipe.codec.options, chunk=8)
    encoder_of(codec)
    assert codec.chunk == 8


class Whole:
    """A codec that is no `ImageCodec`."""

    @staticmethod
    def encode(video: torch.Tensor) -> torch.Tensor:
        return video


def test_latents_that_are_not_finite_cost_their_clip(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = ImageCodec.encode
    calls: list[int] = []

    def broken(self: ImageCodec, video: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        found = encode(self, video)
        return found / 0 if len(calls) == 4 else found  # the mirrored second clip

    monkeypatch.setattr(ImageCodec, "encode", broken)
    manifest = encode_recipe(into(recipe, tmp_path))
    ((clip, reason),) = manifest.skipped.items()
    assert reason == f"clip {clip}: its latents hold NaN or infinity; check data.codec"
    assert clip not in {s.clip for s in manifest.sequences}
    assert len(manifest.sequences) == 10
    assert np.isfinite(manifest.mean).all()


def test_other_latents_in_another_process_are_refused_by_their_digest(recipe: Recipe, tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in ("mine", "copy", "other")]
    for folder, frames in zip((folders[0], folders[2]), (8, 7), strict=True):
        encode_recipe(attrs.evolve(recipe, data=attrs.evolve(recipe.data, latents=folder, frames=frames)))
    shutil.copytree(folders[0], folders[1])

    def work(other: str) -> int:
        folder = folders[0] if os.environ["RANK"] == "0" else other
        with ranks("cpu") as job:
            try:
                check_same_everywhere(load_manifest(Path(folder)), folder, job)
            except InputError as error:
                print(error)
                return 2
        return 0

    assert run_ranks(2, lambda: work(folders[1]))[0] == [0, 0]
    codes, printed = run_ranks(2, lambda: work(folders[2]))
    assert codes == [2, 2]
    lines = printed.strip().splitlines()
    assert len(lines) == 2
    assert all("holds other latents in process 1 than in process 0 (digest" in line for line in lines)
