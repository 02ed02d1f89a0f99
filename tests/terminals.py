"""Commands on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
from collections.abc import Sequence

import pytest

from jvid.cli import main


class Terminal:
    """A pseudo-terminal as the standard streams of a command, or as the standard error stream alone."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, streams: Sequence[str] = ("stdout", "stderr")
    ) -> None:
        self._monkeypatch, self._streams = monkeypatch, streams

    def run(self, *words: object) -> str:
        """All that a command draws; it has to end well."""
        ours, theirs = pty.openpty()
        drawn: list[bytes] = []

        def read() -> None:
            while True:
                try:
                    data = os.read(ours, 4096)
                except OSError:  # the other end is closed
                    return
                if not data:
                    return
                drawn.append(data)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            with os.fdopen(theirs, "w") as stream, self._monkeypatch.context() as patched:
                assert stream.isatty()
                for name in self._streams:
                    patched.setattr(sys, name, stream)
                code = main([str(word) for word in words])
        finally:
            reader.join()
            os.close(ours)
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(drawn).decode("utf-8", "replace"))
        assert code == 0, text
        return text
