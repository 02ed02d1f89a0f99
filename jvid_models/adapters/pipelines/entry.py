"""One call of a pipeline with a probe in the place of its scheduler, and everything put back behind it.

Within the call the pipeline's scheduler, its encoders' methods and its progress bars are others, and the decoder is where a run
ends there. They are instance attributes for that time: whatever ends the call, they are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn

from jvid.extras import extra
from jvid_models.adapters.pipelines.answers import Answers, Inject
from jvid_models.adapters.pipelines.caches import CacheStates
from jvid_models.adapters.pipelines.execution import with_known_device
from jvid_models.adapters.pipelines.loops import autoencoder_of, has_autoencoder, loop_of
from jvid_models.adapters.pipelines.networks import hooked_in, modules_of
from jvid_models.adapters.pipelines.placement import placed
from jvid_models.adapters.pipelines.probe import Departure, Drive, probe_of
from jvid_models.adapters.pipelines.replaced import replaced

with extra("models"):
    from diffusers import DiffusionPipeline

__all__ = ["Entrance", "enter", "leaving_at_the_decoder"]


class Entrance:
    """A pipeline's changed attributes, which can be put back while its call waits; the global generator is restored too.

    Threads take turns outside of it (`turns.in_turn`). ``caches``: of its networks, in the run at hand; None begins one.
    """

    def __init__(
        self,
        pipe: Any,
        arguments: Mapping[str, Any],
        drive: Drive,
        answers: Answers,
        inject: Inject,
        caches: CacheStates | None = None,
    ) -> None:
        given = arguments.get("generator", [])
        generators = given if isinstance(given, list) else [given]
        self._seed = generators[0].initial_seed() if generators else 0
        self._pipe, self._loop = pipe, loop_of(pipe)
        self._values = {
            "scheduler": probe_of(self._loop.scheduler, drive),
            "_progress_bar_config": _no_bars(self._loop),
            **answers.methods(self._loop, inject, generators),
        }
        self._priors = answers.priors(pipe)
        self._bars = [(prior, _no_bars(prior)) for prior in (getattr(pipe, name) for name in self._priors)]
        self._caches = caches or CacheStates()
        self.hooked: list[nn.Module] = []
        self._stack: ExitStack | None = None
        self._state: torch.Tensor | None = None
        self._own: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def open(self) -> None:
        """Change the attributes; ``hooked`` are the modules with hooks then."""
        self.hooked = hooked_in(modules_of(self._pipe).values())
        with ExitStack() as stack:
            for prior, bars in self._bars:
                stack.enter_context(replaced(prior, _progress_bar_config=bars))
            stack.enter_context(replaced(self._pipe, **self._priors))
            stack.enter_context(replaced(self._loop, **self._values))
            stack.enter_context(self._caches.within(self.hooked))
            stack.enter_context(placed(self._pipe))
            stack.enter_context(torch.random.fork_rng(devices=[]))
            if self._state is None:
                torch.default_generator.manual_seed(self._seed)
            else:
                torch.set_rng_state(self._state)  # where its call began to wait
                for values, own in self._own:
                    values.update(own)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Put them back; does nothing where they are."""
        if self._stack is not None:
            stack, self._stack, self._state = self._stack, None, torch.get_rng_state()
            self._own = [(vars(pipe), _arguments_in(pipe)) for pipe in (self._pipe, self._loop)]
            stack.close()


def _arguments_in(pipe: Any) -> dict[str, Any]:
    """The arguments of its call that a pipeline keeps in its attributes, which another call of it changes."""
    kind: Any = type(pipe)
    values = vars(pipe)
    return {name: values[name] for name in _kept_arguments(kind) if name in values}


@cache
def _kept_arguments(kind: Any) -> tuple[str, ...]:
    """The attributes behind the properties of a class of pipelines, as ``_guidance_scale`` is behind ``guidance_scale``."""
    names = (name for name in dir(kind) if isinstance(getattr(kind, name, None), property))
    return tuple(f"_{name}" for name in names if not hasattr(DiffusionPipeline, name))


def _no_bars(pipe: Any) -> dict[str, Any]:
    """The configuration of a pipeline's progress bars, with none shown."""
    return {**getattr(pipe, "_progress_bar_config", {}), "disable": True}


def enter(
    pipe: Any,
    arguments: Mapping[str, Any],
    drive: Drive,
    answers: Answers,
    inject: Inject,
    caches: CacheStates | None = None,
    differentiable: bool = False,
) -> Any:
    """Call the pipeline; what it returns, or what a `Departure` left with.

    ``differentiable``: without the ``torch.no_grad`` around the pipeline's own call.
    """
    entrance = Entrance(pipe, arguments, drive, answers, inject, caches)
    if answers.form is not None:
        arguments = {**arguments, "latents": inject(answers.form)}
    kind: Any = type(pipe)
    own = getattr(kind.__call__, "__wrapped__", kind.__call__) if differentiable else kind.__call__
    entrance.open()
    try:
        return own(with_known_device(pipe, entrance.hooked), **arguments)
    except Departure as departure:
        return departure.value
    finally:
        entrance.close()


@contextmanager
def leaving_at_the_decoder(pipe: Any) -> Iterator[None]:
    """Within the block a call of the pipeline leaves with the tensor that its decoder gets; one without a decoder returns it."""
    if not has_autoencoder(pipe):
        yield
        return

    def decode(*args: Any, **kwargs: Any) -> Any:
        raise Departure(args[0] if args else next(iter(kwargs.values())))

    with replaced(autoencoder_of(pipe), decode=decode):
        yield
