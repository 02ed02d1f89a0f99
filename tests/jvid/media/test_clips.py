"""Clips are read as they are shown and by their timestamps; expected values come from what each was made of."""

from __future__ import annotations

import os
import shutil
import threading
import tracemalloc
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from jvid.errors import InputError
from jvid.media import read_metadata, write_video
from jvid.media.clips import ClipError, pictures, whole_clip
from tests.clip_tools import coloured, encoded_colour, greys, quarters, record, turn


@pytest.fixture
def findings(shared: Path) -> Path:
    folder = shared / "findings/media"
    if not folder.is_dir():
        pytest.skip("the reported clips are not here")
    return folder


def levels(path: Path) -> list[int]:
    return [round(float(picture.pixels.mean())) for picture in pictures(path)]


TURNS = [(a, 0, 0, d) for a, d in product((1, -1), repeat=2)] + [
    (0, b, c, 0) for b, c in product((1, -1), repeat=2)
]


@pytest.mark.parametrize("matrix", TURNS)
def test_a_clip_has_the_orientation_of_its_display_matrix(
    matrix: tuple[int, int, int, int], tmp_path: Path, plain: Path
) -> None:
    """Every pixel is where the matrix sends it: (p, q) to (a p + c q, b p + d q)."""
    path = turn(Path(shutil.copy(plain, tmp_path / "turned.mp4")), *matrix)
    a, b, c, d = matrix
    picture = quarters()
    down, across = np.mgrid[: picture.shape[0], : picture.shape[1]]
    x, y = a * across + c * down, b * across + d * down
    x, y = x - x.min(), y - y.min()
    expected = np.zeros((y.max() + 1, x.max() + 1, 3), np.uint8)
    expected[y, x] = picture
    shown = whole_clip(path).frames[0]
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 4


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "plain.mp4"
    return record(path, np.stack([quarters()] * 2), codec="libx264", form="yuv444p", options={"crf": "5"})


def test_pixels_are_square(tmp_path: Path) -> None:
    frames = np.stack([quarters()] * 2)
    for name, codec, aspect, width in (
        ("a.mp4", "libx264", Fraction(2), 96),
        ("b.mkv", "libx264", Fraction(4, 3), 64),
        ("c.avi", "mpeg4", Fraction(1, 2), 24),
    ):
        path = record(tmp_path / name, frames, codec=codec, form="yuv420p", sample_aspect_ratio=aspect)
        shown = whole_clip(path).frames
        assert shown.shape == (2, 32, width, 3)
        left = shown[0, 8, width // 4].astype(int)
        assert np.abs(left - (220, 30, 30)).max() < 12, "the quarters are where they were"
    turned = turn(tmp_path / "a.mp4", 0, 1, -1, 0)
    assert whole_clip(turned).frames.shape == (2, 96, 32, 3)


TICKS = [0, 33, 67, 100, 300, 310, 700, 900]


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [("a.mp4", "libx264", "yuv444p"),
     ("a.mkv", "ffv1", "yuv444p"), ("a.webm", "libvpx-vp9", "yuv420p"), ("a.mov", "png", "rgb24")],
)  # fmt: skip
def test_frames_are_shown_at_their_timestamps(name: str, codec: str, form: str, tmp_path: Path) -> None:
    path = record(
        tmp_path / name,
        greys([10 + 0.1 * tick for tick in TICKS]),
        codec=codec,
        form=form,
        ticks=TICKS,
        rate=None,
    )
    clip = whole_clip(path)
    assert clip.timeline is not None
    assert not clip.timeline.constant
    np.testing.assert_allclose(clip.timeline.starts, np.array(TICKS) / 1000, atol=1e-3)
    shown = clip.frames[clip.timeline.indices(10)].mean((1, 2, 3))
    latest = [max(tick for tick in TICKS if tick <= 100 * k) for k in range(len(shown))]
    assert len(shown) == 9
    np.testing.assert_allclose(shown, [10 + 0.1 * tick for tick in latest], atol=2)


