"""What commands import: a clip of a bundled ensemble takes torch, and none of the libraries that published models need."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.installed import run

HEAVY = (
    "accelerate", "diffusers", "huggingface_hub", "matplotlib", "peft", "requests", "scipy", "sklearn", "sympy", "torch._dynamo",
    "torch._inductor", "torch.onnx", "transformers",
)  # fmt: skip
"""Each takes from a third of a second to what torch takes, twice where cores are shared."""

WORDS = "a woman with long green hair in chain mail casts a spell, facing left"
COMMANDS = {
    "plan": ("plan", "--ensemble", "sprites-64"),
    "sprites-64": ("sample", WORDS, "--ensemble", "sprites-64", "--steps", "2", "-o", "sprite.mp4"),
    "compare": ("compare", WORDS, "--ensemble", "sprites-64", "--steps", "2", "-o", "both.png"),
    "actions-64": ("sample", "a person waving two hands", "--steps", "2", "-o", "wave.webp"),
}  # fmt: skip
IN_TURN = """
import json, sys
from jvid.cli import main
heavy, commands = json.loads(sys.argv[1])
for name, words in commands.items():
    code = main(words)
    print(json.dumps([name, code, [module for module in heavy if module in sys.modules]]), file=sys.stderr)
"""


def test_commands_with_bundled_ensembles_import_torch_alone(tmp_path: Path) -> None:
    done = run("-c", IN_TURN, json.dumps([HEAVY, COMMANDS]), path=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("[")]
    assert found == [[name, 0, []] for name in COMMANDS], done.stderr
    assert {"sprite.mp4", "both.png", "wave.webp"} <= {path.name for path in tmp_path.iterdir()}


def test_help_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    code = "import sys; from jvid.cli import main; main(['--help']); main(['plan', '--help']); print(*sys.modules)"
    done = run("-c", code, path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"torch", "numpy", "PIL", "av", *HEAVY}.isdisjoint(done.stdout.splitlines()[-1].split())


def test_the_names_of_heavy_libraries_are_those_of_modules() -> None:
    """A misspelt name would never be found."""
    import diffusers.models.unets.unet_2d_condition  # noqa: F401

    assert {"diffusers", "scipy", "sympy", "torch._dynamo", "huggingface_hub"} <= sys.modules.keys()


IMPORT = """
import gc, sys
{before}
from jvid.cli.imports import import_torch, own_process
{own}
import_torch()
found = gc.isenabled(), gc.get_freeze_count() > 100_000, "torch" in sys.modules
count = gc.get_freeze_count()
import_torch()
print(*found, gc.get_freeze_count() == count)
"""


def test_torch_is_imported_without_collections_once(tmp_path: Path) -> None:
    """Its objects are set aside; a collector that was off stays off, and a torch that is there is left alone."""
    for before, own, expected in (
        ("", "own_process()", "True True True True"),
        ("gc.disable()", "own_process()", "False True True True"),
        ("import torch", "own_process()", "True False True True"),
        ("", "", "True False False True"),
    ):
        done = run("-c", IMPORT.format(before=before, own=own), path=tmp_path)
        assert done.stdout.split() == expected.split(), (before, own, done.stderr)


HOST = """
from jvid.cli import main
class Log:
    def __init__(self):
        self.file, self.itself = open("host.txt", "w"), self
log = Log()
log.file.write("the last line")
main(["plan", "--ensemble", "sprites-64"])
"""


def test_a_process_that_calls_a_command_ends_as_it_would(tmp_path: Path) -> None:
    """Its objects are collected at its end: a file that is held in a circle is flushed."""
    assert run("-c", HOST, path=tmp_path).returncode == 0
    assert (tmp_path / "host.txt").read_text() == "the last line"
