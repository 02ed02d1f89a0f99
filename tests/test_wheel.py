"""The built wheel in empty environments: what each extra brings works, what is missing is named with its command."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from collections.abc import Callable, Sequence
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.environments import ROOT, Environment, build_wheel, make_environment, unpack

README = ROOT / "README.md"
CORE = {"attrs", "cattrs", "einops", "numpy", "pluggy", "safetensors", "torch"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(wheel, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture
def environment(unpacked: Path, tmp_path: Path) -> Callable[..., Environment]:
    return lambda *extras: make_environment(tmp_path / "environment", unpacked, extras)


def test_the_wheel_holds_the_packages_and_the_weights_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tops = {name.partition("/")[0] for name in names}
        for path in (ROOT / "jvid_models").glob("*_64/*.safetensors"):
            assert archive.read(f"jvid_models/{path.parent.name}/{path.name}") == path.read_bytes()
    assert {top for top in tops if not top.endswith(".dist-info")} == {"jvid", "jvid_models", "jvid_training"}
    assert {f"{top}/py.typed" for top in tops if not top.endswith(".dist-info")} <= set(names)
    assert [name for name in names if re.search(r"(^|[/_.])(tests?|mutants?)([/_.]|$)", name)] == []


def test_the_extras_of_the_wheel(unpacked: Path) -> None:
    (info,) = unpacked.glob("*.dist-info")
    message = message_from_string((info / "METADATA").read_text(encoding="utf-8"))
    lines = [Requirement(line) for line in message.get_all("Requires-Dist")]
    extras = set(message.get_all("Provides-Extra"))
    assert {"cli", "media", "models", "training", "testing", "all"} <= extras

    def of(*chosen: str) -> set[str]:
        return {
            line.name
            for line in lines
            if line.marker and any(line.marker.evaluate({"extra": e}) for e in chosen)
        }

    assert {line.name for line in lines if line.marker is None} == CORE
    assert of("models") == {"diffusers", "peft", "transformers"}
    assert of("cli", "media", "models") < of("training") < of("all")
    assert of("all") == of(*extras - {"test", "docs"})


CORE_ALONE = """
import importlib.metadata, json, pkgutil, importlib
import torch
import jvid
from jvid.errors import MissingDependencyError
from jvid.plugins import hookimpl
from jvid.testing import GaussianOracle, conforms

print(json.dumps(sorted(d.metadata["Name"].lower().replace("_", "-") for d in importlib.metadata.distributions())))

class Mine:  # a denoiser of one's own, beside an oracle
    schedule = jvid.FlowMatching()
    def __call__(self, x, t, cond):
        return torch.full_like(x, 0.25)

oracle = GaussianOracle(jvid.TabulatedSchedule.scaled_linear(), mean=0.25, std=0.0)
experts = {"video": jvid.Expert(oracle), "image": jvid.Expert(Mine(), noise=jvid.SharedNoise(0.5))}
sampler = jvid.Sampler(experts, jvid.Random({"video": 0.5, "image": 0.5}), jvid.DDPM(), jvid.Leading(8))
plan = sampler.plan(seed=1)
assert set(plan.counts) == {"video", "image"} and "8 steps" in plan.summary()
jvid.save_plan(plan, "plan.json")
assert jvid.load_plan("plan.json") == plan
latents = sampler((4, 2, 3, 3), seeds=[1, 2], plan=plan)
assert latents.shape == (2, 4, 2, 3, 3) and torch.allclose(latents, torch.tensor(0.25), atol=1e-4)

@hookimpl
def jvid_register(register):
    register.selector("mine", lambda: jvid.Always("video"))

registry = jvid.Registry()
registry.add(jvid_register, "own", "own 1")
assert registry.load("selector", "mine") == jvid.Always("video")
assert [plugin.name for plugin in registry.plugins] == ["builtin", "models", "training", "own"]
assert not registry.failures and "train" in registry.names("command") and "unet" in registry.names("denoiser")

needs = {
    "models": lambda: jvid.load("ensemble", "sprites-64", fast=False).denoiser("clips"),
    "testing": lambda: conforms("selector", jvid.Always("video")),
    "media": lambda: jvid.plot_plan(plan, "plan.png"),
}
for extra, call in needs.items():
    try:
        call()
    except MissingDependencyError as error:
        assert f"is not installed: pip install 'jvid[{extra}]'" in str(error), error
        print(error)
    else:
        raise AssertionError(extra)

# Of the core's own modules, all but those of the command line and of the checks can be imported.
for module in pkgutil.walk_packages(jvid.__path__, "jvid."):
    if not module.name.startswith(("jvid.cli.", "jvid.testing.")):
        try:
            importlib.import_module(module.name)
        except MissingDependencyError as error:
            assert "jvid[cli]" in str(error), (module.name, error)
