"""The trackers of accelerate that a run logs to, by name: TensorBoard, Weights & Biases, MLflow and others.

One that is absent is refused before a run begins. One that fails while the run goes on is left out from then on, with a
warning: no run is lost to a service that is down. A disk that is full stops it, as it would stop the next checkpoint.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from jvid.errors import InputError, JvidWarning, one_line

__all__ = ["check_trackers", "log_picture", "log_values", "start_trackers"]

_PACKAGES = {"comet_ml": "comet-ml"}
"""Where the name that is installed is not the tracker's."""

_LOCAL = "tensorboard"
"""The one whose errors of the system are those of the disk that checkpoints are on; others' may be of a network."""


def check_trackers(names: Iterable[str]) -> list[str]:
    """The names, each once, as accelerate takes them.

    Raises:
        InputError: a tracker that accelerate does not know, or whose package is not installed.
    """
    there = {str(getattr(name, "value", name)) for name in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise InputError(
                f"training.trackers: got {name!r}, expected some of {', '.join(LOGGER_TYPE_TO_CLASS)}"
            )
        if name not in there:
            package = _PACKAGES.get(name, name)
            raise InputError(
                f"training.trackers: {name} is not installed; pip install {package}, or leave it out"
            )
    return list(dict.fromkeys(names))


def start_trackers(accelerator: Accelerator, project: str, step: int = 0) -> None:
    """Start the run's trackers, of which TensorBoard drops what was logged after ``step``.

    Raises:
        InputError: in one line, where one refuses, as for want of a login.
    """
    try:
        accelerator.init_trackers(project, init_kwargs={_LOCAL: {"purge_step": step + 1}})
    except Exception as error:
        raise InputError(
            f"training.trackers: a tracker cannot be started ({one_line(error, typed=True)}); set it up, or leave it out"
        ) from error


def log_values(accelerator: Accelerator, values: Mapping[str, float], step: int) -> None:
    """Log values of a step to all trackers. Raises OSError where files cannot be written."""
    _each(accelerator, lambda tracker: tracker.log(dict(values), step=step))


def log_picture(accelerator: Accelerator, name: str, picture: np.ndarray, step: int) -> None:
    """Log a picture ``(H, W, 3)`` uint8 to the trackers that take some."""

    def log(tracker: Any) -> None:
        if hasattr(tracker, "log_images"):
            layout = {"dataformats": "NHWC"} if tracker.name == _LOCAL else {}
            tracker.log_images({name: picture[None]}, step=step, **layout)

    _each(accelerator, log)


def _each(accelerator: Accelerator, log: Callable[[Any], None]) -> None:
    for tracker in list(accelerator.trackers):
        try:
            log(tracker)
        except Exception as error:
            if isinstance(error, OSError) and tracker.name == _LOCAL:
                raise
            accelerator.trackers.remove(tracker)
            warnings.warn(
                f"tracker {tracker.name} failed and gets nothing more: {one_line(error, typed=True)}",
                JvidWarning,
                stacklevel=3,
            )
