"""Enlargement pixel by pixel, and clips without their background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from jvid.cli import main
from jvid.errors import InputError
from jvid.media import write_video
from jvid.media.looks import background

GREY, RED = (112, 128, 112), (200, 30, 30)


def walker(frames: int = 3) -> np.ndarray:
    """A red ring that walks over a plain background of slightly uneven grey; its inside is grey too."""
    clip = np.empty((frames, 16, 20, 3), np.uint8)
    clip[:] = GREY
    clip += np.random.default_rng(0).integers(0, 5, clip.shape, dtype=np.uint8)
    for t in range(frames):
        clip[t, 4:12, 3 + t : 11 + t] = RED
        clip[t, 7:9, 6 + t : 8 + t] = GREY
    return clip


def shape(t: int) -> np.ndarray:
    opaque = np.zeros((16, 20), bool)
    opaque[4:12, 3 + t : 11 + t] = True
    return opaque


def test_the_background_is_what_the_edge_connects_to() -> None:
    found = background(walker())
    for t in range(3):
        assert np.array_equal(~found[t], shape(t)), "grey within the ring is not background"


def test_a_subject_at_the_edge_is_not_background() -> None:
    clip = walker(1)
    clip[0, 12:, 5:9] = RED
    found = background(clip)
    assert not found[0, 12:, 5:9].any()
    assert found[0, 12:, 9:].all()


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_animations_are_transparent_and_exact(tmp_path: Path, ending: str) -> None:
    clip = walker()
    path = write_video(tmp_path / f"clip{ending}", clip, 10, scale=4, exact=True, transparent=True)
    with Image.open(path) as image:
        read = [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]
    assert len(read) == 3
    for t, frame in enumerate(read):
        assert frame.shape == (64, 80, 4)
        alpha = np.repeat(np.repeat(shape(t), 4, 0), 4, 1)
        assert np.array_equal(frame[..., 3] > 127, alpha)
        expected = np.repeat(np.repeat(clip[t], 4, 0), 4, 1)
        if ending == ".webp":
            assert np.array_equal(frame[alpha][:, :3], expected[alpha]), "lossless"
        else:
            assert np.abs(frame[alpha][:, :3].astype(int) - expected[alpha]).max() < 8


def test_a_sheet_is_transparent_on_request(tmp_path: Path) -> None:
    path = write_video(tmp_path / "sheet.png", walker(), 10, scale=2, transparent=True)
    with Image.open(path) as image:
        assert image.mode == "RGBA"
        first = np.asarray(image)[:32, :40]
    assert np.array_equal(first[::2, ::2, 3] == 255, shape(0))


def test_exact_enlargement_repeats_pixels(tmp_path: Path) -> None:
    clip = walker(1)
    for exact in (True, False):
        with Image.open(write_video(tmp_path / f"{exact}.webp", clip, 10, scale=3, exact=exact)) as image:
            frame = np.asarray(image.convert("RGB"))
        assert np.array_equal(frame, np.repeat(np.repeat(clip[0], 3, 0), 3, 1)) == exact


def test_what_cannot_be_transparent_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"clip.mp4' cannot be transparent: expected .gif, .webp or .png"):
        write_video(tmp_path / "clip.mp4", walker(), 10, transparent=True)
    assert main(["sample", "a person walking", "-o", str(tmp_path / "a.mp4"), "--transparent"]) == 2
    assert "cannot be transparent" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_both_kinds_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("typer")
    given = [
        "sample",
        "--unconditional",
        "--expert",
        "a=gaussian:schedule=scaled-linear,mean=.3,std=.5",
        "--codec",
        "pixels",
    ]
    given += [
        "--shape",
        "3,2,16,16",
        "--fps",
        "8",
        "--steps",
        "2",
        "--exact",
        "--transparent",
        "--scale",
        "2",
    ]
    outputs = [tmp_path / "a.mp4", tmp_path / "a.gif"]
    assert main([*given, *(word for path in outputs for word in ("-o", str(path)))]) == 0, (
        capsys.readouterr().err
    )
    assert all(path.is_file() for path in outputs)
    with Image.open(outputs[1]) as image:
        assert image.size == (32, 32)
