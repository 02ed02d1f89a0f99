"""One call of a pipeline with a probe in the place of its scheduler, and everything put back behind it.

Within the call the pipeline's scheduler, its encoders' methods, its progress bar and, where a run ends at the decoder, the decoder
are others. They are instance attributes for that time: whatever ends the call, they are gone.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from jvid.errors import InputError
from jvid_models.adapters.pipelines.answers import Answers, Inject
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.probe import Departure, Drive, probe_of
from jvid_models.adapters.pipelines.replaced import replaced

__all__ = ["autoencoder_of", "enter", "leaving_at_the_decoder"]

_LOCKS: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()


def enter(pipe: Any, arguments: Mapping[str, Any], drive: Drive, answers: Answers, inject: Inject) -> Any:
    """Call the pipeline; what it returns, or what a `Departure` left with."""
    lock = _LOCKS.setdefault(pipe, threading.RLock())
    with lock, _entered(pipe, drive, answers, inject):
        try:
            return pipe(**arguments)
        except Departure as departure:
            return departure.value


@contextmanager
def _entered(pipe: Any, drive: Drive, answers: Answers, inject: Inject) -> Iterator[None]:
    bars = {**getattr(pipe, "_progress_bar_config", {}), "disable": True}
    probe = probe_of(pipe.scheduler, drive)
    with replaced(pipe, scheduler=probe, _progress_bar_config=bars, **answers.methods(pipe, inject)):
        yield


def autoencoder_of(pipe: Any) -> nn.Module:
    """The module that turns a pipeline's latents into pixels.

    Raises:
        InputError: the pipeline has none.
    """
    modules = modules_of(pipe)
    for name in ("vae", "movq", "vqgan"):
        if name in modules:
            return modules[name]
    raise InputError(f"{type(pipe).__name__} has no autoencoder: expected a component 'vae' that decodes latents")


@contextmanager
def leaving_at_the_decoder(pipe: Any) -> Iterator[None]:
    """Within the block a call of the pipeline leaves with the tensor that its decoder gets."""

    def decode(*args: Any, **kwargs: Any) -> Any:
        latents = args[0] if args else next(iter(kwargs.values()))
        raise Departure(latents)

    found: Callable[..., Any] = decode
    with replaced(autoencoder_of(pipe), decode=found):
        yield


def is_latents(value: Any) -> bool:
    """Whether a value is a tensor of numbers."""
    return isinstance(value, Tensor) and value.is_floating_point()
