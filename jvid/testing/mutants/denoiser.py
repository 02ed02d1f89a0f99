"""Wrong denoisers: parameterizations mistaken, clips that see each other, state that is kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid._arrays import working_dtype
from jvid.conditions import require
from jvid.keyed import keyed_normal
from jvid.protocols import Condition, NoiseSchedule
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.testing.mutants import mutant


def told(b: int, f: int) -> Condition:
    """What the right one is conditioned on: its mean is that of the text, .3 for each clip."""
    return {"text": 0.3 + 0.0 * keyed_normal(range(b), ("text",), (3, 2), torch.float64)}


def data() -> Tensor:
    """What the right one knows: N(.3, .5^2) at each element."""
    return 0.3 + 0.5 * keyed_normal(range(4), ("data of mutants",), (4, 4, 6, 6), torch.float64)


CONTEXT: dict[str, Any] = {"cond": told, "data": data()}


class Grey:
    """Right: the exact denoiser of N(m, .5^2), m from the text; what a mutant changes is a method."""

    schedule: NoiseSchedule = TabulatedSchedule.scaled_linear()
    std = 0.5

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x_0 ``(b c f h w)``."""
        alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in self.schedule(self.time(t.double())))
        gain = alpha * self.std**2 / (alpha**2 * self.std**2 + sigma**2)
        mean = self.mean(x, cond)
        dtype = working_dtype(x)
        return (mean + gain.to(dtype) * (x.to(dtype) - alpha.to(dtype) * mean)).to(x.dtype)

    def time(self, t: Tensor) -> Tensor:
        """The time that it is asked at."""
        return t

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        """m ``(b or 1, 1, 1, 1, 1)``."""
        text: Tensor = require(cond, "text", "Grey")
        return text.mean(dim=(1, 2)).view(-1, 1, 1, 1, 1).to(working_dtype(x))


def wrong(check: str, **context: Any) -> Any:
    """Register a mutant, with the condition and the data of the right one."""
    return mutant("denoiser", check, **{**CONTEXT, **context})


@wrong("stands_on_a_schedule")
class names_its_schedule(Grey):
    """The schedule is a name."""

    schedule: Any = "scaled-linear"


@wrong("stands_on_a_schedule")
class a_new_schedule_each_time(Grey):
    """The schedule is made at each access, of a class without equality."""

    class Own:
        """The table's levels."""

        table = TabulatedSchedule.scaled_linear()

        def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
            """alpha and sigma."""
            return self.table(t)

        def time_at(self, angle: Tensor) -> Tensor:
            """The inverse."""
            return self.table.time_at(angle)

    @property
    def schedule(self) -> Any:  # type: ignore[override]
        """Its own."""
        return self.Own()


@wrong("stands_on_a_schedule")
class space_as_text(Grey):
    """The latent space is a name: it would compare with no other."""

    space = "stable-diffusion-1"


@wrong("shape_and_dtype_kept")
class in_its_own_dtype(Grey):
    """The network's float32 is what comes out."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x.float(), t, cond)


@wrong("shape_and_dtype_kept")
class without_the_frame(Grey):
    """An image network's output, without the axis of frames."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond)[:, :, 0]


@wrong("shape_and_dtype_kept")
class even_sizes(Grey):
    """Down and up again, rounded to even sizes."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        h, w = (max(size // 2 * 2, 2) for size in x.shape[-2:])
        return super().__call__(x, t, cond)[..., :h, :w]


@wrong("shape_and_dtype_kept")
class nothing_over_nothing(Grey):
    """eps is divided out at the clean end, where sigma is 0."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        alpha, sigma = (level.view(-1, 1, 1, 1, 1).to(x) for level in self.schedule(t))
        eps = (x - alpha * super().__call__(x, t, cond)) / sigma
        return (x - sigma * eps) / alpha


@wrong("inputs_untouched")
class scales_x_in_place(Grey):
    """x is scaled for the network in place."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = super().__call__(x, t, cond)
        x.mul_(0.5)
        return out


@wrong("inputs_untouched")
class timesteps_in_place(Grey):
    """t becomes a timestep in place."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = super().__call__(x, t, cond)
        t.mul_(1000.0).sub_(1.0)
        return out


@wrong("inputs_untouched")
class normalises_the_text(Grey):
    """The text is moved and scaled in place."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        mean = super().mean(x, cond)
        cond["text"].sub_(0.1)
        return mean


@wrong("inputs_untouched")
class takes_it_out(Grey):
    """The text is popped from the condition: the next step has none."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        mean = super().mean(x, cond)
        if isinstance(cond, dict):
            cond.pop("text")
        return mean


@wrong("a_clip_is_alone")
class batch_statistics(Grey):
    """Normalised over the batch, as a network in training mode."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = super().__call__(x, t, cond)
        return out - 0.1 * out.mean(dim=0, keepdim=True)


@wrong("a_clip_is_alone")
class time_before_batch(Grey):
    """Frames fold into the batch, and come out of it as if time led."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        b, c, f, h, w = x.shape
        out = super().__call__(x, t, cond).transpose(1, 2).reshape(b * f, c, h, w)
        return out.reshape(f, b, c, h, w).permute(1, 2, 0, 3, 4)


