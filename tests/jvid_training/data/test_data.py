"""From files to windows: reading, resampling, cropping, encoding, drawing."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.errors import InputError
from jvid.media.clips import ClipError, whole_clip
from jvid.media.timeline import Timeline
from jvid_training.data import latents
from jvid_training.data.clips import actor_of, find_clips, passed_over
from jvid_training.data.crop import apply_crop, centre_crop, person_crop
from jvid_training.data.cropped import sequences
from jvid_training.data.latents import encode, load_manifest
from jvid_training.data.shards import Shards
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.jobs.locks import Lock
from jvid_training.recipe import structure_recipe
from tests.training_tools import document, make_clips, pooled, prepare, rows_of, walker, write_clip


def constant(count: int, rate: float) -> Timeline:
    return Timeline.of([k / rate for k in range(count)], 1 / rate, [rate])


@given(st.integers(1, 200), st.floats(5, 60), st.floats(5, 60), st.integers(0, 3))
def test_resampling_keeps_time(count: int, source: float, target: float, phase: int) -> None:
    """Output frame k shows the source frame that is on screen at its time; time never runs back."""
    phase = min(phase, count - 1)
    times = constant(count, source).indices(target, phase)
    assert (np.diff(times) >= 0).all()
    assert ((times >= 0) & (times < count)).all()
    shown = phase / source + np.arange(len(times)) / target
    assert (np.abs(times / source - shown) <= 1 / source + 1e-5).all()


def test_halving_the_rate_takes_every_second_frame() -> None:
    assert constant(10, 25).indices(12.5).tolist() == [0, 2, 4, 6, 8]
    assert constant(10, 25).indices(12.5, phase=1).tolist() == [1, 3, 5, 7]
    assert constant(6, 25).indices(50).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_the_camera_follows_a_walker_and_stands_still_for_one_who_stays() -> None:
    moving = walker(40, 1.2, width=96)
    crop = person_crop(lambda: moving, 25, 40)
    centre = 4 + 1.2 * np.arange(40) + 4
    inside = (centre > 24) & (centre < 72)
    away = np.abs(crop.x - centre)
    assert away[inside].max() < 16, "the whole walker is in the picture"
    assert away[inside][:20].max() < 2, "and in its middle, away from where smoothing meets the clip's end"
    assert (crop.x >= 20).all()
    assert (crop.x <= 76).all()
    cut = apply_crop(moving, crop, (40, 40))
    dark = (cut < 100).all(-1)
    assert dark.any((1, 2)).all(), "the walker is in every frame"
    waving = walker(20, 0, width=96)
    waving[::2, 5:10, 4:12] = 40  # something moves above, the body stays
    assert np.ptp(person_crop(lambda: waving, 25, 40).x) == 0


def test_centre_crop_is_the_middle_and_too_large_a_crop_is_refused() -> None:
    frames = walker(3, 0)
    frames[:, 24 - 4 : 24 + 4, 32 - 4 : 32 + 4] = 255
    cut = apply_crop(frames, centre_crop(frames, 8), (8, 8))
    assert (cut == 255).all()
    with pytest.raises(InputError, match="crop of 60 px does not fit a picture of 64x48"):
        centre_crop(frames, 60)


def test_a_real_clip_is_read(shared: Path) -> None:
    clip = whole_clip(shared / "data/ucf101/v_Basketball_g01_c01.avi")
    assert clip.frames.shape[1:] == (240, 320, 3)
    assert len(clip.frames) > 100
    assert clip.fps == pytest.approx(25, abs=5)
    files = find_clips(shared / "data/weizmann", "^(?P<actor>[^_]+)_")
    assert len(files) == 90
    assert len({file.actor for file in files}) == 9


def test_broken_clips_are_skipped_counted_and_named(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips")
    whole = (tmp_path / "clips/walk/ann_walk.avi").read_bytes()
    (tmp_path / "clips/walk/cut_walk.avi").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "clips/walk/junk_walk.avi").write_bytes(b"not a video at all" * 50)
    (tmp_path / "clips/walk/void_walk.avi").write_bytes(b"")
    write_clip(tmp_path / "clips/walk/short_walk.avi", walker(9, 1))
    recipe = structure_recipe(document(tmp_path))
    manifest = encode(recipe.data, recipe.codec, tmp_path / "clips", pooled)
    assert set(manifest.skipped) == {f"walk/{name}_walk.avi" for name in ("cut", "junk", "void", "short")}
    assert (
        "truncated" in manifest.skipped["walk/cut_walk.avi"]
        or "decode" in manifest.skipped["walk/cut_walk.avi"]
    )
    assert "expected at least 8" in manifest.skipped["walk/short_walk.avi"]
    assert {sequence.actor for sequence in manifest.sequences} == {"ann", "bob", "eve"}


@pytest.mark.parametrize("crop", ["centre", "person"])
def test_one_bad_clip_of_any_kind_stops_nothing(crop: str, tmp_path: Path) -> None:
    """Too small for the crop, of another kind of file, decoded to nothing, or not finite once it is encoded: named."""
    make_clips(tmp_path / "clips")
    write_clip(tmp_path / "clips/walk/small_walk.avi", walker(30, 1, height=32, width=48))
    write_clip(tmp_path / "clips/walk/bright_walk.avi", np.full((30, 48, 64, 3), 255, np.uint8))
    os.mkfifo(tmp_path / "clips/walk/pipe_walk.avi")
    recipe = structure_recipe(document(tmp_path))

    def breaks(video: torch.Tensor) -> torch.Tensor:
        found = pooled(video)
        return found / 0 if float(video.min()) > 0.9 else found

    data = attrs.evolve(recipe.data, crop=crop)
    manifest = encode(data, recipe.codec, tmp_path / "clips", breaks)
    assert set(manifest.skipped) == {f"walk/{name}_walk.avi" for name in ("small", "bright", "pipe")}
    assert "crop of 40 px does not fit a picture of 48x32" in manifest.skipped["walk/small_walk.avi"]
    assert "its latents hold NaN or infinity" in manifest.skipped["walk/bright_walk.avi"]
    assert "is no regular file" in manifest.skipped["walk/pipe_walk.avi"]
    assert all(reason.startswith("clip ") for reason in manifest.skipped.values())
    assert np.isfinite(manifest.mean).all()


def test_folders_of_any_depth_are_read_and_other_files_named(tmp_path: Path) -> None:
    make_clips(tmp_path / "real")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/walk").symlink_to(tmp_path / "real/walk")
    (tmp_path / "clips/stand/far/away").mkdir(parents=True)
    for path in (tmp_path / "real/stand").iterdir():
        path.rename(tmp_path / "clips/stand/far/away" / path.name)
    (tmp_path / "clips/stand/far/up").symlink_to(tmp_path / "clips")
    for name in ("top_level.avi", "walk/notes.txt", ".hidden", "stand/ann.avi.part"):
        (tmp_path / "clips" / name).write_bytes(b"x")
    files = find_clips(tmp_path / "clips", "^(?P<actor>[^_]+)_")
    assert [(file.action, file.name) for file in files] == [
        *(("stand", f"stand/far/away/{actor}_stand.avi") for actor in ("ann", "bob", "eve")),
        *(("walk", f"walk/{actor}_walk.avi") for actor in ("ann", "bob", "eve")),
    ]
    assert passed_over(tmp_path / "clips", "class") == [
        "stand/ann.avi.part",
        "top_level.avi",
        "walk/notes.txt",
    ]


@pytest.mark.parametrize(
    "pattern", ["^(?P<actor>[^_]+)_", r"^(?P<actor>[^_]+)_walk\.", r"(?P<actor>\w+)_walk\.avi$"]
)
def test_an_actor_is_found_in_a_name_with_and_without_its_ending(pattern: str) -> None:
    assert actor_of(Path("walk/ann_walk.avi"), pattern) == "ann"
    assert actor_of(Path("walk/ann_walk.avi"), "(?P<actor>[0-9]+)") is None


def test_an_encoding_that_skipped_every_clip_goes_on_once_its_settings_are_mended(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips")
    recipe = structure_recipe(document(tmp_path))
    with pytest.raises(
        InputError, match=r"6 skipped, holdout eve; the first: clip .*: crop of 100 px does not fit"
    ):
        encode(attrs.evolve(recipe.data, crop_size=100), recipe.codec, tmp_path / "clips", pooled)
    assert not encode(recipe.data, recipe.codec, tmp_path / "clips", pooled).skipped


def test_large_clips_are_cropped_in_bounded_memory_with_the_same_result(tmp_path: Path, monkeypatch) -> None:
    make_clips(tmp_path / "clips")
    recipe = structure_recipe(document(tmp_path))
    file = find_clips(tmp_path / "clips", recipe.data.actor)[3]
    whole = list(sequences(file, recipe.data))
    monkeypatch.setattr("jvid_training.data.cropped._KEPT", 0)
    again = list(sequences(file, recipe.data))
    assert [each for each, _ in again] == [each for each, _ in whole]
    for (_, one), (_, other) in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)
    monkeypatch.setattr("jvid_training.data.crop._MEDIAN_BYTES", 48 * 64 * 4 * 8)
    frames = whole_clip(file.path).frames
    every, some = (person_crop(lambda part=part: part, 25, 40) for part in (frames, frames[::4]))
    kept = person_crop(lambda: frames, 25, 40)
    assert np.abs(kept.x - every.x).max() < 2, "the median is of every fourth frame, the track of all"
    assert len(kept.x) == len(frames) == len(some.x) * 4 - 2


def test_latents_are_the_codec_of_the_frames_and_normalised(tmp_path: Path) -> None:
    prepare(tmp_path)
    windows = Windows(tmp_path / "latents")
    window = windows.draw(generator(0, 0, 0))
    latents, video = windows.latents(window), windows.video(window)
    assert latents.shape == (4, 8, 4, 4)
    assert video.shape == (3, 8, 32, 32)
    manifest = windows.manifest
    mean = np.asarray(manifest.mean).reshape(4, 1, 1, 1)
    std = np.asarray(manifest.std).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(latents.numpy(), (pooled(video[None])[0].numpy() - mean) / std, atol=1e-5)
    everything = np.concatenate([rows_of(tmp_path / "latents", s, "latents") for s in windows.sequences])
    np.testing.assert_allclose(everything.mean((0, 2, 3)), manifest.mean, atol=1e-5)
    np.testing.assert_allclose(everything.std((0, 2, 3)), manifest.std, atol=1e-5)


def test_the_held_out_actor_is_in_no_training_window(tmp_path: Path) -> None:
    prepare(tmp_path)
    train, held = Windows(tmp_path / "latents"), Windows(tmp_path / "latents", "holdout")
    assert {s.actor for s in train.sequences} == {"ann", "bob"}
    assert {s.actor for s in held.sequences} == {"eve"}
    drawn = [train.draw(generator(1, step, 0)).sequence for step in range(200)]
    assert {s.actor for s in drawn} == {"ann", "bob"}
    share = np.mean([s.action == "walk" for s in drawn])
    assert abs(share - 0.5) < 6 * 0.5 / np.sqrt(200), "actions are drawn alike however many windows they have"


def test_an_actor_that_is_left_out_is_in_no_window_but_in_the_statistics(tmp_path: Path) -> None:
    prepare(tmp_path)
    every, some = Windows(tmp_path / "latents"), Windows(tmp_path / "latents", leave_out=["bob"])
    assert {s.actor for s in some.sequences} == {"ann"}
    assert {some.draw(generator(1, step, 0)).sequence.actor for step in range(50)} == {"ann"}
    window = some.draw(generator(1, 0, 0))
    np.testing.assert_array_equal(some.latents(window), every.latents(window))
    for names in (["eve"], ["zoe"], ["ann", "bob"]):
        with pytest.raises(
            InputError, match=r"training\.leave_out: got .*; expected some of ann, bob, not all"
        ):
            Windows(tmp_path / "latents", leave_out=names)


def test_flipped_sequences_are_mirrored(tmp_path: Path) -> None:
    prepare(tmp_path)
    manifest = load_manifest(tmp_path / "latents")
    pairs = {(s.clip, s.phase): {} for s in manifest.sequences}
    for s in manifest.sequences:
        frames = rows_of(tmp_path / "latents", s, "frames")
        pairs[s.clip, s.phase][s.flip] = frames
    for both in pairs.values():
        np.testing.assert_array_equal(both[True], both[False][:, :, ::-1])


def test_encoding_is_resumed_and_shared_and_refuses_other_settings(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("jvid_training.data.latents.SHARD_FRAMES", 30)
    whole = prepare(tmp_path)
    first = load_manifest(tmp_path / "latents")
    names = sorted((tmp_path / "latents").glob("shard-*.safetensors"))
    assert len(names) > 2
    calls: list[int] = []

    def counted(video):
        calls.append(1)
        return pooled(video)

    assert encode(whole.data, whole.codec, tmp_path / "clips", counted) == first
    assert not calls, "an equal encoding is not made twice"

    # Interrupted after the first shard: it goes on behind it, with the same result.
    again = attrs.evolve(whole.data, latents=str(tmp_path / "again"))

    def dies(video):
        if len(calls) > 3:
            raise KeyboardInterrupt
        return counted(video)

    with pytest.raises(KeyboardInterrupt):
        encode(again, whole.codec, tmp_path / "clips", dies)
    before = len(calls)
    second = encode(again, whole.codec, tmp_path / "clips", counted)
    assert second.sequences == first.sequences
    assert len(calls) - before < sum(1 for _ in first.sequences)
    for path in names:
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()

    with pytest.raises(
        InputError, match=r"latents of other settings; .*fps: \S+ then, 25\.0 now: give data\.latents"
    ):
        encode(attrs.evolve(whole.data, fps=25.0), whole.codec, tmp_path / "clips", pooled)


def test_one_process_encodes_into_a_folder(tmp_path: Path) -> None:
    recipe = prepare(tmp_path)
    other = attrs.evolve(recipe.data, latents=str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    refused = pytest.raises(InputError, match=r"another run \(process \d+\) is writing to .*other")
    with Lock(tmp_path / "other", alone=True), refused:
        encode(other, recipe.codec, tmp_path / "clips", pooled)
    assert [path.name for path in (tmp_path / "other").iterdir()] == [".lock"]
    assert encode(other, recipe.codec, tmp_path / "clips", pooled).sequences
    with Lock(tmp_path / "other", alone=True):  # finished: read by any number
        assert encode(other, recipe.codec, tmp_path / "clips", pooled) == load_manifest(tmp_path / "other")


def test_a_damaged_shard_costs_its_own_clips_alone(tmp_path: Path, monkeypatch) -> None:
    """The advice is followed to the letter: whole shards are not encoded again."""
    monkeypatch.setattr(latents, "SHARD_FRAMES", 1)  # a shard for each clip
    recipe = prepare(tmp_path)
    before = load_manifest(tmp_path / "latents")
    shard = tmp_path / "latents/shard-00002.latents.safetensors"
    kept = {path: path.read_bytes() for path in shard.parent.glob("shard-*") if "00002" not in path.name}
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(InputError, match=r"delete shard-00002.json and manifest.json beside it"):
        Shards(shard.parent).read("shard-00002", "latents", 0, 1)
    for name in ("shard-00002.json", "manifest.json"):
        (shard.parent / name).unlink()
    calls: list[int] = []

    def counted(video: torch.Tensor) -> torch.Tensor:
        calls.append(len(video))
        return pooled(video)

    after = encode(recipe.data, recipe.codec, tmp_path / "clips", counted)
    assert 0 < len(calls) < len(before.sequences)
    assert {path: path.read_bytes() for path in kept} == kept
    assert sorted(attrs.evolve(each, shard="").clip for each in after.sequences) == sorted(
        each.clip for each in before.sequences
    )
    np.testing.assert_allclose(after.mean, before.mean)


def test_what_the_system_refuses_is_no_fault_of_the_files(tmp_path: Path) -> None:
    """A clip would be left out for ever, and the advice of damage is to delete and encode again."""
    recipe = prepare(tmp_path)
    clip = next((tmp_path / "clips").glob("*/*.avi"))
    shard = next((tmp_path / "latents").glob("*.latents.safetensors"))
    whole_clip(clip)  # its library is loaded
    held = os.open(os.devnull, os.O_RDONLY)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (held + 1, before[1]))
    try:
        for read in (
            lambda: whole_clip(clip),
            lambda: Shards(shard.parent).read(shard.name.split(".")[0], "latents", 0, 1),
            lambda: load_manifest(Path(recipe.data.latents)),
        ):
            with pytest.raises(InputError, match="Too many open files; raise the limit") as caught:
                read()
            assert not isinstance(caught.value, ClipError)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        os.close(held)


def test_a_pattern_that_is_mended_goes_on(tmp_path: Path) -> None:
    recipe = prepare(tmp_path)
    other = attrs.evolve(recipe.data, latents=str(tmp_path / "other"))
    with pytest.raises(InputError, match="does not match its name"):
        encode(attrs.evolve(other, actor="^(?P<actor>[0-9]+)_"), recipe.codec, tmp_path / "clips", pooled)
    assert encode(other, recipe.codec, tmp_path / "clips", pooled).sequences


def test_damage_is_reported_in_one_line(tmp_path: Path) -> None:
    prepare(tmp_path)
    with pytest.raises(InputError, match="no folder of clips at"):
        find_clips(tmp_path / "nowhere", "^(?P<actor>.)")
    with pytest.raises(InputError, match="does not match its name"):
        find_clips(tmp_path / "clips", "^(?P<actor>[0-9]+)_")
    with pytest.raises(ClipError, match="cannot be decoded"):
        whole_clip(tmp_path / "nothing.avi")
    shard = next((tmp_path / "latents").glob("*.latents.safetensors"))
    shard.write_bytes(shard.read_bytes()[:200])
    windows = Windows(tmp_path / "latents")
    with pytest.raises(InputError, match="is damaged"):
        windows.latents(windows.draw(generator(0, 0, 0)))
    manifest = tmp_path / "latents/manifest.json"
    manifest.write_text(json.dumps({"format": 1}))
    with pytest.raises(InputError, match="is damaged"):
        load_manifest(tmp_path / "latents")
    manifest.unlink()
    with pytest.raises(InputError, match="jvid encode"):
        load_manifest(tmp_path / "latents")
