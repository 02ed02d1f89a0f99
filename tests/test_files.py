"""What is written whole or not at all, what may replace what, and what is reported of a file that cannot be read."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from jvid import files, leftovers
from jvid.errors import InputError
from jvid.files import (
    check_file,
    check_folder,
    clean,
    read_json,
    safe_name,
    whole_file,
    whole_folder,
    write_json,
)
from jvid.refusals import unreadable
from jvid_models.weights import read_weights, save_weights


@contextmanager
def limited(what: int, most: int) -> Iterator[None]:
    """A limit of the system within the block: of a file's size, or of open files."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def put(folder: Path, text: str = "new") -> None:
    with whole_folder(folder, "marker.json", ("*.txt",)) as part:
        (part / "marker.json").write_text("{}")
        (part / "a.txt").write_text(text)


def test_a_file_takes_its_path_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    with whole_file(path) as part:
        part.write_text("one")
        assert part.suffix == ".txt"
        assert not path.exists()

    def fail() -> None:
        with whole_file(path) as part:
            part.write_text("two")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "one"
    assert names(path.parent) == ["b.txt"]


def special(folder: Path) -> dict[str, Path]:
    made = {"a folder": folder / "folder", "a pipe": folder / "pipe", "a device": folder / "null"}
    made["a folder"].mkdir()
    os.mkfifo(made["a pipe"])
    made["a device"].symlink_to(os.devnull)
    return made


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a device"])
def test_a_file_replaces_files_only(tmp_path: Path, kind: str) -> None:
    path = special(tmp_path)[kind]
    before = same(path)
    for write in (check_file, lambda path: write_json(path, {})):
        with pytest.raises(InputError, match=rf"is {kind}.*expected a file's name"):
            write(path)
    assert same(path) == before
    assert Path(os.devnull).is_char_device()


def same(path: Path) -> tuple[int, int, int]:
    """What stays of a file that is not replaced; any process may read its folder's, and change times of access."""
    found = os.lstat(path)
    return found.st_ino, found.st_mode, found.st_mtime_ns


@pytest.mark.parametrize("kind", ["a file", "a pipe", "a device"])
def test_a_folder_replaces_nothing_but_a_folder(tmp_path: Path, kind: str) -> None:
    path = (special(tmp_path) | {"a file": tmp_path / "file"})[kind]
    (tmp_path / "file").write_text("mine")
    before = same(path)
    for write in (lambda path: check_folder(path, "marker.json"), put):
        with pytest.raises(InputError, match=f"is {kind}"):
            write(path)
    assert same(path) == before
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("name", ["notes.md", "sub/a.txt", "marker.json/x"])
def test_a_folder_with_anything_else_in_it_stays(tmp_path: Path, name: str) -> None:
    put(tmp_path / "out", "old")
    other = tmp_path / "out" / name
    if name.startswith("marker"):
        (tmp_path / "out/marker.json").unlink()
    other.parent.mkdir(exist_ok=True)
    other.write_text("mine")
    with pytest.raises(InputError, match="is a folder that holds"):
        put(tmp_path / "out")
    assert (tmp_path / "out/a.txt").read_text() == "old"
    assert other.read_text() == "mine"
    assert names(tmp_path) == ["out"]


def test_a_folder_of_the_same_writer_is_replaced_and_an_empty_one_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for text in ("one", "two"):
        put(tmp_path / "out", text)
        assert (tmp_path / "out/a.txt").read_text() == text

    def fail() -> None:
        with whole_folder(tmp_path / "out", "marker.json", ("*.txt",)):
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"cannot write .*No space left"):
        fail()
    assert (tmp_path / "out/a.txt").read_text() == "two"
    assert names(tmp_path) == ["out"]


def test_a_link_stays_and_what_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "file").symlink_to(tmp_path / "far/file")
    (tmp_path / "folder").symlink_to(tmp_path / "far/folder")
    put(tmp_path / "far/folder", "old")
    put(tmp_path / "folder")
    write_json(tmp_path / "file", {"a": 1})
    assert (tmp_path / "file").is_symlink()
    assert (tmp_path / "folder").is_symlink()
    assert json.loads((tmp_path / "far/file").read_text()) == {"a": 1}
    assert (tmp_path / "far/folder/a.txt").read_text() == "new"


def test_what_is_renamed_is_on_the_disk_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the calls to the system: every file, its folder, the rename, the parent."""
    seen: list[str] = []
    open_files: dict[int, str] = {}
    real_open, real_sync, real_replace, real_rename = os.open, os.fsync, os.replace, os.rename

    def opened(path, *args, **options):
        handle = real_open(path, *args, **options)
        open_files[handle] = Path(path).name
        return handle

    def moved(real):
        def move(one, two):
            seen.append(f"rename {Path(two).name}")
            return real(one, two)

        return move

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append(open_files[handle]), real_sync(handle)))
    monkeypatch.setattr(os, "replace", moved(real_replace))
    monkeypatch.setattr(os, "rename", moved(real_rename))
    put(tmp_path / "out")
    part = seen[2]
    assert sorted(seen[:2]) == ["a.txt", "marker.json"]
    assert part.startswith(".out.")
    assert seen[3:] == ["rename out", tmp_path.name]
    seen.clear()
    write_json(tmp_path / "x.json", {})
    assert seen[0].startswith(".x.")
    assert seen[1:] == ["rename x.json", tmp_path.name]


KILLED = """
import os, signal, sys
from pathlib import Path
from jvid import files
from jvid.files import whole_file, whole_folder
folder, when = Path(sys.argv[1]), sys.argv[2]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if when == "between":
    real = os.rename
    calls = []
    def rename(one, two):
        calls.append(two)
        real(one, two)
        if ".old" in str(two): die()
    os.rename = rename
