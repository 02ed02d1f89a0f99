"""Clips in tables of Hugging Face datasets: Parquet files, as the hub has them, or a folder that ``save_to_disk`` wrote.

    data/train-00000-of-00002.parquet     columns video {bytes, path}, text, label, ...
    train/data-00000-of-00001.arrow       the same, of a saved `Dataset` or `DatasetDict`

A clip or image is a column of bytes, of paths beside the file, or of both, as the features "Video" and "Image" have it; a class
label has its name from the features. Only the columns that describe clips are read to find them, and clips row by row.
(https://huggingface.co/docs/datasets/video_dataset)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from jvid.errors import InputError, one_line
from jvid.extras import extra
from jvid.refusals import parse_json, unreadable
from jvid_training.data.clips import Stored

__all__ = ["ENDINGS", "table_rows", "value_at"]

ENDINGS = {".parquet": "parquet", ".arrow": "arrow"}
_MEDIA = ("video", "image", "file", "path", "file_name")
_AT_A_TIME = 4
"""Rows of a column of clips that are decoded at a time."""


def table_rows(path: Path) -> Iterator[tuple[dict[str, Any], Stored]]:
    """Every row of a table without its clip, and where that is.

    Raises:
        InputError: a file that is no table or cannot be read, or has no column of clips.
    """
    with extra("datasets"):
        import pyarrow

    kind = ENDINGS[path.suffix.lower()]
    try:
        source = _opened(path, kind)
        schema = source.schema_arrow if kind == "parquet" else source.schema
        features = _features(schema)
        media = _media_column(path, schema, features)
        names = {name: each["names"] for name, each in features.items() if each.get("_type") == "ClassLabel"}
        columns = [name for name in schema.names if name != media]
        row = 0
        if kind == "parquet":
            batches = source.iter_batches(columns=columns) if columns else _empty(source.metadata.num_rows)
        else:
            batches = source.select(columns).to_batches() if columns else _empty(source.num_rows)
        for batch in batches:
            for values in batch if isinstance(batch, list) else batch.to_pylist():
                for name, labels in names.items():
                    if isinstance(values.get(name), int) and 0 <= values[name] < len(labels):
                        values[name] = labels[values[name]]
                yield values, Stored(kind, row, column=media)
                row += 1
    except (pyarrow.ArrowException, OSError) as error:
        reason = one_line(error, first=True)
        damaged = f"{path} is no whole table ({reason}): expected Parquet, or what save_to_disk writes; fetch it again"
        raise unreadable(path, error, damaged) from None


def _empty(count: int) -> list[list[dict[str, Any]]]:
    return [[{} for _ in range(count)]]


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """The features of Hugging Face's library, from the schema's metadata; none where another program wrote it."""
    stated = (schema.metadata or {}).get(b"huggingface")
    try:
        found = parse_json(stated)["info"]["features"] if stated else {}
    except (ValueError, KeyError, TypeError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: each for name, each in found.items() if isinstance(each, dict)}


def _media_column(path: Path, schema: Any, features: dict[str, dict[str, Any]]) -> str:
    typed = [name for name, each in features.items() if each.get("_type") in ("Video", "Image")]
    usual = [name for name in _MEDIA if name in schema.names]
    for name in (*typed, *usual):
        if name in schema.names:
            return name
    raise InputError(
        f"{path} has the columns {', '.join(schema.names)}: expected one of clips, named {' or '.join(_MEDIA[:2])}"
    )


def _opened(path: Path, kind: str) -> Any:
    """A file of Parquet, or the table of an Arrow file by a map of it; opened once while it stays as it is."""
    state = path.stat()
    return _open(path, kind, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=4)
def _open(path: Path, kind: str, state: tuple[int, int]) -> Any:
    with extra("datasets"):
        import pyarrow
        from pyarrow import ipc, parquet

    if kind == "parquet":
        return parquet.ParquetFile(path, pre_buffer=False)
    source = pyarrow.memory_map(str(path))
    try:
        return ipc.open_stream(source).read_all()
    except pyarrow.ArrowInvalid:
        return ipc.open_file(source).read_all()


def value_at(path: Path, kind: str, column: str, row: int) -> Any:
    """The value of a column in a row; rows in order are read once.

    Raises:
        InputError: the file cannot be read.
    """
    with extra("datasets"):
        import pyarrow

    try:
        if kind == "arrow":
            return _opened(path, kind).column(column)[row].as_py()
        return _column(_opened(path, kind), column).value(row)
    except (pyarrow.ArrowException, OSError, IndexError) as error:
        raise unreadable(path, error, f"{path} is not the table that it was: encode again") from None


@lru_cache(maxsize=1)
def _column(file: Any, column: str) -> _Column:
    return _Column(file, column)


class _Column:
    """A column of clips in a file of Parquet, a few rows at a time."""

    def __init__(self, file: Any, column: str) -> None:
        self._file, self._name = file, column
        groups = range(file.metadata.num_row_groups)
        self._ends = list(accumulate(file.metadata.row_group(group).num_rows for group in groups))
        self._group, self._first = -1, 0
        self._rows: list[Any] = []
        self._batches: Iterator[Any] = iter(())

    def value(self, row: int) -> Any:
        """Raises IndexError where there is no such row."""
        group = bisect_right(self._ends, row)
        if group >= len(self._ends):
            raise IndexError(row)
        if group != self._group or row < self._first:
            self._batches = self._file.iter_batches(_AT_A_TIME, [group], [self._name])
            self._group, self._first, self._rows = group, self._ends[group - 1] if group else 0, []
        while row >= self._first + len(self._rows):
            self._first += len(self._rows)
            self._rows = next(self._batches).column(0).to_pylist()
        return self._rows[row - self._first]
