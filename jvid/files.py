"""Files and folders, written whole or not at all.

A file or folder is written under a hidden name beside its path, flushed to the disk, and takes the path by a rename.
An error, an interrupt or a kill leaves what was at the path.

    at the path         a file may replace it    a folder may replace it
    nothing             yes                      yes
    a file              yes                      never
    a folder            never                    only one that the same writer made: see `check_folder`
    a device, a pipe    never                    never

The hidden names carry the process that writes: what a killed process left is removed by the next write to the folder.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from jvid.errors import InputError, JvidError
from jvid.leftovers import clean, clean_once, hidden, remove
from jvid.refusals import read_json, refused, unreadable

__all__ = [
    "check_apart", "check_file", "check_folder", "clean", "make_folder", "put_folder", "read_json", "remove", "safe_name",
    "whole_file", "whole_folder", "write_json",
]  # fmt: skip


def check_file(path: str | Path, endings: Sequence[str] = (), *, parents: bool = False) -> Path:
    """The path, if a file can be written there; call it before the work whose result the file takes.

    Args:
        path: of the file.
        endings: that are allowed; any if empty.
        parents: whether to make the folder, else it has to be there.

    Raises:
        InputError: another ending, a folder that is absent or not writable, or something else than a file at the path.
    """
    path = Path(path)
    if endings and path.suffix.lower() not in endings:
        got = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
        raise InputError(f"output {str(path)!r} {got}: expected {', '.join(endings)}")
    _check_takes_file(path)
    if parents:
        make_folder(path.parent)
    elif not path.parent.is_dir():
        raise InputError(f"output {str(path)!r}: there is no folder {str(path.parent)!r}, make it first")
    _check_writable(path)
    return path


def check_apart(outputs: Sequence[str | Path], inputs: Iterable[str | Path | None]) -> None:
    """Refuse an output that would replace what is read.

    Args:
        outputs: files and folders that are written.
        inputs: files and folders that are read; None is none. Of a folder, these are its data files too, down to the folders
            within it.

    Raises:
        InputError: it names the output.
    """
    read = {
        os.path.realpath(path): path
        for given in inputs
        if given is not None
        for path in _read_of(Path(given))
    }
    for path in outputs:
        real = os.path.realpath(path)
        if real in read:
            raise InputError(f"output {str(path)!r} is read, too: it would be replaced, give another name")
        if inside := next((each for each in read if each.startswith(real + os.sep)), None):
            raise InputError(
                f"output {str(path)!r} is a folder of {str(read[inside])!r}, which is read: give another name"
            )


def _read_of(path: Path) -> Iterator[Path]:
    """The path; of a folder its data files, too."""
    yield path
    for pattern in ("*", "*/*"):
        yield from (each for each in path.glob(pattern) if each.suffix in _DATA)


_DATA = (".json", ".jsonl", ".safetensors")


def check_folder(path: str | Path, marker: str, owned: Sequence[str] = ()) -> Path:
    """The path, if a folder can be written there: nothing is there, an empty folder, or one that the same writer made.

    Args:
        path: of the folder.
        marker: name of a file that such a writer's folders hold.
        owned: patterns of the other names that they may hold. A folder with anything else is refused, since that would be
            lost.

    Raises:
        InputError: something else is there, or the parent cannot be written to.
    """
    path = Path(path)
    target = _target(path)
    if os.path.lexists(target):
        if not target.is_dir():
            raise InputError(f"output {str(path)!r} is {_kind(target)}: expected the name of a new folder")
        held = _names(target)
        others = [name for name in held if not _owned(target / name, (marker, *owned))]
        if held and (marker not in held or others):
            what = f"{others[0]!r}" if others else f"no {marker!r}"
            raise InputError(
                f"output {str(path)!r} is a folder that holds {what}: only a folder with nothing but what this command "
                "writes is replaced; give another path"
            )
        if not os.access(target, os.W_OK | os.X_OK):
            raise InputError(
                f"output {str(path)!r} cannot be written to (Permission denied): give another path"
            )
    make_folder(target.parent)
    _check_writable(target)
    return path


def _check_takes_file(path: Path) -> None:
    target = _target(path)
    if target.is_dir():
        raise InputError(f"output {str(path)!r} is a folder: expected a file's name")
    if os.path.lexists(target) and not target.is_file():
        raise InputError(f"output {str(path)!r} is {_kind(target)}: expected a file's name")


def _check_writable(path: Path) -> None:
    # By trying: permission bits do not show read-only or special file systems.
    target = _target(path)
    with hidden(target) as part:
        try:
            part.touch()
            part.unlink()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputError(f"output {str(path)!r}: the name is too long, give a shorter one") from error
            raise InputError(
                f"output {str(path)!r}: the folder {str(target.parent)!r} cannot be written to "
                f"({error.strerror or error}), give another"
            ) from error


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise unreadable(folder, error, "give another path") from error


def _owned(path: Path, patterns: Sequence[str]) -> bool:
    return path.is_file() and any(fnmatch(path.name, pattern) for pattern in patterns)


def _kind(path: Path) -> str:
    kinds = (
        ("a folder", path.is_dir()),
        ("a file", path.is_file()),
        ("a pipe", path.is_fifo()),
        ("a socket", path.is_socket()),
    )
    return next((name for name, found in kinds if found), "a device or another special file")


def _target(path: Path) -> Path:
    """Where a link leads: what it names is replaced, and the link stays."""
    return Path(os.path.realpath(path))


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A hidden path to write a file to; it replaces ``path`` when the block ends without an error.

    Folders on the way are made.

    Raises:
        InputError: the system refuses, as with a full disk, or something else than a file is at the path.
    """
    target = _target(Path(path))
    with _writing(Path(path), target) as part:
        _check_takes_file(target)
        yield part
        _sync(part)
        _check_takes_file(target)
        os.replace(part, target)
        _sync(target.parent)


