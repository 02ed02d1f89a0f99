"""What README and docs give the reader to type: it runs, or it names what it lacks.

A console block holds one command a line. ``jvid`` commands run in an empty folder, samples in two steps and in this process;
commands of minutes (training, make) are checked without running: the target, the recipe and the options exist.
Python blocks of one page run in order, in one namespace.

What a page shows is that words, names, files and shapes fit together, so the UNets and the video decoder do no arithmetic here:
their weights are read and their inputs arrive, and a cheap function answers. The README's first command runs whole, as installed,
in ``test_wheel.py``; the numbers are those of ``test_digests.py`` and ``test_bundled.py``.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.published import tiny
from jvid import paper
from jvid.cli import main
from jvid_training.search.recipe import load_study
from jvid_training.search.rows import whole

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAIR = ROOT / "jvid_models" / "actions_64"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def blocks(page: Path, *languages: str) -> list[str]:
    return [
        body for language, body in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages
    ]


@cache
def commands() -> list[str]:
    lines = [
        line.strip()
        for page in PAGES
        for block in blocks(page, "bash", "console")
        for line in block.splitlines()
    ]
    return list(dict.fromkeys(line.removeprefix("$ ") for line in lines if line and not line.startswith("#")))


@cache
def recipes() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in (ROOT / "recipes").rglob("*.toml")]


def needs_pair(text: str) -> bool:
    by_default = text.startswith("jvid sample") or (
        text.startswith("jvid plan") and "--paper" not in text and "--plan " not in text
    )
    return by_default or '"actions-64"' in text


def skip_without_pair(text: str) -> None:
    if needs_pair(text) and not list(PAIR.glob("*.safetensors")):
        pytest.skip("needs the bundled pair actions-64, whose weights are not in this checkout")


FOLDERS = {
    "models/stable-diffusion": "StableDiffusionPipeline",
    "models/modelscope": "TextToVideoSDPipeline",
    "models/wan-2.1": "WanPipeline",
    "models/wan-2.2": "WanPipeline:2.2",
    "models/qwen-image": "QwenImagePipeline",
}
"""Published models of the pages: tiny ones with random weights replace them."""


SIZE = ":height=32,width=48,num_frames=5"
"""Of Wan's clips: the default one is too large for a tiny network."""


def put_models(text: str, folder: Path) -> None:
    """Save what a page names into ``folder``, as the reader has it."""
    for name, kind in FOLDERS.items():
        if name in text and not (folder / name).is_dir():
            tiny_pipeline(kind).save_pretrained(folder / name)


@cache
def tiny_pipeline(kind: str) -> Any:
    return tiny.build(kind).pipe


TAKES_MINUTES = {
    "encode", "train", "curves", "export", "sheets", "generate", "evaluate", "ablation", "sweep", "report",
}  # fmt: skip


def is_shown(recipe: str) -> bool:
    """Whether a page shows a recipe of this name, which the reader writes."""
    line = f'name = "{Path(recipe).stem}"'
    return any(line in block.splitlines() for page in PAGES for block in blocks(page, "toml"))


def takes_what_is_trained(words: list[str]) -> bool:
    """Whether a command takes what a command of the pages exports, of weights that training makes; pages lack those."""
    made = {
        line.partition(" -o ")[2].strip()
        for line in commands()
        if re.match(r"jvid export .* -o (?!mine\b)", line)
    }
    return any(part in made for word in words for part in re.split("[=:,]", word))


@pytest.fixture
def idle_networks(monkeypatch: pytest.MonkeyPatch, bundled_once: None) -> None:
    from jvid_models.fast import AcceleratedUNet
    from jvid_models.video_codec import VideoDecoderCodec

    def predict(
        unet: Any, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, **options: Any
    ) -> Any:
        assert len(sample) == len(encoder_hidden_states)
        return (0.5 * sample + 0.01 * encoder_hidden_states.mean(),)

    def decode(codec: VideoDecoderCodec, latents: Tensor) -> Tensor:
        return torch.tanh(latents[:, :3]).repeat_interleave(8, 3).repeat_interleave(8, 4)

    monkeypatch.setattr(AcceleratedUNet, "forward", predict)
    monkeypatch.setattr(VideoDecoderCodec, "decode", decode)


def command_options(name: str) -> set[str]:
    from jvid.cli.app import command

    group = command()
    context = group.make_context("jvid", ["names"])
    with group.get_command(context, name).make_context(name, [], resilient_parsing=True) as inner:
        return {option for parameter in inner.command.params for option in parameter.opts}


def run(words: list[str], folder: Path) -> str:
    """A process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@cache
def help_of_module(name: str) -> str:
    """What ``python -m name --help`` prints."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr(sys, "argv", [name, "--help"])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(name, run_name="__main__")
    assert not ended.value.code
    return printed.getvalue()


