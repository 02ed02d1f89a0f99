"""The classes of the installed diffusers that make pictures or clips: of a text, a picture, a clip, or a control of either.

They are read from the source of diffusers, without an import of it: a pipeline that diffusers exports, whose call takes
a prompt, or a picture and a number of frames. Classes for other work are named below with that work, by parts of their
names; what a new release brings is counted unless one of these covers it.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

OTHER_WORK = {
    "ImageToImage|I2I|Kontext|(?<!Chrono)(?<!Lucy)Edit|Inpaint|Fill|Pix2Pix|Layered|Variation|CycleDiffusion": "edits pictures",
    "BlipDiffusion|DualGuided|Redux|UnCLIPImg2Img": "mixes a text with a picture",
    "Depth2Img": "follows a depth",
    "Upscal|Upsampl|SuperResolution|Refine": "enlarges or refines",
    "Prior|Decode|^Kandinsky(Img2Img)?Pipeline|^KandinskyV22Pipeline": "is one half of a chain, on embeddings of the other",
    "Audio|Music|AceStep": "makes sound",
    "ShapE": "makes solid bodies",
    "DiffusionGemma|LLaDA2": "makes text",
    "Onnx": "runs networks of onnxruntime",
}
"""Parts of names, as regular expressions, and what classes of such names do."""

FRAMES = {"num_frames", "frames", "video_length"}


def _root() -> Path:
    spec = importlib.util.find_spec("diffusers")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("diffusers is not installed: pip install 'jvid[models]'")
    return Path(spec.origin).parent


CALL = re.compile(r"^class (\w+)\(|^    (def __call__\(.*?\)(?: ->[^\n]*)?:)$", re.MULTILINE | re.DOTALL)
"""The head of a class, or the head of its call; parsing whole files takes ten times as long."""


def _calls(text: str) -> Iterator[tuple[str, set[str]]]:
    """Classes of a module that can be called, with the names of the call's arguments."""
    name = ""
    for match in CALL.finditer(text):
        if match[1]:
            name = match[1]
            continue
        function = ast.parse(match[2] + " ...").body[0]
        assert isinstance(function, ast.FunctionDef)
        yield name, {argument.arg for argument in function.args.args + function.args.kwonlyargs}


@cache
def published() -> frozenset[str]:
    """Names of all such classes."""
    root = _root()
    exported = set(re.findall(r'"(\w+Pipeline)"', (root / "__init__.py").read_text(encoding="utf-8")))
    other = re.compile("|".join(OTHER_WORK))
    return frozenset(
        name
        for path in (root / "pipelines").rglob("pipeline*.py")
        for name, arguments in _calls(path.read_text(encoding="utf-8"))
        if name in exported
        and not other.search(name)
        and ("prompt" in arguments or ("image" in arguments and arguments & FRAMES))
    )
