"""The command line with a pair in closed form: what it writes, repeats and refuses."""

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

from jvid.cli import main
from jvid.cli.progress import step_bar
from jvid.errors import InputError, PluginWarning
from jvid.media import ENDINGS, read_latents, read_metadata, write_latents
from jvid.pipeline import record
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import make
from jvid.pipeline.record import Clip
from jvid.plugins import hookimpl
from jvid.plugins.choice import Choice
from jvid.plugins.registry import Registry, using
from jvid.strategy.strategy import Strategy
from tests import toy
from tests.toy import ToyPair, built, toy_registry

ROOT = Path(__file__).resolve().parents[3]
WAVE = "a person waving"
RUN = "a person running"
Run = Callable[..., int]


pytestmark = pytest.mark.usefixtures("toys")


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def sample(*args: str, pair: str = "toy") -> int:
    return main(["sample", *args, "--pair", pair])


def latents(*args: str, name: str = "z.safetensors") -> torch.Tensor:
    assert sample(*args, "-o", name) == 0
    return read_latents(name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_sample_writes_a_file_that_tells_its_story(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample(WAVE, "-o", f"wave{ending}", "--seed", "3", "--plan-seed", "2", "--gamma", ".5") == 0
    assert files() == [f"wave{ending}"]
    told = read_metadata(f"wave{ending}")
    assert told["pair"] == "toy"
    assert told["clips"] == [{"prompt": WAVE, "seed": 3}]
    strategy = Strategy.from_dict(told["strategy"])
    assert (strategy.steps, strategy.plan_seed, strategy.noise["image"].gamma) == (8, 2, 0.5)
    assert {"jvid", "torch"} <= set(told["versions"])
    assert (told["dtype"], told["fps"]) == ("float32", 12.5)
    said = capsys.readouterr()
    counts = strategy.plan(ToyPair.schedule).counts
    for name in ("video", "image"):
        assert f"{name}  {counts[name]:4d} calls" in said.out
    assert "seed 3, plan seed 2" in said.out
    assert said.out.splitlines()[-1] == f"wave{ending}"
    assert ("decoder" in said.out) is (ending != ".safetensors")
    assert said.err == ""


def test_latents_are_those_of_the_sampler() -> None:
    pair = ToyPair()
    sampler = pair.strategy.sampler(pair)
    for seed in (4, 5):
        expected = sampler(pair.shape, seeds=[seed], cond=pair.text_encoder([RUN]))
        assert torch.equal(latents(RUN, "--seed", str(seed)), expected)


def test_prompts_times_num_share_seeds() -> None:
    both = latents(WAVE, RUN, "--num", "2", "--seed", "7")
    assert both.shape == (4, *ToyPair.shape)
    told = read_metadata("z.safetensors")["clips"]
    assert [(c["prompt"], c["seed"]) for c in told] == [(WAVE, 7), (WAVE, 8), (RUN, 7), (RUN, 8)]
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
    assert "jvid 0.0.1 then, 0.1.0 now" in capsys.readouterr().err


def test_options_change_what_they_say() -> None:
    plain = latents(WAVE)
    for options in (
        ["--steps", "5"], ["--guidance", "5"], ["--gamma", "1"], ["--gamma", "video=0"], ["--ratio", "1", "--gamma", "1"],
        ["--smooth", "none"], ["--smooth", "uniform:size=3"], ["--solver", "ddim"], ["--selector", "always:name=video"],
        ["--selector", "always:name=image"], ["--plan-seed", "5"], ["--seed", "1"], ["--grid", "trailing"], ["--paper", "256"],
    ):  # fmt: skip
        assert not torch.equal(plain, latents(WAVE, *options)), options


def test_again_with_a_pair_that_moved() -> None:
    assert sample(WAVE, "-o", "a.safetensors") == 0
    moved = toy_registry()
    moved.add(
        SimpleNamespace(jvid_register=hookimpl(lambda register: register.pair("elsewhere", ToyPair))), "more"
    )
    with using(moved):
        assert main(["sample", "--again", "a.safetensors", "--pair", "elsewhere", "-o", "b.safetensors"]) == 0
    assert torch.equal(read_latents("a.safetensors"), read_latents("b.safetensors"))
    assert read_metadata("b.safetensors")["pair"] == "elsewhere"


@pytest.mark.parametrize("ending", [".mp4", ".safetensors"])
def test_a_codec_that_cannot_load_is_told_before_a_network_runs(
    ending: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(self: ToyPair) -> None:
        raise InputError("no weights file decoder.safetensors")

    def run(self: toy.Conditional, *args: object) -> None:
        raise AssertionError("a network ran")

    monkeypatch.setattr(ToyPair, "codec", property(absent))
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
    pair = ToyPair()
    strategy = attrs.evolve(
        pair.strategy, selector=Choice.parse("piecewise-affine:t_v=.2,t_e=.3,p_e=0,p_f=0")
    )
    make(pair, strategy, [Clip(WAVE, 0), Clip(WAVE, 1)], Batching(1), "cpu", progress=step_bar)
    names = [step.expert for step in strategy.plan(pair.schedule).steps]
    assert set(names) == {"video", "image"}
    assert seen == [*names[1:], *names, names[0]]


def test_unconditional_ignores_the_prompts() -> None:
    free = latents("--unconditional")
    told = read_metadata("z.safetensors")
    assert told["clips"] == [{"prompt": None, "seed": 0}]
    pair = ToyPair()
    strategy = Strategy.from_dict({**pair.strategy.to_dict(), "guidance": 1.0})
    null = pair.text_encoder([WAVE])["null"]
    assert torch.equal(free, strategy.sampler(pair)(pair.shape, seeds=[0], cond=null))
    assert main(["sample", "--again", "z.safetensors", "-o", "y.safetensors"]) == 0
    assert torch.equal(free, read_latents("y.safetensors"))


def test_dtype_reaches_the_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    usual = ToyPair.__init__

    def watch(self: ToyPair, device: str = "cpu", dtype: str = "float32", broken: bool = False) -> None:
        seen.append((device, dtype))
        usual(self, device, dtype, broken)

    monkeypatch.setattr(ToyPair, "__init__", watch)
    assert sample(WAVE, "-o", "a.png", "--dtype", "bfloat16") == 0
    assert main(["sample", "--again", "a.png", "-o", "b.png"]) == 0
    assert seen == [("cpu", "bfloat16")] * 2


WRONG = {
    "unknown pair": (["sample", WAVE, "-o", "a.mp4", "--pair", "tory"], "unknown pair 'tory': did you mean toy"),
    "pair option": (["sample", WAVE, "-o", "a.mp4", "--pair", "toy:size=3"], "no option 'size'"),
    "unknown prompt": (["a person flying"], "unknown prompt 'a person flying': expected one of a person waving"),
    "no prompt": ([], "no prompt"),
    "prompt and unconditional": ([WAVE, "--unconditional"], "leave one out"),
    "guided unconditional": (["--unconditional", "--guidance", "2"], "leave one out"),
    "unknown selector": ([WAVE, "--selector", "piecewise"], "unknown selector 'piecewise'"),
    "selector option": ([WAVE, "--selector", "always:nam=video"], "no option 'nam': it accepts name"),
    "selector value": ([WAVE, "--selector", "always:name=audio"], "names 'audio'"),
    "selector form": ([WAVE, "--selector", "always:video"], "expected option=value"),
    "probability": ([WAVE, "--selector", "piecewise-affine:t_v=.2,t_e=.7,p_e=1.5,p_f=.3"], "p_e 1.5: expected"),
    "t_e at t_v": ([WAVE, "--selector", "piecewise-affine:t_v=.7,t_e=.7,p_e=.5,p_f=.3"], "t_v < t_e"),
    "not a number": ([WAVE, "--selector", "piecewise-affine:t_v=x,t_e=.7,p_e=.5,p_f=.3"], "t_v='x': expected a number"),
    "gamma": ([WAVE, "--gamma", "-1"], "gamma -1.0: expected"),
    "gamma text": ([WAVE, "--gamma", "much"], "--gamma 'much': expected a number"),
    "gamma expert": ([WAVE, "--gamma", "audio=1"], "expert 'audio'"),
    "ratio": ([WAVE, "--ratio", "1.5"], "ratio 1.5: expected a number from 0 to 1"),
    "smooth": ([WAVE, "--smooth", "uniform:size=4"], "odd number"),
    "unknown smooth": ([WAVE, "--smooth", "temporl"], "did you mean temporal?"),
    "solver": ([WAVE, "--solver", "ddim:eta=2"], "eta=2"),
    "steps": ([WAVE, "--steps", "0"], "steps 0: expected"),
    "too many steps": ([WAVE, "--steps", "2000"], "at most 1000"),
    "steps text": ([WAVE, "--steps", "many"], "'--steps': got 'many'"),
    "guidance": ([WAVE, "--guidance", "nan"], "expected a finite number"),
    "paper": ([WAVE, "--paper", "65"], "expected one of 64, 128, 256"),
    "device": ([WAVE, "--device", "abacus"], "--device 'abacus' cannot be used"),
    "dtype": ([WAVE, "--dtype", "int4"], "expected float32 or bfloat16"),
    "seed": ([WAVE, "--seed", "-1"], "'--seed': got '-1'"),
    "num": ([WAVE, "--num=0"], "'-n': got '0'"),
    "ending": (["sample", WAVE, "-o", "a.avi", "--pair", "toy"], "expected .mp4, .gif, .webp, .png, .safetensors"),
    "folder": (["sample", WAVE, "-o", "no/a.mp4", "--pair", "toy"], "there is no folder 'no'"),
    "no output": (["sample", WAVE, "--pair", "toy"], "-o"),
    "twice": (["sample", WAVE, "-o", "a.png", "-o", "a.png", "--pair", "toy"], "written twice"),
    "unknown option": ([WAVE, "--colour", "red"], "--colour"),
    "again beside": ([WAVE, "--again", "x.mp4"], "beside --again"),
    "again absent": (["sample", "--again", "x.mp4", "-o", "a.png"], "no file 'x.mp4'"),
    "NaN": (["sample", WAVE, "-o", "a.png", "--pair", "toy:broken=true"], "expert 'image' at step"),
    "unknown command": (["sampel"], "Did you mean 'sample'? Expected one of sample, plan, names"),
    "unknown kind": (["names", "solvers"], "unknown kind 'solvers'"),
    "plan ending": (["plan", "--pair", "toy", "-o", "plan.mp4"], "expected .png, .svg, .pdf, .json"),
    "plan selector": (["plan", "--pair", "toy", "--selector", "alway"], "did you mean always"),
    "missing package": (["absent"], "toys/absent (toys 1.0) cannot be imported"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line_and_nothing_is_written(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    args, words = WRONG[case]
    if not args or args[0] not in ("sample", "plan", "names", "sampel", "absent"):
        args = ["sample", *args, "-o", "a.mp4", "--pair", "toy"]
    assert main(args) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("jvid: error: ")
    assert said.err.count("\n") == 1
    assert words in said.err
    assert files() == []
    if case not in ("NaN",):
        assert built == []


@pytest.mark.parametrize("metadata", [{}, {"format": 1}, {"format": 2}, {"format": 1, "clips": []}])
def test_a_file_that_tells_no_story_is_refused(
    metadata: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    write_latents("z.safetensors", torch.zeros(1), metadata)
    assert main(["sample", "--again", "z.safetensors", "-o", "a.png"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("where", ["sampling", "decoding"])
def test_an_interrupt_writes_nothing(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    if where == "sampling":
        monkeypatch.setattr(toy.Conditional, "__call__", interrupt)
    else:
        monkeypatch.setattr(ToyPair, "codec", property(interrupt))
    assert sample(WAVE, "-o", "a.mp4") == 130
    assert files() == []
    assert capsys.readouterr().err == "jvid: interrupted\n"


def test_plan_prints_and_plots_without_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--pair", "toy", "-o", "plan.png", "-o", "plan.json", "--plan-seed", "4"]) == 0
    said = capsys.readouterr().out
    assert "plan seed 4: 8 steps" in said
    assert "\x1b" not in said
    assert built == []
    assert Path("plan.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads(Path("plan.json").read_text())["steps"]) == 8


@pytest.mark.parametrize(
    "args", [["--pair", "none"], ["--paper", "128"], ["--pair", "none", "--paper", "256"]]
)
def test_plan_needs_no_pair(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *args]) == 0
    assert "50 steps" in capsys.readouterr().out


def test_names_lists_kinds_and_components(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["names"]) == 0
    assert "ddpm, ddim" in capsys.readouterr().out
    assert main(["names", "pair"]) == 0
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
    said = capsys.readouterr().err
    assert said.startswith("jvid: warning: plugin 'bad' of bad 1.0 failed at api")
    assert said.count("\n") == 1
    assert issubclass(PluginWarning, UserWarning)


@pytest.mark.parametrize("command", ["sample", "plan"])
def test_help_swallows_and_cuts_nothing(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "…" not in said
    assert "(default: actions-64)" in " ".join(said.replace("│", " ").split())
    assert "p_f=.3" in said


def test_help_is_light_and_version_is_told() -> None:
    code = "import sys, jvid.cli as c; c.main(['sample', '--help']); c.main(['--version']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["jvid 0.1.0", "False"]


def test_python_m_jvid_gives_the_exit_code() -> None:
    command = [sys.executable, "-m", "jvid", "sample", WAVE, "-o", "a.avi"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