@wrong("a_clip_is_alone")
class the_first_rows_time(Grey):
    """All rows are denoised at the first one's level."""

    def time(self, t: Tensor) -> Tensor:
        return t.flatten()[0]


@wrong(
    "a_clip_is_alone", cond=lambda b, f: {"text": torch.arange(3.0 * b, dtype=torch.float64).view(b, 3, 1)}
)
class the_first_rows_text(Grey):
    """All rows get the first one's text."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        return super().mean(x, cond)[:1]


@wrong("one_time_for_all_rows")
class a_row_of_times_is_timesteps(Grey):
    """A single t is in [0, 1]; several are taken for timesteps."""

    def time(self, t: Tensor) -> Tensor:
        return t if t.ndim == 0 else (t / 1000.0).clamp(0.0, 1.0)


@wrong("one_time_for_all_rows")
class the_noisiest_of_the_rows(Grey):
    """Several times are replaced by one a little noisier than all."""

    def time(self, t: Tensor) -> Tensor:
        return t if t.ndim == 0 else (t.max() * 1.1).clamp_max(1.0)


@wrong("the_same_each_time")
class dropout(Grey):
    """Nobody called eval(): its dropout draws at each call."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = super().__call__(x, t, cond)
        return out * (torch.rand(out.shape, generator=self.generator) > 0.1)


@wrong("the_same_each_time")
class averages_with_the_last(Grey):
    """The last prediction of the shape is mixed in, to calm the process."""

    def __init__(self) -> None:
        self.last: dict[torch.Size, Tensor] = {}

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = super().__call__(x, t, cond)
        out = 0.5 * (out + self.last.get(x.shape, out).to(out))
        self.last[x.shape] = out
        return out


@wrong("the_same_each_time")
class a_buffer(Grey):
    """Predictions of a shape are written into one buffer."""

    def __init__(self) -> None:
        self.buffers: dict[torch.Size, Tensor] = {}

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = super().__call__(x, t, cond)
        return self.buffers.setdefault(x.shape, torch.empty_like(out)).copy_(out)


@wrong("conditions_are_read_each_time")
class text_by_its_size(Grey):
    """The text's part is kept by batch size: another prompt of the same size gets it."""

    def __init__(self) -> None:
        self.kept: dict[int, Tensor] = {}

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        return self.kept.setdefault(len(x), super().mean(x, cond))


@wrong("conditions_are_read_each_time")
class text_by_its_address(Grey):
    """The text's part is kept by the tensor's identity: what was edited since is not seen."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Any, Tensor]] = {}

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        text = require(cond, "text", "Grey")
        return self.kept.setdefault(id(text), (text, super().mean(x, cond)))[1]


@wrong("any_layout_in_memory")
class as_it_lies(Grey):
    """Latents are read in the order of memory."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x.as_strided((x.numel(),), (1,)).reshape(x.shape), t, cond)


@wrong("any_layout_in_memory")
class views_only(Grey):
    """view() where reshape() is meant."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x.view(-1).view(x.shape), t, cond)


class Doubtful(TabulatedSchedule):
    """A table whose inverse is off."""

    def time_at(self, angle: Tensor) -> Tensor:
        """Somewhat late."""
        return (super().time_at(angle) * 1.05).clamp_max(1.0)


@wrong("bridged_there_and_back")
class an_inverse_that_is_off(Grey):
    """Its schedule's inverse finds another level."""

    schedule = Doubtful(TabulatedSchedule.scaled_linear().alphas_cumprod)


@wrong("bridged_there_and_back")
class half_a_bridge(Grey):
    """It says a schedule that x is not in: variance is kept inside, and said to explode."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def schedule(self) -> Any:  # type: ignore[override]
        """One of two, by turns."""
        self.asked += 1
        return FlowMatching() if self.asked == 1 else VarianceExploding()


@wrong("a_missing_condition_is_named")
class key_error(Grey):
    """The mapping's own error."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        return super().mean(x, {"text": cond["text"]})


@wrong("a_missing_condition_is_named")
class says_nothing_useful(Grey):
    """An error that does not name what is missing."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        from jvid.errors import InputError

        if "text" not in cond:
            raise InputError("the condition is incomplete")
        return super().mean(x, cond)


@wrong("predicts_x_0")
class returns_eps(Grey):
    """The network's eps, not x_0."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        alpha, sigma = (level.view(-1, 1, 1, 1, 1).to(x) for level in self.schedule(t))
        return (x - alpha * super().__call__(x, t, cond)) / sigma.clamp_min(1e-3)


@wrong("predicts_x_0")
class the_other_velocity(Grey):
    """v with the sign of flow matching from noise to data."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return 2.0 * x - super().__call__(x, t, cond)


@wrong("predicts_x_0")
class time_turned_round(Grey):
    """t = 1 is taken for clean."""

    def time(self, t: Tensor) -> Tensor:
        return 1.0 - t


@wrong("predicts_x_0")
class latents_unscaled(Grey):
    """x_0 in the autoencoder's own scale, before the factor of the latent space."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond) / 0.18215


@wrong("globals_untouched")
class seeds_the_world(Grey):
    """It seeds torch's generator, to be reproducible."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        torch.manual_seed(0)
        return super().__call__(x, t, cond)