def test_dropped_frames_are_gaps_and_rounded_clocks_are_none(tmp_path: Path) -> None:
    ticks = [k for k in range(30) if k not in (9, 10, 20)]
    dropped = record(
        tmp_path / "a.avi",
        greys([10 + 8 * k for k in ticks]),
        codec="mpeg4",
        form="yuv420p",
        ticks=ticks,
        clock=25,
    )
    timeline = whole_clip(dropped).timeline
    assert timeline is not None
    np.testing.assert_allclose(timeline.starts, np.array(ticks) / 25)
    # Matroska's clock has milliseconds: 30 frames a second are at 0, 33, 67, 100, ...
    rounded = record(tmp_path / "a.mkv", greys(range(10, 210, 5)), rate=30)
    timeline = whole_clip(rounded).timeline
    assert timeline is not None
    assert timeline.constant
    assert timeline.indices(15).tolist() == list(range(0, 40, 2))
    assert timeline.indices(30, 1).tolist() == list(range(1, 40))


def test_the_reported_clips(findings: Path) -> None:
    upright, turned = whole_clip(findings / "upright.mp4").frames, whole_clip(findings / "rot90.mp4").frames
    assert turned.shape == (20, 96, 48, 3)
    np.testing.assert_array_equal(turned, np.rot90(upright, -1, (1, 2)))
    assert whole_clip(findings / "cover_first.mkv").frames.shape == (20, 64, 64, 3)
    recorder = whole_clip(findings / "recorder.webm")  # 30 frames at 30/s, 10 at 5/s; grey 10 + 80 t
    assert recorder.timeline is not None
    shown = recorder.frames[recorder.timeline.indices(10)].mean((1, 2, 3))
    times = np.where(np.arange(30) <= 10, np.arange(30) / 10, np.floor(np.arange(30) / 2) / 5)
    np.testing.assert_allclose(shown, 10 + 80 * times, atol=2.5)
    drops = whole_clip(findings / "drops.avi").timeline
    assert drops is not None
    assert drops.count(10) == 23


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", ["601", "709", "2020"])
@pytest.mark.parametrize("form", ["yuv444p", "yuv420p", "yuv420p10le", "yuv444p12le"])
def test_colours_are_those_of_the_stated_matrix_and_range(
    form: str, matrix: str, full: bool, tmp_path: Path
) -> None:
    rgb, bits = (200, 60, 30), int(form[7:9] or 8) if form.endswith("le") else 8
    values = encoded_colour(rgb, matrix, full=full, bits=bits)
    path = coloured(tmp_path / "a.mkv", values, form, matrix, full=full)
    assert np.abs(whole_clip(path).frames.astype(int) - rgb).max() <= 3


def test_large_pictures_without_a_matrix_are_of_high_definition(tmp_path: Path) -> None:
    for matrix, height, width in (("601", 48, 64), ("709", 720, 64), ("709", 48, 1280)):
        values = encoded_colour((200, 60, 30), matrix, full=False)
        path = coloured(
            tmp_path / "a.mkv", values, "yuv420p", "unstated", full=False, height=height, width=width
        )
        assert np.abs(whole_clip(path).frames[0, 20, 20].astype(int) - (200, 60, 30)).max() <= 3


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [("a.mkv", "ffv1", "bgra"), ("a.mov", "qtrle", "argb"),
     ("a.mov", "prores_ks", "yuva444p10le"), ("a.webm", "libvpx-vp9", "yuva420p")],
)  # fmt: skip
def test_what_is_transparent_is_black(name: str, codec: str, form: str, tmp_path: Path) -> None:
    frames = np.zeros((2, 32, 48, 4), np.uint8)
    frames[..., :3] = 200, 100, 50
    frames[:, :16, :, 3], frames[:, 16:, :24, 3] = 255, 128
    shown = whole_clip(record(tmp_path / name, frames, codec=codec, form=form, source="rgba")).frames.astype(
        int
    )
    for place, expected in (((5, 5), (200, 100, 50)), ((26, 5), (100, 50, 25)), ((26, 42), (0, 0, 0))):
        assert np.abs(shown[0, *place] - expected).max() <= 3


