"""The command line with an ensemble in closed form: what it writes, repeats and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import torch

import jvid
from jvid.cli import main
from jvid.cli.progress import steps_bar
from jvid.ensemble import Composition, compose
from jvid.errors import InputError, PluginWarning
from jvid.media import ENDINGS, read_latents, read_metadata, write_latents
from jvid.pipeline import record
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import make
from jvid.pipeline.record import Clip
from jvid.plugins import hookimpl
from jvid.plugins.registry import Registry, using
from jvid.strategy import Strategy
from jvid.strategy.shorthand import noise_of, with_guidance
from tests import toy
from tests.toy import SHAPE, STRATEGY, built, toy_ensemble, toy_registry

ROOT = Path(__file__).resolve().parents[3]
WAVE = "a person waving"
RUN = "a person running"
Run = Callable[..., int]


pytestmark = pytest.mark.usefixtures("toys")


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def sample(*args: str) -> int:
    return main(["sample", *args, "--ensemble", "toy"])


def latents(*args: str, name: str = "z.safetensors") -> torch.Tensor:
    assert sample(*args, "-o", name) == 0
    return read_latents(name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_sample_writes_a_file_with_its_record(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample(WAVE, "-o", f"wave{ending}", "--seed", "3", "--plan-seed", "2", "--gamma", ".5") == 0
    assert files() == [f"wave{ending}"]
    stated = read_metadata(f"wave{ending}")
    assert (stated["format"], stated["ensemble"]) == (2, "toy")
    assert stated["clips"] == [{"prompt": WAVE, "seed": 3}]
    strategy = Strategy.from_dict(stated["strategy"])
    assert (strategy.steps, strategy.plan_seed, noise_of(strategy, "image")) == (8, 2, (0.5, 0.0))
    assert {"jvid", "torch"} <= set(stated["versions"])
    assert (stated["dtype"], stated["fps"]) == ("float32", 12.5)
    printed = capsys.readouterr()
    counts = Composition(strategy, toy_ensemble()).plan().counts
    for name in ("video", "image"):
        assert f"{name}  {counts[name]:4d} calls" in printed.out
    assert "seed 3, plan seed 2" in printed.out
    assert printed.out.splitlines()[-1] == f"wave{ending}"
    assert ("decoder" in printed.out) is (ending != ".safetensors")
    assert printed.err == ""


def test_latents_are_those_of_the_sampler() -> None:
    ensemble = toy_ensemble()
    sampler = compose(STRATEGY, ensemble)
    for seed in (4, 5):
        expected = sampler(SHAPE, seeds=[seed], cond=ensemble.condition([RUN]))
        assert torch.equal(latents(RUN, "--seed", str(seed)), expected)


def test_prompts_times_num_share_seeds() -> None:
    both = latents(WAVE, RUN, "--num", "2", "--seed", "7")
    assert both.shape == (4, *SHAPE)
    stated = read_metadata("z.safetensors")["clips"]
    assert [(c["prompt"], c["seed"]) for c in stated] == [(WAVE, 7), (WAVE, 8), (RUN, 7), (RUN, 8)]
    assert torch.equal(both[3:], latents(RUN, "--seed", "8"))
    assert torch.equal(both, latents(WAVE, RUN, "--num", "2", "--seed", "7", "--batch", "3"))


def test_several_clips_play_in_several_files() -> None:
    from PIL import Image

    assert sample(WAVE, RUN, "-o", "a.gif", "-o", "a.png", "-o", "a.safetensors", "--scale", "1") == 0
    assert files() == ["a-0.gif", "a-1.gif", "a.png", "a.safetensors"]
    assert read_metadata("a-1.gif")["clips"] == [{"prompt": RUN, "seed": 0}]
    assert len(read_metadata("a.png")["clips"]) == 2
    with Image.open("a.png") as page:
        assert page.size == (5 * 64 + 4 * 2, 2 * 64 + 2)


@pytest.mark.parametrize("ending", ENDINGS)
def test_again_makes_the_same_clip_bit_for_bit(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--seed", "11", "--steps", "6", "--guidance", "3", "--smooth", "gaussian:std=.7", "--ratio", ".3",
               "--selector", "piecewise-affine:t_v=.1,t_e=.5,p_e=.4,p_f=.2", "--solver", "ddim:eta=.6"]  # fmt: skip
    assert sample(RUN, *options, "-o", f"one{ending}", "-o", "first.safetensors") == 0
    capsys.readouterr()
    assert main(["sample", "--again", f"one{ending}", "-o", "two.safetensors", "-o", f"three{ending}"]) == 0
    assert capsys.readouterr().err == ""
    assert torch.equal(read_latents("first.safetensors"), read_latents("two.safetensors"))
    assert Path(f"three{ending}").read_bytes() == Path(f"one{ending}").read_bytes()
    changed = main(["sample", "--again", f"one{ending}", "-o", "four.safetensors", "--smooth", "none"])
    assert changed == 0
    assert not torch.equal(read_latents("first.safetensors"), read_latents("four.safetensors"))


def test_again_warns_of_other_versions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as then:
        then.setattr(record, "versions", lambda: {"jvid": "0.0.1"})
        assert sample(WAVE, "-o", "old.gif") == 0
    capsys.readouterr()
    assert main(["sample", "--again", "old.gif", "-o", "new.gif"]) == 0
    assert f"jvid 0.0.1 then, {jvid.__version__} now" in capsys.readouterr().err


def test_options_change_what_they_say() -> None:
    plain = latents(WAVE)
    for options in (
        ["--steps", "5"], ["--guidance", "5"], ["--gamma", "1"], ["--gamma", "video=0"], ["--ratio", "1", "--gamma", "1"],
        ["--smooth", "none"], ["--smooth", "uniform:size=3"], ["--solver", "ddim"], ["--selector", "always:name=video"],
        ["--selector", "always:name=image"], ["--plan-seed", "5"], ["--seed", "1"], ["--grid", "trailing"], ["--paper", "256"],
    ):  # fmt: skip
        assert not torch.equal(plain, latents(WAVE, *options)), options


def test_again_with_an_ensemble_that_moved() -> None:
    assert sample(WAVE, "-o", "a.safetensors") == 0
    moved = toy_registry()
    moved.add(
        SimpleNamespace(
            jvid_register=hookimpl(lambda register: register.ensemble("elsewhere", toy.registered))
        ),
        "more",
    )
    with using(moved):
        assert (
            main(["sample", "--again", "a.safetensors", "--ensemble", "elsewhere", "-o", "b.safetensors"])
            == 0
        )
    assert torch.equal(read_latents("a.safetensors"), read_latents("b.safetensors"))
    assert read_metadata("b.safetensors")["ensemble"] == "elsewhere"


@pytest.mark.parametrize("ending", [".mp4", ".safetensors"])
def test_a_codec_that_cannot_load_is_reported_before_a_network_runs(
    ending: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise InputError("no weights file decoder.safetensors")

    def run(self: toy.Conditional, *args: object) -> None:
        raise AssertionError("a network ran")

    monkeypatch.setattr(toy, "codec", absent)
    if ending != ".safetensors":
        monkeypatch.setattr(toy.Conditional, "__call__", run)
    assert sample(WAVE, "-o", f"a{ending}") == (0 if ending == ".safetensors" else 2)


def test_the_bar_names_the_expert_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.progress import Progress

    seen: list[str] = []
    usual = Progress.update

    def watch(self: Progress, task: Any, *, description: str, **more: Any) -> None:
        seen.append(description)
        usual(self, task, description=description, **more)

    monkeypatch.setattr(Progress, "update", watch)
    ensemble = toy_ensemble()
    strategy = attrs.evolve(STRATEGY, selector="piecewise-affine:t_v=.2,t_e=.3,p_e=0,p_f=0")
    with steps_bar() as advance:
        make(ensemble, strategy, [Clip(WAVE, 0), Clip(WAVE, 1)], Batching(1), "cpu", advance=advance)
    names = [step.expert for step in Composition(strategy, ensemble).plan().steps]
    assert set(names) == {"video", "image"}
    assert seen == [*names[1:], *names, names[0]]


def test_unconditional_ignores_the_prompts() -> None:
    free = latents("--unconditional")
    stated = read_metadata("z.safetensors")
    assert stated["clips"] == [{"prompt": None, "seed": 0}]
    ensemble = toy_ensemble()
    sampler = compose(with_guidance(STRATEGY, 1.0), ensemble)
    assert torch.equal(free, sampler(SHAPE, seeds=[0], cond=ensemble.condition([WAVE])["null"]))
    assert main(["sample", "--again", "z.safetensors", "-o", "y.safetensors"]) == 0
    assert torch.equal(free, read_latents("y.safetensors"))


def test_device_and_dtype_reach_the_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    usual = toy.toy_ensemble

    def watch(device: str = "cpu", dtype: str = "float32", broken: bool = False) -> Any:
        seen.append((device, dtype))
        return usual(device, dtype, broken)

    monkeypatch.setattr(toy, "toy_ensemble", watch)
    assert sample(WAVE, "-o", "a.png", "--dtype", "bfloat16") == 0
    assert main(["sample", "--again", "a.png", "-o", "b.png"]) == 0
    assert seen == [("cpu", "bfloat16")] * 2


def test_the_former_name_of_the_option_is_another_name() -> None:
    assert torch.equal(latents(WAVE), latents(WAVE, name="y.safetensors"))
    assert main(["sample", WAVE, "--ensemble", "toy", "-o", "x.safetensors"]) == 0
    assert Path("x.safetensors").read_bytes() == Path("z.safetensors").read_bytes()


def test_the_first_registered_ensemble_is_the_default() -> None:
    assert main(["sample", WAVE, "-o", "x.safetensors"]) == 0
    assert read_metadata("x.safetensors")["ensemble"] == "toy"
    assert torch.equal(read_latents("x.safetensors"), latents(WAVE))


def test_a_file_of_format_1_is_made_again() -> None:
    """What version 0.1 wrote: a pair by name, and a strategy with guidance, noise and smoothing."""
    made = latents(
        WAVE, "--guidance", "3", "--gamma", ".3", "--ratio", ".2", "--smooth", "none", "--seed", "5"
    )
    stated = read_metadata("z.safetensors")
    strategy = stated["strategy"]
    old = {key: value for key, value in strategy.items() if key not in ("experts", "postprocessors")}
    old |= {"guidance": 3.0, "noise": {"image": {"gamma": 0.3, "ratio": 0.2}}, "smoothing": None}
    old["selector"] = {
        "name": "piecewise-affine",
        "options": {"t_v": 0.2, "t_e": 0.7, "p_e": 0.3, "p_f": 0.3},
    }
    first = {
        key: value
        for key, value in stated.items()
        if key not in ("ensemble", "plan", "frames", "batches", "threads")
    }
    write_latents("old.safetensors", made, {**first, "format": 1, "pair": "toy", "strategy": old})
    assert main(["sample", "--again", "old.safetensors", "-o", "y.safetensors"]) == 0
    assert torch.equal(read_latents("y.safetensors"), made)
    again = read_metadata("y.safetensors")
    assert (again["format"], again["ensemble"], again["strategy"]) == (2, "toy", strategy)


def test_plan_prints_and_plots_without_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--ensemble", "toy", "-o", "plan.png", "-o", "plan.json", "--plan-seed", "4"]) == 0
    printed = capsys.readouterr().out
    assert "plan seed 4: 8 steps" in printed
    assert "\x1b" not in printed
    assert built == []
    assert Path("plan.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads(Path("plan.json").read_text())["steps"]) == 8


@pytest.mark.parametrize(
    "args", [["--ensemble", "none"], ["--paper", "128"], ["--ensemble", "none", "--paper", "256"]]
)
def test_plan_needs_no_ensemble(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *args]) == 0
    assert "50 steps" in capsys.readouterr().out


def test_names_lists_kinds_and_components(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["names"]) == 0
    assert "ddpm, ddim" in capsys.readouterr().out
    assert main(["names", "ensemble"]) == 0
    assert capsys.readouterr().out.split()[:4] == ["toy", "toys", "(toys", "1.0)"]


def test_plugins_contribute_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert "Say hello." in listed
    assert "Needs what is missing." in listed
    assert main(["greet", "--name", "ann"]) == 0
    assert capsys.readouterr().out == "hello ann\n"
    assert main(["greet", "--help"]) == 0
    assert "--name" in capsys.readouterr().out
    assert main(["greet", "--shout"]) == 2
    assert "--shout" in capsys.readouterr().err


def test_a_broken_plugin_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Late(Registry):
        def names(self, kind: str) -> tuple[str, ...]:
            if not self.failures:
                self.add(object(), "bad", "bad 1.0")
            return super().names(kind)

    with using(Late(entry_points=False)):
        assert main(["names", "solver"]) == 0
    printed = capsys.readouterr().err
    assert printed.startswith("jvid: warning: plugin 'bad' of bad 1.0 failed at api")
    assert printed.count("\n") == 1
    assert issubclass(PluginWarning, UserWarning)


@pytest.mark.parametrize("command", ["sample", "plan"])
def test_help_swallows_and_cuts_nothing(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert "(default: the first of jvid names ensemble)" in " ".join(printed.replace("│", " ").split())
    assert "boundary:experts=high+low,at=.4" in printed


def test_help_is_light_and_version_is_printed() -> None:
    code = "import sys, jvid.cli as c; c.main(['sample', '--help']); c.main(['--version']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [f"jvid {jvid.__version__}", "False"]


def test_python_m_jvid_gives_the_exit_code() -> None:
    command = [sys.executable, "-m", "jvid", "sample", WAVE, "-o", "a.avi"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
