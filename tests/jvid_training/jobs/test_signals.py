"""Signals that stop a run."""

from __future__ import annotations

import os
import signal

import pytest

from jvid_training.jobs.signals import TRY_AGAIN, StopRequest, exit_code


def test_a_second_interrupt_ends_at_once() -> None:
    # Python's own handler, which a process that a shell starts in the background does not have.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.number == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert exit_code(signal.SIGINT) == 130
    assert exit_code(signal.SIGTERM) == TRY_AGAIN == 75
