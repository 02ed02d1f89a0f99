"""Wrong denoisers: other shapes, inputs that are written on, clips that see each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.protocols import Condition
from jvid.schedules import TabulatedSchedule
from tests.mutants import denoiser_use, denoiser_values  # noqa: F401 - they register
from tests.mutants.denoiser_bases import Grey, wrong


@wrong("has_a_schedule")
class names_its_schedule(Grey):
    """The schedule is a name."""

    schedule: Any = "scaled-linear"


@wrong("has_a_schedule")
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


@wrong("has_a_schedule")
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
