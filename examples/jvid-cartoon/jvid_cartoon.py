"""Cartoons for jvid: a denoiser that knows latents of two flat tones, and a selector that calls on it."""

import attrs

from jvid.plugins import hookimpl


@attrs.frozen
class TwoTone:
    """E[x_0 | x_t] where each element is ``tone`` or ``-tone``, as likely: tone tanh(alpha tone x / sigma^2)."""

    schedule: object
    tone: float = attrs.field(default=0.5, validator=attrs.validators.gt(0))

    def __call__(self, x, t, cond):
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        alpha, sigma = (level.reshape(-1, 1, 1, 1, 1) for level in self.schedule(t))
        sharpness = alpha * self.tone / sigma.square().clamp_min(1e-4)  # finite where sigma is 0
        return self.tone * (sharpness.to(x) * x).tanh()


@attrs.frozen
class Strokes:
    """Every ``every``-th step is the cartoonist's, the others are the painter's."""

    every: int = attrs.field(default=4, validator=attrs.validators.ge(1))
    experts = ("cartoon", "painter")

    def __call__(self, step, u):
        """The same for any u: weight 1 for the one whose turn it is."""
        return {self.experts[step.index % self.every != 0]: 1.0}


def two_tone(tone: float = 0.5) -> TwoTone:
    """Two flat tones, on Stable Diffusion's schedule."""
    from jvid import TabulatedSchedule  # here, because this one loads torch: listing plugins should not

    return TwoTone(TabulatedSchedule.scaled_linear(), tone)


@hookimpl
def jvid_register(register):
    """Two factories, by kind and name."""
    register.denoiser("two-tone", two_tone)
    register.selector("strokes", Strokes)