def test_the_picture_is_the_stream_that_moves(tmp_path: Path) -> None:
    for first in (True, False):
        path = tmp_path / f"{first}.mp4"
        with av.open(str(path), "w") as container:
            streams = [
                container.add_stream(*kind) for kind in (("mjpeg", 1), ("libx264", 25))[:: 1 if first else -1]
            ]
            cover, video = streams if first else streams[::-1]
            cover.width, cover.height, cover.pix_fmt = 200, 100, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
            container.mux(cover.encode(av.VideoFrame.from_ndarray(greys([200], 100, 200)[0])))
            container.mux(cover.encode(None))
            for frame in greys(range(20, 120, 10)):
                container.mux(video.encode(av.VideoFrame.from_ndarray(frame)))
            container.mux(video.encode(None))
        assert whole_clip(path).frames.shape == (10, 32, 48, 3)
    still = tmp_path / "sound.mp4"
    with av.open(str(still), "w") as container:
        sound = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(ClipError, match=r"clip sound\.mp4: it holds no video stream"):
        whole_clip(still)


def test_a_picture_size_that_changes_is_scaled_to_the_first(tmp_path: Path) -> None:
    parts = [
        record(tmp_path / "1.ts", greys(range(20, 120, 10)), codec="libx264", form="yuv420p"),
        record(tmp_path / "2.ts", greys(range(120, 220, 10), 64, 64), codec="libx264", form="yuv420p"),
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = whole_clip(path)
    assert clip.frames.shape == (20, 32, 48, 3)
    np.testing.assert_allclose(clip.frames.mean((1, 2, 3)), range(20, 220, 10), atol=3)
    assert clip.timeline is not None
    np.testing.assert_allclose(
        clip.timeline.starts, np.arange(20) / 25, atol=1e-6, err_msg="the clock is set back"
    )


def test_fields_are_woven(tmp_path: Path) -> None:
    """A bar moves between the fields: their rows differ by what it moves, and no more once they are woven."""
    frames = np.full((8, 64, 96, 3), 60, np.uint8)
    for number, field in product(range(8), (0, 1)):
        left = 4 + 4 * (2 * number + field)
        frames[number, field::2, left : left + 16] = 200
    options = {"x264-params": "interlaced=1:tff=1", "crf": "4"}
    clip = whole_clip(record(tmp_path / "a.mp4", frames, codec="libx264", form="yuv420p", options=options))

    def combing(video: np.ndarray) -> float:
        video = video.astype(float)
        return float(np.abs(video[:, 1:-1] - (video[:, :-2] + video[:, 2:]) / 2).mean())

    assert combing(frames) > 9
    assert combing(clip.frames) < 0.5
    assert clip.timeline is not None
    assert (len(clip.frames), clip.timeline.constant, clip.fps) == (8, True, 25)


@pytest.mark.parametrize(
    ("ending", "codec"),
    [(".avi", "mpeg4"), (".wmv", "wmv2"), (".ts", "mpeg2video"), (".flv", "flv"),
     (".mpg", "mpeg1video"), (".3gp", "mpeg4"), (".mts", "libx264"), (".gif", "gif")],
)  # fmt: skip
def test_containers_of_the_world_are_read(ending: str, codec: str, tmp_path: Path) -> None:
    form = "rgb8" if codec == "gif" else "yuv420p"
    path = record(tmp_path / f"a{ending}", greys(range(20, 120, 10)), codec=codec, form=form)
    clip = whole_clip(path)
    assert clip.frames.shape == (10, 32, 48, 3)
    assert clip.fps == pytest.approx(25)
    np.testing.assert_allclose(
        clip.frames.mean((1, 2, 3)), range(20, 120, 10), atol=20 if codec == "gif" else 4
    )


def test_animations_have_their_own_durations_and_short_ones_are_a_tenth(tmp_path: Path) -> None:
    images = [Image.fromarray(frame) for frame in greys([20, 120, 220, 70])]
    for ending in (".gif", ".webp", ".png"):
        path = tmp_path / f"a{ending}"
        options = {"lossless": True} if ending == ".webp" else {}
        images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 300, 10, 50], **options)
        clip = whole_clip(path)
        assert clip.timeline is not None
        np.testing.assert_allclose(clip.timeline.starts, [0, 0.1, 0.4, 0.5])
        assert clip.timeline.end == pytest.approx(0.55)
        np.testing.assert_allclose(clip.frames.mean((1, 2, 3)), [20, 120, 220, 70], atol=1)


