"""Anybody's videos are a set of clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jvid.cli import main
from jvid.errors import InputError
from jvid.media import write_video
from jvid_training.evaluation.sources import RealClips
from jvid_training.evaluation.video_files import VideoFiles, video_files
from tests.clip_tools import record
from tests.evaluation_tools import Clips
from tests.training_tools import prepare

REFERENCE = Clips(np.zeros((1, 4, 32, 32, 3), np.uint8), fps=12.5)


def opened(folder: Path) -> VideoFiles:
    return VideoFiles("others", video_files(folder), REFERENCE)


def test_videos_take_the_reference_s_rate_size_and_length(tmp_path: Path) -> None:
    levels = [20, 40, 60, 80, 100, 120, 140, 160, 180]
    frames = np.stack([np.full((64, 96, 3), level, np.uint8) for level in levels])
    frames[:, :, :16] = frames[:, :, -16:] = 255  # outside of the middle square
    record(tmp_path / "b.mkv", frames)
    (tmp_path / "deeper").mkdir()
    write_video(
        tmp_path / "deeper/a.mp4",
        frames[:8, :, 16:80],
        12.5,
        {"clips": [{"prompt": "A person waving", "seed": 1}]},
        scale=1,
    )
    (tmp_path / "b.txt").write_text("Someone walking\n")
    found = opened(tmp_path)
    assert len(found) == 2
    assert found.labels == ("walking", "waving")
    (batch,) = found.batches()
    assert batch.shape == (2, 4, 32, 32, 3)
    np.testing.assert_allclose(batch[0].mean((1, 2, 3)), [20, 60, 100, 140], atol=2)
    np.testing.assert_allclose(batch[1].mean((1, 2, 3)), [20, 40, 60, 80], atol=2)
    assert found.fingerprint == opened(tmp_path).fingerprint
    (tmp_path / "metadata.jsonl").write_text(
        json.dumps({"file_name": "b.mkv", "text": "A person jumping"}) + "\n"
    )
    assert opened(tmp_path).labels[0] == "jumping"


def test_videos_take_the_ratio_of_an_oblong_reference(tmp_path: Path) -> None:
    frames = np.full((4, 64, 96, 3), 100, np.uint8)
    frames[:, :8] = frames[:, -8:] = 255  # outside of the middle 48 x 96
    record(tmp_path / "a.mkv", frames)
    oblong = Clips(np.zeros((1, 2, 16, 32, 3), np.uint8), fps=12.5)
    (batch,) = VideoFiles("others", video_files(tmp_path), oblong).batches()
    assert batch.shape == (1, 2, 16, 32, 3)
    np.testing.assert_allclose(batch[:, :, 1:-1], 100, atol=3)


def test_clips_that_will_not_do_are_named(tmp_path: Path) -> None:
    for name, frames, words in (
        (
            "short",
            np.zeros((5, 64, 64, 3), np.uint8),
            r"short.mkv: 2 frames at 12.5 fps: expected at least the reference's 4",
        ),
        (
            "small",
            np.zeros((9, 24, 64, 3), np.uint8),
            r"small.mkv: pictures of 64x24: expected at least the reference's 32x32",
        ),
    ):
        record(tmp_path / f"{name}.mkv", frames)
        with pytest.raises(InputError, match=words):
            list(opened(tmp_path).batches())
        (tmp_path / f"{name}.mkv").unlink()
    (tmp_path / "junk.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"junk\.mp4"):
        list(opened(tmp_path).batches())


def test_evaluate_takes_a_folder_of_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path)
    real = RealClips(tmp_path / "latents")
    (tmp_path / "others").mkdir()
    for index, clip in enumerate(next(real.batches(3))):
        write_video(tmp_path / f"others/{index}.mp4", clip, real.fps)
    command = [
        "evaluate",
        tmp_path / "others",
        "--reference",
        tmp_path / "latents",
        "--metric",
        "flicker",
        "--json",
    ]
    assert main([str(word) for word in command]) == 0
    (evaluation,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert (evaluation["source"], evaluation["clips"]) == ("others", 3)
    expected = np.mean([np.abs(np.diff(clip.astype(float), axis=0)).mean() for clip in next(real.batches(3))])
    assert evaluation["figures"]["flicker"]["value"] == pytest.approx(expected, rel=0.15)
