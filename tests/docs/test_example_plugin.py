"""examples/jvid-cartoon as a stranger meets it: installed by pip, then listed, shown, loaded, sampled and proved."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.installed import ROOT, fork, pip_install, run

EXAMPLE = ROOT / "examples" / "jvid-cartoon"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed: by pip, without network, with the test extra's hatchling."""
    folder = tmp_path_factory.mktemp("cartoon")
    source, target = shutil.copytree(EXAMPLE, folder / "source"), folder / "site"
    pip_install(source, target)
    return target


def test_it_is_as_small_as_the_documentation_states() -> None:
    module = (EXAMPLE / "jvid_cartoon.py").read_text(encoding="utf-8")
    docs = {
        line
        for node in ast.walk(ast.parse(module))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node)
        for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    code = [n for n, line in enumerate(module.splitlines(), 1) if line.strip() and n not in docs]
    assert len(code) <= 25
    table = (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    assert len([line for line in table.splitlines() if line.strip()]) <= 8
    assert tomllib.loads(table)["project"]["entry-points"]["jvid"] == {"cartoon": "jvid_cartoon"}


def test_the_command_line_knows_it(site: Path) -> None:
    done = run("-m", "jvid", "plugins", path=site)
    assert done.returncode == 0
    assert re.search(r"(?m)^cartoon +jvid-cartoon 0\.1\.0 +denoiser 1, selector 1$", done.stdout), done.stdout
    done = fork("-m", "jvid", "names", "denoiser", path=site)
    assert re.search(r"(?m)^two-tone +cartoon \(jvid-cartoon 0\.1\.0\)  Two flat tones", done.stdout), (
        done.stdout
    )
    done = fork("-m", "jvid", "show", "selector", "strokes", path=site)
    assert "plugin cartoon of jvid-cartoon 0.1.0" in done.stdout
    assert "  every  int  default 4" in done.stdout


def test_its_module_is_light(site: Path) -> None:
    done = run("-c", "import sys, jvid_cartoon; print('torch' in sys.modules)", path=site)
    assert done.stdout == "False\n", done.stderr


def test_a_wrong_option_names_it(site: Path) -> None:
    code = "import jvid\ntry:\n    jvid.load('denoiser', 'two-tone', tone=-1)\nexcept jvid.InputError as e: print(e)"
    done = fork("-c", code, path=site)
    assert "denoiser cartoon/two-tone (jvid-cartoon 0.1.0): ValueError: 'tone' must be > 0" in done.stdout


def test_the_readme_runs(site: Path) -> None:
    commands: list[str] = []
    for block in re.findall(r"(?ms)^```console\n(.*?)^```$", README):
        for command in block.splitlines():
            words = shlex.split(command.removeprefix("$ "))
            if words[0] == "jvid":
                commands += ["--", *words[1:]]
            else:
                assert words[0] in {"pip", "pytest"}
                assert (ROOT / words[-1]).exists()
    done = fork("-m", "tests.several", *commands[1:], path=site)
    codes = re.findall(r"exit code (\d)", done.stdout)
    assert codes == ["0"] * commands.count("--"), done.stdout + done.stderr
    assert (site / "cartoon.safetensors").is_file()
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", README)
    assert len(blocks) == 2
    done = fork("-c", "\n".join(blocks), path=site)
    assert done.returncode == 0, done.stderr


def test_it_proves_itself(site: Path) -> None:
    tests = str(EXAMPLE / "tests")
    done = fork("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tests, tests, path=site)
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\b[1-9]\d* passed", done.stdout), done.stdout
