"""A pair in closed form, registered as a plugin would: the command line runs in milliseconds.

The video expert knows x_0 ~ N(m, .5^2), the image expert x_0 ~ N(m, .8^2), where m comes from the
prompt. ``built`` lists the networks that were asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import attrs
import torch
from torch import Tensor

from jvid.core.protocols import Condition
from jvid.errors import InputError
from jvid.plugins import builtins, hookspecs
from jvid.plugins.registrar import Registrar
from jvid.plugins.registry import Registry
from jvid.schedules import TabulatedSchedule
from jvid.strategy.strategy import Strategy

PROMPTS = ("a person waving", "a person running")
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


class ToyPair:
    """Latents ``(4, 5, 8, 8)``, frames of 64 pixels."""

    name = "toy"
    shape = (4, 5, 8, 8)
    fps = 12.5
    prompts = PROMPTS
    schedule = TabulatedSchedule.scaled_linear()
    strategy = attrs.evolve(Strategy.paper(64), steps=8)

    def __init__(self, device: str = "cpu", dtype: str = "float32", broken: bool = False) -> None:
        self.dtype = dtype
        self.broken = broken

    @property
    def video(self) -> Conditional:
        built.append("video")
        return Conditional(self.schedule, 0.5)

    @property
    def image(self) -> Conditional:
        built.append("image")
        return Conditional(self.schedule, 0.8, self.broken)

    def text_encoder(self, prompts: Sequence[str]) -> Condition:
        known = ("", *PROMPTS)
        if unknown := [prompt for prompt in prompts if prompt not in known]:
            raise InputError(f"unknown prompt {unknown[0]!r}: expected one of {', '.join(PROMPTS)}")
        rows = torch.tensor([float(known.index(prompt)) for prompt in prompts])
        text = 0.3 * rows.reshape(-1, 1, 1).expand(-1, 2, 3)
        return {"text": text, "null": {"text": torch.zeros_like(text)}}

    @property
    def codec(self) -> SimpleNamespace:
        built.append("codec")
        return SimpleNamespace(
            decode=lambda z: torch.tanh(z[:, :3]).repeat_interleave(8, 3).repeat_interleave(8, 4)
        )


class ToyPlugin:
    """What an entry point would name."""

    @hookspecs.hookimpl
    def jvid_register(self, register: Registrar) -> None:
        register.pair("toy", ToyPair)
        register.command("greet", greet, help="Say hello.")
        register.command("absent", "a_package_that_is_not_there:run", help="Needs what is missing.")


def greet(name: str = "you") -> None:
    """Say hello."""
    print(f"hello {name}")


def toy_registry() -> Registry:
    """The built-ins and the toy pair, whatever is installed."""
    registry = Registry(entry_points=False)
    registry.add(builtins, "builtin", "jvid test")
    registry.add(ToyPlugin(), "toys", "toys 1.0")
    return registry