"""


def test_the_core_alone(environment: Callable[..., Environment]) -> None:
    core = environment()
    assert core.names.isdisjoint({"av", "diffusers", "matplotlib", "pillow", "rich", "transformers", "typer"})
    done = core.run("python", "-c", CORE_ALONE)
    assert done.returncode == 0, done.stderr
    first, *named = done.stdout.splitlines()
    assert set(json.loads(first)) == core.names | {"jvid"}  # nothing leaks in
    assert len(named) == 3

    for words in ([], ["plan", "--paper", "64"], ["--help"]):
        done = core.run("jvid", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"jvid: error: \w+ is not installed: pip install 'jvid\[cli\]'\n", done.stderr)


MANY = """
import contextlib, io, json, sys
from jvid.cli import main

results = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    results.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""


def commands(environment: Environment, *each: Sequence[str]) -> list[list[Any]]:
    """Exit code, stdout and stderr of each command, all in one process of the environment."""
    done = environment.run("python", "-c", MANY, json.dumps(each))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_command_line_alone(environment: Callable[..., Environment]) -> None:
    cli = environment("cli")
    works = {
        "names": "actions-64",
        "plugins": "training",
        "plan --paper 64": "32",
        "--help": "sweep",
        "sample --unconditional -o made.safetensors": "made.safetensors",
        "show denoiser unet": "unet",
    }
    lacks = {
        "plan --paper 64 -o x.png": "matplotlib is not installed: pip install 'jvid[media]'",
        "sample --unconditional -o x.mp4": "av is not installed: pip install 'jvid[media]'",
        "sample --unconditional -o x.png": "pillow is not installed: pip install 'jvid[media]'",
        "check solver ddim": "hypothesis is not installed: pip install 'jvid[testing]'",
        "train x.toml": "accelerate is not installed: pip install 'jvid[training]'",
        "evaluate x -r x.toml": "is not installed: pip install 'jvid[training]'",
        "curves x -o x.png": "matplotlib is not installed: pip install 'jvid[training]'",
    }
    found = commands(cli, *(line.split() for line in (*works, *lacks)))
    for (line, shown), (code, out, err) in zip(works.items(), found, strict=False):
        assert (code, err) == (0, ""), line
        assert shown in out, line
    for (line, message), (code, out, err) in zip(lacks.items(), found[len(works) :], strict=True):
        assert (code, out) == (2, ""), (line, err)
        assert (err[:13], err.count("\n")) == ("jvid: error: ", 1), line
        assert err.endswith(f"{message}\n"), line
    assert not list(cli.folder.glob("x.*"))


FROM_PYTHON = """
import torch
import jvid
from jvid.media import read_metadata, write_video
from jvid.testing import GaussianOracle, conforms

video = torch.zeros(1, 3, 4, 16, 16)
for name in ("x.mp4", "x.gif", "x.png"):
    assert read_metadata(write_video(name, video, 8.0, {"seed": 3})) == {"seed": 3}
oracle = GaussianOracle(jvid.TabulatedSchedule.scaled_linear(), mean=0.3, std=0.5)
assert jvid.plot_plan(jvid.paper.sampler(oracle, oracle, resolution=64).plan(seed=0), "x.svg").is_file()
assert conforms("selector", jvid.Always("video"), examples=2).ok
"""


def test_media_and_the_conformance_kit_without_a_command_line(
    environment: Callable[..., Environment],
) -> None:
    done = environment("media", "testing").run("python", "-c", FROM_PYTHON)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_demo_runs_on(environment: Callable[..., Environment]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--editable '.[cli,media,models]'" in makefile
    demo = environment("cli", "media", "models")
    sample = 'jvid sample "a person waving two hands" -o wave.mp4'
    assert f"$ {sample}\n" in README.read_text(encoding="utf-8")
    (prompt,) = re.findall(r"PROMPT \?= (.+)", makefile)
    first, second = commands(
        demo,
        [*shlex.split(sample)[1:], "--steps", "1", "-o", "wave.png"],
        ["compare", prompt, "--ensemble", "sprites-64", "--steps", "2", "-o", "comparison.png"],
    )
    assert first[0] == 0, first[2]
    assert first[1].splitlines()[-2:] == ["wave.mp4", "wave.png"]
    assert second[0] == 0, second[2]
    assert all(label in second[1] for label in ("clips alone", "frames alone", "mixture"))
    assert all(
        (demo.folder / name).stat().st_size > 1000 for name in ("wave.mp4", "wave.png", "comparison.png")
    )


TRAINING = """
import accelerate, tensorboard
from jvid_training.data import crop
from jvid_training.jobs import ranks, threads
from jvid_training.train import curves
from jvid_training.evaluation import statistics
from jvid_training.report import page
from jvid_training.search import plot, trials
trials.optuna_module()
"""


def test_training(environment: Callable[..., Environment]) -> None:
    """Without trainers, which take the networks that the demo has shown."""
    done = environment("training").run("python", "-c", TRAINING)
    assert done.returncode == 0, done.stderr