@contextmanager
def whole_folder(path: str | Path, marker: str, owned: Sequence[str] = ()) -> Iterator[Path]:
    """An empty hidden folder to fill; it replaces ``path`` when the block ends without an error.

    Raises:
        InputError: as `check_folder` and `whole_file`.
    """
    target = _target(Path(path))
    with _writing(Path(path), target) as part:
        check_folder(target, marker, owned)
        part.mkdir()
        yield part
        put_folder(part, target, marker, owned)


def put_folder(part: Path, target: Path, marker: str, owned: Sequence[str] = ()) -> None:
    """Rename a finished folder, durably; a folder that is replaced is deleted once the new one has its name.

    Raises:
        InputError: as `check_folder`.
        OSError: the system refuses; what was at ``target`` is there.
    """
    _sync_tree(part)
    check_folder(target, marker, owned)
    try:
        os.rename(part, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # A folder with content cannot be replaced in one call. Killed in between, `clean` gives the old one its name.
        with hidden(target, "old") as aside:
            os.rename(target, aside)
            try:
                os.rename(part, target)
            except BaseException:
                os.rename(aside, target)
                raise
            _sync(target.parent)
            remove(aside)
    _sync(target.parent)


@contextmanager
def _writing(path: Path, target: Path) -> Iterator[Path]:
    with hidden(target) as part:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            clean_once(target.parent)
            yield part
        except JvidError:
            raise
        except Exception as error:
            cause = refused(error)
            if cause is None:
                raise
            raise InputError(f"cannot write {path}: {cause}; free the space or give another path") from error
        finally:
            # Where nothing could be written nothing can be removed: the first error is the one to report.
            with suppress(OSError):
                remove(part)


def write_json(path: str | Path, document: Any) -> None:
    """JSON, whole or not at all; keys keep their order, which is the experts' own in an ensemble."""
    text = json.dumps(document, indent=1) + "\n"
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def make_folder(folder: Path) -> Path:
    """The folder, made where it is absent; raises `InputError` where the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"folder {str(folder)!r} cannot be made ({error.strerror or error}): give another"
        ) from error
    return folder


def _sync_tree(folder: Path) -> None:
    """Flush a folder and all files below it to the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            _sync(Path(root, name))
        _sync(Path(root))


def _sync(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to but not listed
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have no fsync of folders
            raise
    finally:
        os.close(handle)


def safe_name(text: str, fallback: str = "unnamed") -> str:
    """A file's name made of any text: letters, digits, - and _; runs of anything else become one -.

    >>> safe_name("waving two hands"), safe_name("../etc/passwd"), safe_name("..")
    ('waving-two-hands', 'etc-passwd', 'unnamed')
    """
    return re.sub(r"[^\w-]+", "-", text).strip("-")[:60] or fallback