def jvid(*words: str) -> None:
    """``jvid`` with these arguments, in this process and its working folder."""
    assert main(words) == 0, f"jvid {shlex.join(words)}"


@pytest.mark.parametrize("command", commands())
@pytest.mark.usefixtures("idle_networks")
def test_command(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A comment follows white space, as in a shell: ENSEMBLE#EXPERT is a word.
    words = shlex.split(re.sub(r"\s#\s.*$", "", command))
    if words[0] == "make":
        run(["make", "-n", *words[1:]], ROOT)
        return
    if words[0] in {"torchrun", "accelerate"}:
        start = words.index("jvid")
        assert words[start - 1] == "-m"
        words = words[start:]
        assert words[1] in TAKES_MINUTES
    if words[:2] == ["python", "-m"]:
        # What it does takes minutes; the module, its options and the files that it names must be there.
        shown = help_of_module(words[2])
        assert [word for word in words[3:] if word.startswith("-") and f"{word} " not in shown] == []
        # A file is there; a folder is written by a recipe or by a command of the pages.
        written = "\n".join([*recipes(), *commands(), ""])
        paths = [word for word in words[3:] if "/" in word]
        made = [path for path in paths if f'out = "{path}"\n' in written or f"-o {path}\n" in written]
        assert [path for path in paths if path not in made and not (ROOT / path).is_file()] == []
        if words[3:] and words[3].endswith(".toml") and "/" not in words[4]:
            # A row of the recipe, of its own or Table 2's.
            rows = [*load_study(ROOT / words[3]).ablation.strategies, *whole(paper.strategy(64), 64)]
            assert words[4] in rows
    elif words[0] == "python":  # a recipe's script, of minutes: it is there and takes the options
        script = (ROOT / words[1]).read_text(encoding="utf-8")
        assert [word for word in words[2:] if word.startswith("-") and f'"{word}"' not in script] == []
    elif words[0] == "jvid" and (words[1] in TAKES_MINUTES or takes_what_is_trained(words)):
        for recipe in (word for word in words if word.endswith(".toml")):
            assert (ROOT / recipe).is_file() or is_shown(recipe), f"no {recipe}"
        known = command_options(words[1])
        assert [word for word in words if word.startswith("-") and word not in known] == []
    elif words[0] == "jvid":
        skip_without_pair(command)
        monkeypatch.chdir(tmp_path)
        put_models(command, tmp_path)
        words = [f"{word}{SIZE}" if re.search(r"models/wan-2\.\d$", word) else word for word in words]
        for earlier in (words[i + 1] for i, word in enumerate(words) if word == "--again"):
            jvid("sample", "--unconditional", "--steps", "1", "-o", earlier)
        plans = [words[i + 1] for i, word in enumerate(words) if word == "--plan"]
        for plan in plans:
            jvid("plan", "--paper", "64", "--steps", "2", "-o", plan)
        for mine in (words[i + 1] for i, word in enumerate(words) if word == "--strategy"):
            paper.strategy(64).save(tmp_path / mine.rpartition("=")[2])
        for prompts in (words[i + 1] for i, word in enumerate(words) if word == "--prompts"):
            line = '{"prompt": "a person walking", "seed": 7}'
            (tmp_path / prompts).write_text(f"a person running\n\n{line}\n", encoding="utf-8")
        # The last of an option counts.
        few = ["--steps", "2"] if words[1] == "sample" and not plans else []
        if words[1] == "sample":
            few += ["--scale", "1", *(["--num", "2"] if "--num" in words else [])]
        jvid(*words[1:], *few)
        for output in (words[i + 1] for i, word in enumerate(words) if word == "-o"):
            written = [tmp_path / output, *tmp_path.glob(f"{Path(output).stem}-*{Path(output).suffix}")]
            assert sum(path.stat().st_size for path in written if path.is_file()) > 0, output
    else:
        assert words[0] in {"pip", "git"}, f"{command}: this test does not know how to check it"


@pytest.mark.parametrize(
    "page",
    # The tutorials on plugins have a test of their own.
    [page for page in PAGES if blocks(page, "python") and page.parent.name != "plugins"],
    ids=lambda page: page.name,
)
@pytest.mark.usefixtures("idle_networks")
def test_python_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = blocks(page, "python")
    skip_without_pair("\n".join(code))
    put_models("\n".join(code), tmp_path)
    # A module that is found by its name: the conformance kit pickles what a page defines.
    module = types.ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    for number, block in enumerate(code, 1):
        exec(compile(block, f"{page.name}, python block {number}", "exec"), vars(module))


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"(?m)^\.PHONY: (.*)$", makefile).group(1).split()
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [target for target in targets if f"make {target}" not in done.stdout] == []
