"""What the command line refuses: one line on stderr, exit code 2, nothing written and no network loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jvid.cli import main
from jvid.media import write_latents
from tests import toy
from tests.toy import built

WAVE = "a person waving"

pytestmark = pytest.mark.usefixtures("toys")


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


WRONG = {
    "unknown ensemble": (["sample", WAVE, "-o", "a.mp4", "--ensemble", "tory"], "unknown ensemble 'tory': did you mean toy"),
    "ensemble option": (["sample", WAVE, "-o", "a.mp4", "--ensemble", "toy:size=3"], "no option 'size'"),
    "unknown prompt": (["a person flying"], "unknown prompt 'a person flying': expected one of a person waving"),
    "no prompt": ([], "no prompt"),
    "prompt and unconditional": ([WAVE, "--unconditional"], "leave one out"),
    "guided unconditional": (["--unconditional", "--guidance", "2"], "leave one out"),
    "unknown selector": ([WAVE, "--selector", "piecewise"], "unknown selector 'piecewise'"),
    "selector option": ([WAVE, "--selector", "always:nam=video"], "no option 'nam': it accepts name"),
    "selector value": ([WAVE, "--selector", "always:name=audio"], "'always' names expert 'audio': expected those of"),
    "selector of others": ([WAVE, "--selector", "boundary:experts=high+low,at=.5"], "selector 'boundary' names expert 'high'"),
    "selector form": ([WAVE, "--selector", "always:video"], "expected option=value"),
    "digits of another kind": ([WAVE, "--selector", "table:rows=video*²"], "got 'video*²'; expected an expert and a number"),
    "too many rows": ([WAVE, "--selector", "table:rows=video*9999999999"], "rows 9999999999: expected at most 1000000"),
    "rows of more digits": ([WAVE, "--selector", f"table:rows=video*{'1' * 5000}"], "expected an expert and a number of steps"),
    "batch of many digits": ([WAVE, "--batch", "1" * 5000], "expected a number of clips, 1 or more, or auto"),
    "empty ensemble": (["sample", WAVE, "-o", "a.mp4", "--ensemble", ""], "--ensemble '': expected a name"),
    "empty codec": ([WAVE, "--codec", " "], "--codec ' ': expected a name"),
    "empty text": ([WAVE, "--text", "video="], "--text 'video=': expected CHOICE or NAME=CHOICE"),
    "text that no expert needs": ([WAVE, "--text", "minlm"], "unknown text 'minlm'"),
    "probability": ([WAVE, "--selector", "piecewise-affine:t_v=.2,t_e=.7,p_e=1.5,p_f=.3"], "p_e 1.5: expected"),
    "t_e at t_v": ([WAVE, "--selector", "piecewise-affine:t_v=.7,t_e=.7,p_e=.5,p_f=.3"], "t_v < t_e"),
    "not a number": ([WAVE, "--selector", "piecewise-affine:t_v=x,t_e=.7,p_e=.5,p_f=.3"], "t_v='x': expected a number"),
    "gamma": ([WAVE, "--gamma", "-1"], "gamma -1.0: expected"),
    "gamma text": ([WAVE, "--gamma", "much"], "--gamma 'much': expected a number"),
    "gamma expert": ([WAVE, "--gamma", "audio=.5"], "the strategy names expert 'audio': expected those of ensemble 'toy'"),
    "gamma of other noise": ([WAVE, "--noise", "image=mixed:alpha=1", "--gamma", ".5"], "the noise of image is mixed:alpha=1"),
    "wrapper": ([WAVE, "--wrapper", "video=gided"], "expert 'video': unknown wrapper 'gided': did you mean guided"),
    "wrapper expert": ([WAVE, "--wrapper", "audio=guided"], "the strategy names expert 'audio'"),
    "wrapper option": ([WAVE, "--wrapper", "guided:scal=2"], "expert 'video': wrapper 'guided' has no option 'scal'"),
    "weaker expert": ([WAVE, "--wrapper", "video=guided:against=early"], "wrapper 'guided' names expert 'early'"),
    "noise twice": ([WAVE, "--noise", "shared:ratio=1", "--noise", "shared:ratio=0"], "the noise of * is given twice"),
    "unknown noise": ([WAVE, "--noise", "image=shard"], "expert 'image': unknown noise 'shard'"),
    "postprocessor": ([WAVE, "--postprocessor", "temporl"], "unknown postprocessor 'temporl'"),
    "schedule": ([WAVE, "--schedule", "cosin"], "unknown schedule 'cosin'"),
    "initial": ([WAVE, "--initial", "mixt"], "unknown noise 'mixt'"),
    "ratio": ([WAVE, "--ratio", "1.5"], "ratio 1.5: expected a number from 0 to 1"),
    "smooth": ([WAVE, "--smooth", "uniform:size=4"], "odd number"),
    "unknown smooth": ([WAVE, "--smooth", "temporl"], "did you mean temporal?"),
    "solver": ([WAVE, "--solver", "ddim:eta=2"], "eta=2"),
    "steps": ([WAVE, "--steps", "0"], "steps 0: expected"),
    "too many steps": ([WAVE, "--steps", "2000"], "at most 1000"),
    "steps text": ([WAVE, "--steps", "many"], "'--steps': got 'many'"),
    "guidance": ([WAVE, "--guidance", "nan"], "expected a finite number"),
    "guidance expert": ([WAVE, "--guidance", "audio=2"], "the strategy names expert 'audio': expected those of ensemble 'toy'"),
    "whole guidance of an expert": ([WAVE, "--guidance", "audio:scale=2"], "the strategy names expert 'audio'"),
    "two forms of guidance": ([WAVE, "--guidance", "video=2,image:scale=3"], "names expert 'video=2,image'"),
    "paper": ([WAVE, "--paper", "65"], "expected one of 64, 128, 256"),
    "device": ([WAVE, "--device", "abacus"], "--device 'abacus' cannot be used"),
    "dtype": ([WAVE, "--dtype", "int4"], "expected float32, bfloat16 or float16"),
    "seed": ([WAVE, "--seed", "-1"], "'--seed': got '-1'"),
    "num": ([WAVE, "--num=0"], "'-n': got '0'"),
    "ending": (["sample", WAVE, "-o", "a.avi", "--ensemble", "toy"], "expected .mp4, .gif, .webp, .png, .safetensors"),
    "folder": (["sample", WAVE, "-o", "no/a.mp4", "--ensemble", "toy"], "there is no folder 'no'"),
    "no output": (["sample", WAVE, "--ensemble", "toy"], "-o"),
    "twice": (["sample", WAVE, "-o", "a.png", "-o", "a.png", "--ensemble", "toy"], "written twice"),
    "unknown option": ([WAVE, "--colour", "red"], "--colour"),
    "again beside": ([WAVE, "--again", "x.mp4"], "beside --again"),
    "again absent": (["sample", "--again", "x.mp4", "-o", "a.png"], "no file 'x.mp4'"),
    "NaN": (["sample", WAVE, "-o", "a.png", "--ensemble", "toy:broken=true"], "expert 'image' at step"),
    "unknown command": (["sampel"], "Did you mean 'sample'? Expected one of sample, compare, plan, names"),
    "unknown kind": (["names", "solvers"], "unknown kind 'solvers'"),
    "plan ending": (["plan", "--ensemble", "toy", "-o", "plan.mp4"], "expected .png, .svg, .pdf, .json"),
    "plan selector": (["plan", "--ensemble", "toy", "--selector", "alway"], "did you mean always"),
    "missing package": (["absent"], "toys/absent (toys 1.0) cannot be imported"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line_and_nothing_is_written(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    args, words = WRONG[case]
    if not args or args[0] not in ("sample", "plan", "names", "sampel", "absent"):
        args = ["sample", *args, "-o", "a.mp4", "--ensemble", "toy"]
    assert main(args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("jvid: error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert files() == []
    if case not in ("NaN",):
        assert built == []


@pytest.mark.parametrize(
    "metadata",
    [{}, {"format": 1}, {"format": 2}, {"format": 99}, {"format": 1, "clips": []}, {"format": 2, "clips": 3}],
)
def test_a_file_without_a_record_is_refused(
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
        monkeypatch.setattr(toy, "codec", interrupt)
    assert main(["sample", WAVE, "-o", "a.mp4", "--ensemble", "toy"]) == 130
    assert files() == []
    assert capsys.readouterr().err == "jvid: interrupted\n"
