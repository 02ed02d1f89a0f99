"""Files of clips: what goes in comes back, and a file is whole or absent."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from jvid.errors import InputError, MissingDependencyError
from jvid.media import (
    ENDINGS,
    FORMATS,
    Format,
    check_library,
    check_path,
    default_scale,
    read_latents,
    read_metadata,
    write_latents,
    write_video,
)
from jvid.media.files import described
from jvid.media.frames import to_frames
from jvid.pipeline.write import targets
from tests.environments import ROOT

METADATA = {
    "prompt": 'a person, naïve — "quoted" {braces} \n line',
    "long": "x" * 5000,
    "number": 0.1 + 0.2,
    "nested": {"list": [1, None, True]},
}


def clip(b: int = 1, f: int = 6, height: int = 24, width: int = 32) -> torch.Tensor:
    """Smooth colours that move: a codec keeps them, and no two frames are equal."""
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 3, width), indexing="ij")
    rows = [
        torch.stack([torch.stack([torch.sin(x + 0.4 * k + n), torch.cos(y + 0.4 * k), torch.sin(x + y)])
                     for k in range(f)], dim=1)
        for n in range(b)
    ]  # fmt: skip
    return 0.9 * torch.stack(rows)


@pytest.mark.parametrize("ending", ENDINGS)
def test_metadata_comes_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clip{ending}"
    if ending == ".safetensors":
        latents = torch.randn(2, 4, 3, 2, 2, generator=torch.Generator().manual_seed(1))
        write_latents(path, latents, METADATA)
        assert torch.equal(read_latents(path), latents)
    else:
        write_video(path, clip(), 12.5, METADATA)
    assert read_metadata(path) == METADATA
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".mp4", ".gif", ".webp"])
def test_frames_and_rate_come_back(tmp_path: Path, ending: str) -> None:
    import av
    from PIL import Image, ImageSequence

    path = write_video(tmp_path / f"clip{ending}", clip(), 12.5, METADATA, scale=4)
    if ending == ".mp4":
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert float(stream.average_rate) == 12.5
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            read = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    else:
        with Image.open(path) as image:
            image.load()
            assert image.info["duration"] == 80
            read = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    expected = to_frames(clip())[0]
    assert len(read) == len(expected)
    for got, want in zip(read, expected, strict=True):
        assert got.shape == (96, 128, 3)
        middle = got[2::4, 2::4].astype(float)
        assert np.abs(middle - want).mean() < 8


def test_odd_sides_are_padded_for_mp4(tmp_path: Path) -> None:
    import av

    path = write_video(tmp_path / "odd.mp4", clip(height=9, width=7), 10, scale=1)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert (frame.height, frame.width) == (10, 8)


def test_a_sheet_has_a_row_for_each_clip_and_keeps_pixels(tmp_path: Path) -> None:
    from PIL import Image

    path = write_video(tmp_path / "sheet.png", clip(b=2), 10, scale=3)
    with Image.open(path) as image:
        page = np.asarray(image)
    assert page.shape == (2 * 72 + 2, 6 * 96 + 5 * 2, 3)
    frames = to_frames(clip(b=2))
    assert np.array_equal(page[74:146:3, 98:194:3], frames[1, 1])


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    from PIL import Image

    frames = to_frames(clip())[0]
    with Image.open(write_video(tmp_path / "bytes.png", frames, 10, scale=1)) as image:
        assert np.array_equal(np.asarray(image)[:, :32], frames[0])


def test_bytes_cover_the_range_and_clip() -> None:
    video = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).reshape(1, 1, 1, 1, 5).expand(1, 3, 1, 1, 5)
    assert to_frames(video)[0, 0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    ("ending", "side", "scale"), [(".mp4", 64, 4), (".mp4", 128, 2), (".gif", 512, 1), (".png", 64, 2)]
)
def test_small_clips_are_enlarged_by_default(ending: str, side: int, scale: int) -> None:
    assert default_scale(ending, side, 2 * side) == scale


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("clip.avi", "'.avi': expected .mp4, .gif"),
        ("clip", "no ending"),
        ("no/clip.mp4", "no folder"),
        ("d.gif", "is a folder"),
    ],
)
def test_a_path_is_refused_before_anything_is_written(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "d.gif").mkdir()
    with pytest.raises(InputError, match=words):
        check_path(tmp_path / name)


def test_a_folder_that_takes_no_files_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *args: object, **more: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(InputError, match=r"cannot be written to \(Read-only file system\), give another"):
        check_path(tmp_path / "clip.mp4")


def test_asking_for_a_path_leaves_nothing(tmp_path: Path) -> None:
    assert check_path(tmp_path / "clip.mp4") == tmp_path / "clip.mp4"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("video", "words"),
    [
        (torch.zeros(3, 4, 8, 8), "expected floats"),
        (torch.zeros(1, 4, 4, 8, 8), "expected floats"),
        (torch.full((1, 3, 2, 8, 8), torch.nan), "NaN"),
        (torch.zeros(2, 3, 2, 8, 8), "2 clips"),
        (np.zeros((2, 8, 8, 3)), "uint8"),
    ],
)
def test_wrong_videos_write_nothing(tmp_path: Path, video: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        write_video(tmp_path / "clip.mp4", video, 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".mp4", ".gif", ".webp", ".png"])
@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, trouble: type[BaseException] | OSError
) -> None:
    path = tmp_path / f"clip{ending}"
    path.write_bytes(b"old")

    def fail(part: Path, *arguments: object) -> None:
        part.write_bytes(b"half")
        raise trouble

    monkeypatch.setitem(FORMATS, ending, attrs.evolve(FORMATS[ending], write=fail))
    with pytest.raises((KeyboardInterrupt, InputError)):
        write_video(path, clip(), 10)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_and_foreign_files_are_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clip{ending}"
    with pytest.raises(InputError, match="no file"):
        read_metadata(path)
    path.write_bytes(b"not a clip at all")
    with pytest.raises(InputError, match="cannot read"):
        read_metadata(path)


def test_a_file_without_our_metadata_is_reported(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.gif", comment=b"somebody's")
    with pytest.raises(InputError, match="no jvid metadata"):
        read_metadata(tmp_path / "plain.png")
    with pytest.raises(InputError, match="not jvid's"):
        read_metadata(tmp_path / "plain.gif")


@pytest.fixture
def npz(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more row of the table: latents that numpy writes."""

    def write(part: Path, latents: torch.Tensor, text: str) -> None:
        with part.open("wb") as file:
            np.savez(file, latents=latents.numpy(), jvid=text)

    row = Format(
        ".npz", "latents", write, lambda path: str(np.load(path)["jvid"]), ("absent_library",),
        own_key=True, load=lambda path: torch.from_numpy(np.load(path)["latents"]),
    )  # fmt: skip
    monkeypatch.setitem(FORMATS, row.ending, row)