with whole_folder(folder / "out", "marker.json", ("*.txt",)) as part:
    (part / "marker.json").write_text("{}")
    (part / "a.txt").write_text("newer")
    if when == "folder": die()
with whole_file(folder / "x.txt") as part:
    part.write_text("newer")
    die()
"""


@pytest.mark.parametrize("when", ["folder", "between", "file"])
def test_what_a_killed_process_left_is_cleaned_by_the_next_run(tmp_path: Path, when: str) -> None:
    put(tmp_path / "out", "old")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), when], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    assert any(name.startswith(".") for name in names(tmp_path))
    leftovers._cleaned.discard(tmp_path)  # as in a process that begins
    write_json(tmp_path / "next.json", {})
    assert names(tmp_path) == ["next.json", "out"]
    assert (tmp_path / "out/a.txt").read_text() == ("newer" if when == "file" else "old")


def test_what_is_being_written_is_not_cleaned(tmp_path: Path) -> None:
    with whole_file(tmp_path / "x.txt") as part:
        part.write_text("mine")
        other = tmp_path / ".y.abcdef-1-0.part.txt"  # of another machine
        other.write_text("other")
        mine = tmp_path / ".notes.part.txt"
        mine.write_text("no name of a leftover")
        clean(tmp_path)
        assert part.exists()
        assert other.exists()
        clean(tmp_path, locked=True)
        assert part.exists()
        assert not other.exists()
        assert mine.exists()


@pytest.mark.parametrize("what", ["weights", "bytes", "array"])
def test_a_disk_that_takes_no_more_is_one_line(tmp_path: Path, what: str) -> None:
    """A limit on the size of files stands for the full disk: the system refuses a write in the middle of a file."""

    def write(path: Path) -> None:
        if what == "weights":
            save_weights({"a": torch.zeros(10_000)}, path)
        else:
            with whole_file(path) as part:
                if what == "bytes":
                    part.write_bytes(bytes(10_000))
                else:
                    np.save(part, np.zeros(10_000))

    refused = pytest.raises(InputError, match=r"cannot write .*x.npy: .*; free the space")
    with limited(resource.RLIMIT_FSIZE, 1000), refused as caught:
        write(tmp_path / "x.npy")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


READ = ("a plan", "write it again")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no file .*x.json': expected a plan; write it again"),
        (b"{", r"x.json is not JSON \(.*\): expected a plan; write it again"),
        (b"\xff\xfe", r"x.json is not JSON \(.*codec.*\): expected a plan; write it again"),
        (b"[" * 100_000, r"x.json is not JSON \(nested too deeply\): expected a plan"),
        (b"[1]", r"x.json holds a JSON list: expected a plan; write it again"),
        (b'{"b": 1}', r"x.json is damaged \(KeyError: 'a'\): expected a plan; write it again"),
        (b'{"a": "b"}', r"x.json is damaged \(ValueError: .*\): expected a plan; write it again"),
    ],
)
def test_json_that_does_not_do_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_json(path, *READ, lambda values: int(values["a"]))
    assert "\n" not in str(caught.value)
    path.write_text('{"a": "3"}')
    assert read_json(path, *READ, lambda values: int(values["a"])) == 3
    assert read_json(path, *READ) == {"a": "3"}


def test_what_the_system_refuses_is_not_reported_as_damage(tmp_path: Path) -> None:
    save_weights({"a": torch.zeros(3)}, tmp_path / "w.safetensors")
    write_json(tmp_path / "x.json", {})
    held = [os.open(os.devnull, os.O_RDONLY)]
    with limited(resource.RLIMIT_NOFILE, held[0] + 1):
        for read in (
            lambda: read_json(tmp_path / "x.json", *READ),
            lambda: read_weights(tmp_path / "w.safetensors"),
        ):
            with pytest.raises(InputError, match=r"Too many open files; raise the limit of open files"):
                read()
    os.close(held[0])
    damaged = f"{tmp_path} is damaged: delete it"
    for error, printed in (
        (PermissionError(13, "Permission denied"), "Permission denied; give this user access"),
        (MemoryError(), "Cannot allocate memory; free memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "Cannot allocate memory; free",
        ),
        (RuntimeError("Error while deserializing: I/O error (os error 5)"), "Input/output error; mend that"),
    ):
        assert str(unreadable(tmp_path, error, damaged)).startswith(f"cannot read {tmp_path}: {printed}")
    for error in (ValueError("bad"), FileNotFoundError(2, "No such file or directory")):
        assert str(unreadable(tmp_path, error, damaged)) == damaged


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("waving two hands", "waving-two-hands"),
        ("../../etc/passwd", "etc-passwd"),
        ("/abs/x", "abs-x"),
        ("...", "none"),
        ("a\0b\nc", "a-b-c"),
        ("x" * 500, "x" * 60),
        ("größe 3", "größe-3"),
    ],
)
def test_names_are_safe(text: str, name: str) -> None:
    assert safe_name(text, "none") == name


def test_the_module_is_light() -> None:
    code = "import sys, jvid.files; print([m for m in ('torch', 'numpy', 'safetensors') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", files.__file__


def test_a_name_that_is_too_long_and_a_link_to_nowhere_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the name is too long, give a shorter one"):
        check_file(tmp_path / f"{'x' * 237}.json", (".json",))
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere" / "x.json")
    with pytest.raises(InputError, match=r"the folder '.*nowhere' cannot be written to"):
        check_file(tmp_path / "link.json", (".json",))