def test_stills_are_turned_and_over_black(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees when it is shown
    Image.fromarray(quarters()).save(tmp_path / "a.png", exif=exif)
    clip = whole_clip(tmp_path / "a.png")
    assert clip.fps is None
    np.testing.assert_array_equal(clip.frames, np.rot90(quarters(), -1)[None])
    Image.new("RGBA", (8, 8), (200, 100, 50, 128)).save(tmp_path / "b.png")
    assert np.abs(whole_clip(tmp_path / "b.png").frames[0, 4, 4].astype(int) - (100, 50, 25)).max() <= 1


@pytest.mark.parametrize("name", ["2024-05-01T10:30:00.mp4", "a%03d.mp4", "concat:a.mp4", "é #?.mp4"])
def test_paths_are_paths(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(name, greys([20, 80, 140], 32, 32), 25, {"seed": 3})
    assert os.listdir() == [name]
    assert read_metadata(name) == {"seed": 3}
    assert len(levels(Path(name))) == 3


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile 'real.mp4'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nreal.mp4\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_playlist_is_no_clip(text: str, tmp_path: Path, plain: Path) -> None:
    shutil.copy(plain, tmp_path / "real.mp4")
    (tmp_path / "list.mp4").write_text(text)
    with pytest.raises(ClipError, match=r"clip list\.mp4: it cannot be decoded"):
        whole_clip(tmp_path / "list.mp4")


def test_urls_are_never_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http://127.0.0.1:9/a.mp4", "rtmp://x/a.mp4", "pipe:0.mp4", "data:video/mp4,x.mp4"):
        with pytest.raises(ClipError, match="FileNotFoundError"):
            whole_clip(name)


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    def tried(path: Path) -> None:
        with pytest.raises(ClipError, match="is no regular file"):
            whole_clip(path)
        ended.append(path)

    ended: list[Path] = []
    for name in ("a.avi", "a.gif"):
        os.mkfifo(tmp_path / name)
        reader = threading.Thread(target=tried, args=(tmp_path / name,), daemon=True)
        reader.start()
        reader.join(60)  # it would wait for a writer for ever
    assert [path.name for path in ended] == ["a.avi", "a.gif"]


def test_pictures_that_are_too_large_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path / "a.mkv", greys([20, 30]))
    Image.fromarray(quarters()).save(tmp_path / "a.png")
    monkeypatch.setattr("jvid.media.streams.MOST_PIXELS", 32 * 48 - 1)
    for name in ("a.mkv", "a.png"):
        with pytest.raises(ClipError, match="pictures of 48x32: expected at most 1535 pixels"):
            whole_clip(tmp_path / name)
    monkeypatch.undo()
    with pytest.raises(ClipError, match="its frames take more than 0 MiB"):
        whole_clip(path, most=32 * 48 * 3)


def test_memory_is_that_of_few_frames(tmp_path: Path) -> None:
    """Of 60 pictures of a quarter of a megabyte each, three are the most that are there at once."""
    path = record(tmp_path / "a.mp4", greys(range(20, 80), 256, 320), codec="libx264", form="yuv420p")
    len(levels(path))
    tracemalloc.start()
    whole_clip(path, each=lambda picture: picture.pixels[::64, ::64].copy())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 256 * 320 * 3


def test_damage_is_named(tmp_path: Path, plain: Path) -> None:
    data = record(
        tmp_path / "a.avi",
        np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8),
        codec="mjpeg",
        form="yuvj444p",
    ).read_bytes()
    for name, content, words in (
        ("none.avi", None, "FileNotFoundError"),
        ("void.avi", b"", "it cannot be decoded"),
        ("junk.avi", b"no video at all" * 50, "it cannot be decoded"),
        ("cut.avi", data[: len(data) // 2], "truncated|decoded"),
        ("junk.gif", b"GIF89a" + bytes(3), "it cannot be decoded"),
        ("junk.webp", b"RIFF\0\0\0\0WEBP", "it cannot be decoded"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ClipError, match=words) as caught:
            whole_clip(tmp_path / name)
        assert f" {name}: " in str(caught.value)
        assert "\n" not in str(caught.value)
    assert issubclass(ClipError, InputError)