@pytest.mark.usefixtures("npz")
def test_an_output_format_is_a_row_of_the_table(tmp_path: Path) -> None:
    path, latents = tmp_path / "made.npz", torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    write_latents(check_path(path), latents, METADATA)
    assert torch.equal(read_latents(path), latents)
    assert read_metadata(path) == METADATA
    assert targets([path, path.with_suffix(".gif")], 2) == [
        (path, slice(0, 2)), (tmp_path / "made-0.gif", slice(0, 1)), (tmp_path / "made-1.gif", slice(1, 2)),
    ]  # fmt: skip
    assert described().endswith(".safetensors (latents) or .npz (latents)")
    with pytest.raises(InputError, match=r"expected .mp4, .gif, .webp, .png, .safetensors, .npz"):
        check_path("made.avi")
    with pytest.raises(InputError, match=r"expected .safetensors, .npz"):
        write_latents(tmp_path / "made.gif", latents)
    with pytest.raises(MissingDependencyError, match=r"absent_library is not installed: .*jvid\[media\]"):
        check_library(path)


def test_latents_are_read_from_files_of_latents_alone(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.gif", clip(), 10)
    with pytest.raises(InputError, match=r"holds no latents: expected .safetensors"):
        read_latents(path)


@pytest.mark.parametrize("page", ["README.md", "docs/command-line.md"])
def test_pages_list_every_format(page: str) -> None:
    (line,) = [
        line
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines()
        if "ending selects the format" in line
    ]
    assert [ending for ending in ENDINGS if f"`{ending}`" not in line] == []
