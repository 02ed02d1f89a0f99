"""An ensemble in closed form, registered as a plugin would: the command line runs in milliseconds.

The expert "video" knows x_0 ~ N(m, .5^2), the expert "image", of frames, x_0 ~ N(m, .8^2), where m comes from the prompt.
``built`` lists the networks and codecs that were loaded, each at its first use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid import paper
from jvid.core.protocols import Condition
from jvid.ensemble import Deferred, Ensemble, Member
from jvid.errors import InputError
from jvid.plugins import builtins, hookspecs
from jvid.plugins.registrar import Registrar
from jvid.plugins.registry import Registry
from jvid.schedules import TabulatedSchedule
from jvid_training import plugin as training

PROMPTS = ("a person waving", "a person running")
SCHEDULE = TabulatedSchedule.scaled_linear()
SHAPE = (4, 5, 8, 8)
FPS = 12.5
STRATEGY = attrs.evolve(paper.strategy(64), steps=8)
built: list[str] = []


@attrs.frozen
class Conditional:
    """Gaussian data whose mean is the condition's; the exact denoiser."""

    schedule: TabulatedSchedule
    std: float
    broken: bool = False

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        alpha, sigma = (level.to(x.dtype) for level in self.schedule(t))
        mean = cond["text"].mean(dim=(1, 2)).to(x.dtype).reshape(-1, 1, 1, 1, 1)
        gain = alpha * self.std**2 / ((alpha * self.std) ** 2 + sigma**2)
        x_0 = mean + gain * (x - alpha * mean)
        return x_0 * torch.nan if self.broken else x_0


def encode(prompts: Sequence[str]) -> Condition:
    """b prompts to ``{"text": (b, 2, 3), "null": {"text": ...}}``."""
    known = ("", *PROMPTS)
    if unknown := [prompt for prompt in prompts if prompt not in known]:
        raise InputError(f"unknown prompt {unknown[0]!r}: expected one of {', '.join(PROMPTS)}")
    rows = torch.tensor([float(known.index(prompt)) for prompt in prompts])
    text = 0.3 * rows.reshape(-1, 1, 1).expand(-1, 2, 3)
    return {"text": text, "null": {"text": torch.zeros_like(text)}}


def codec() -> Any:
    """Latents to frames eight times as large."""
    return SimpleNamespace(
        decode=lambda z: torch.tanh(z[:, :3]).repeat_interleave(8, 3).repeat_interleave(8, 4)
    )


def toy_ensemble(
    device: str = "cpu",
    dtype: str = "float32",
    broken: bool = False,
    *,
    wrap: Callable[[Any], Any] = lambda denoiser: denoiser,
    made: Callable[[], Any] | None = None,
    guides: Mapping[str, Any] | None = None,
) -> Ensemble:
    """Latents ``(4, 5, 8, 8)``, frames of 64 pixels; guided with 2 where a strategy states nothing.

    Args:
        device: taken, as factories of ensembles do.
        dtype: likewise.
        broken: the image expert predicts NaN.
        wrap: changes both denoisers.
        made: makes the codec; ``codec`` if None.
        guides: further experts of clips.
    """

    def deferred(name: str, make: Callable[[], Any]) -> Deferred[Any]:
        def load() -> Any:
            built.append(name)
            return make()

        return Deferred(load)

    guided = ("guided:scale=2.0",)
    members = {
        "video": Member(deferred("video", lambda: wrap(Conditional(SCHEDULE, 0.5))), "clips", encode, guided),
        "image": Member(
            deferred("image", lambda: wrap(Conditional(SCHEDULE, 0.8, broken))), "frames", encode, guided
        ),
    }
    members |= {name: Member(each, "clips", encode, guided) for name, each in (guides or {}).items()}
    return Ensemble(
        members, SHAPE, fps=FPS, codec=deferred("codec", made or codec), schedule=SCHEDULE, prompts=PROMPTS,
        strategy=STRATEGY, name="toy",
    )  # fmt: skip


def registered(device: str = "cpu", dtype: str = "float32", broken: bool = False) -> Ensemble:
    """What ``jvid.load("ensemble", "toy")`` builds."""
    return toy_ensemble(device, dtype, broken)


class ToyPlugin:
    """What an entry point would name."""

    @hookspecs.hookimpl
    def jvid_register(self, register: Registrar) -> None:
        register.ensemble("toy", registered)
        register.command("greet", greet, help="Say hello.")
        register.command("absent", "a_package_that_is_not_there:run", help="Needs what is missing.")


def greet(name: str = "you") -> None:
    """Say hello."""
    print(f"hello {name}")


def toy_registry() -> Registry:
    """The built-ins, what ``jvid_training`` registers and the toy ensemble, whatever is installed."""
    registry = Registry(entry_points=False)
    registry.add(builtins, "builtin", "jvid test")
    registry.add(ToyPlugin(), "toys", "toys 1.0")
    registry.add(training, "training", "jvid test")
    return registry
