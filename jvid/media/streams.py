"""The stream of pictures of a video file: which it is, its frames as they are shown, and their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError
from jvid.media import containers
from jvid.media.orientation import Orientation, shown_width

if TYPE_CHECKING:
    import numpy as np

    from jvid.media.timeline import Timeline

__all__ = ["MOST_PIXELS", "Picture", "StreamTimes", "check_pixels", "decoded"]

MOST_PIXELS = 1 << 25
"""Of a picture: 8192x4096."""
_HIGH_DEFINITION = 576
"""Lines above which pictures without a stated colour matrix are taken as BT.709, as players do."""


@attrs.frozen
class StreamTimes:
    """What a stream declares of its times.

    Args:
        rates: pictures per second, most trusted first.
        tick: seconds of its clock.
        seconds: its length; None where it states none.
    """

    rates: tuple[float, ...]
    tick: float
    seconds: float | None

    def timeline(self, stamps: Sequence[float | None], last: float | None) -> Timeline:
        """The timeline of pictures with these timestamps, the last one shown for ``last`` seconds if it is not None.

        Raises:
            ValueError: neither times nor a rate, or less than the stream declares.
        """
        from jvid.media.timeline import Timeline

        found = Timeline.of(stamps, last, self.rates, self.tick)
        if self.seconds is not None and found.end < 0.9 * self.seconds:
            raise ValueError(f"truncated, {found.end:.3g} of {self.seconds:.3g} s could be decoded")
        return found


@attrs.frozen(eq=False)
class Picture:
    """A picture of a clip.

    Args:
        stream: that it is of; None of a still.
        time: seconds at which it is shown; None where the file states none.
        duration: seconds for which it is shown; None likewise.
        convert: makes its pixels.
    """

    stream: StreamTimes | None
    time: float | None
    duration: float | None
    convert: Callable[[], np.ndarray] | None

    @property
    def pixels(self) -> np.ndarray:
        """``(H W 3)``, uint8 RGB; converted anew at each use."""
        assert self.convert is not None
        return self.convert()

    def forgotten(self) -> Picture:
        """The picture without its pixels."""
        return attrs.evolve(self, convert=None)


def check_pixels(width: int, height: int) -> None:
    """Refuse pictures that are too large to decode."""
    if width * height > MOST_PIXELS:
        raise InputError(
            f"pictures of {width}x{height}: expected at most {MOST_PIXELS} pixels; scale it down"
        )


def decoded(path: Path) -> Iterator[Picture]:
    """The pictures of a file."""
    with containers.reading(path) as container:
        video = _chosen(container)
        check_pixels(video.codec_context.width, video.codec_context.height)
        video.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        tick = float(video.time_base or 0) or 1e-6
        rates = (video.average_rate, video.guessed_rate, video.base_rate)
        stream = StreamTimes(tuple(float(rate) for rate in rates if rate), tick, _seconds(container, video))
        look: _Look | None = None
        for frame in _woven(_frames(container, video)):
            check_pixels(frame.width, frame.height)
            if look is None:
                look = _Look.of(frame, video)
            clock = frame.time_base or video.time_base  # bwdif counts in halves
            yield Picture(
                stream,
                None if frame.pts is None else float(frame.pts * clock),
                float(frame.duration * clock) if frame.duration else None,
                lambda frame=frame, look=look: look.pixels(frame),  # type: ignore[misc]
            )


def _frames(container: Any, video: Any) -> Iterator[Any]:
    name = video.codec_context.name
    if name not in ("vp8", "vp9") or video.metadata.get("alpha_mode") != "1":
        yield from container.decode(video)
        return
    # FFmpeg's own decoders leave out the alpha channel of WebM, which libvpx's decode.
    from av import CodecContext

    decoder: Any = CodecContext.create(f"libvpx{'-vp9' if name == 'vp9' else ''}", "r")
    for packet in container.demux(video):
        yield from decoder.decode(packet)


def _chosen(container: Any) -> Any:
    """The stream that plays: no cover, and of several the one that FFmpeg would play."""
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    found = [stream for stream in container.streams.video if not stream.disposition & covers]
    found = [stream for stream in found if stream.codec_context is not None]
    if not found:
        raise InputError(
            "it holds no video stream" if not container.streams.video else "it holds no moving picture"
        )
    best = container.streams.best("video")
    return best if best in found else found[0]


def _seconds(container: Any, video: Any) -> float | None:
    """The length that the file declares of its pictures: the shortest, since sound may go on and edits cut."""
    lengths = (
        [] if video.duration is None or video.time_base is None else [float(video.duration * video.time_base)]
    )
    if container.duration is not None and (lengths or len(container.streams) == 1):
        lengths.append(container.duration / 1e6)
    return min(lengths, default=None)


def _woven(frames: Iterator[Any]) -> Iterator[Any]:
    """Frames of which those of two fields are made one picture of, by FFmpeg's filter bwdif."""
    graph: Any = None
    layout = None
    for frame in frames:
        if graph is not None and layout != (frame.width, frame.height, frame.format.name):
            yield from _drained(graph)
            graph = None
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            graph, layout = _weaver(frame), (frame.width, frame.height, frame.format.name)
        graph.vpush(frame)
        yield from _pulled(graph)
    if graph is not None:
        yield from _drained(graph)


def _weaver(frame: Any) -> Any:
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
    )
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _drained(graph: Any) -> Iterator[Any]:
    graph.vpush(None)
    yield from _pulled(graph)


def _pulled(graph: Any) -> Iterator[Any]:
    from av.error import BlockingIOError as Nothing
    from av.error import EOFError as Ended

    while True:
        try:
            yield graph.vpull()
        except (Nothing, Ended):
            return


@attrs.frozen(eq=False)
class _Look:
    """How the frames of a stream are shown: size before it is turned, and orientation, of its first frame."""

    width: int
    height: int
    orientation: Orientation

    @classmethod
    def of(cls, frame: Any, video: Any) -> _Look:
        from av.sidedata.sidedata import Type

        matrix = frame.side_data.get(Type.DISPLAYMATRIX)
        aspect = video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio
        return cls(
            shown_width(frame.width, Fraction(aspect) if aspect else None),
            frame.height,
            Orientation() if matrix is None else Orientation.of_matrix(bytes(matrix)),
        )

    def pixels(self, frame: Any) -> np.ndarray:
        import numpy as np

        alpha = any(component.is_alpha for component in frame.format.components)
        shown = frame.reformat(
            width=self.width,
            height=self.height,
            format="rgba" if alpha else "rgb24",
            src_colorspace=_matrix(frame),
            threads=1,  # a frame keeps its scaler, whose threads a fork lacks
        ).to_ndarray()
        if alpha:
            shown = (shown[..., :3] * (shown[..., 3:].astype(np.uint16)) + 127) // 255
        return np.ascontiguousarray(self.orientation.applied(shown.astype(np.uint8, copy=False)))


def _matrix(frame: Any) -> Any:
    """The colour matrix of a frame; of one that states none, what its size implies."""
    from av.video.reformatter import Colorspace

    stated = int(frame.colorspace)
    if stated not in (2, 3):  # unspecified, reserved
        return None
    return Colorspace.ITU709 if frame.height > _HIGH_DEFINITION or frame.width >= 1280 else Colorspace.ITU601
