"""The JVID paper as data, and its sampling strategy: ``jvid.paper.strategy(64)``, ``jvid.paper.sampler(video, image)``.

Reynaud et al., "JVID: Joint Video-Image Diffusion for Visual-Quality and Temporal-Consistency in
Video Generation". Mixtures of a latent video and a latent image model: P_V of Table 6 picks who
predicts, DDPM (5) steps, guidance (4) of 2, gamma on the image model's noise (3.5), smoothing (3.6).
Resolutions are those of the frames, 64, 128 and 256 pixels; latents are 8 times smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError
from jvid.selectors import PiecewiseAffine

if TYPE_CHECKING:
    from jvid.core.protocols import Denoiser
    from jvid.core.sampler import Sampler
    from jvid.schedules import TabulatedSchedule
    from jvid.strategy.guidance import Guidance
    from jvid.strategy.strategy import Strategy

__all__ = [
    "EVALUATION", "FRAMES", "FRAMES_PER_SECOND", "GAMMA", "GUIDANCE", "PREFIXES", "RATIO", "SCHEDULE", "SEARCH",
    "SMOOTHING", "STEPS", "TABLE_1", "TABLE_2", "TABLE_3", "TABLE_4", "TABLE_5", "TABLE_6", "TRAINING",
    "Architecture", "EvaluationSettings", "Result", "ScheduleSettings", "Search", "TrainingSettings", "sampler", "strategy",
]  # fmt: skip


@attrs.frozen
class Architecture:
    """Table 1, of both UNets; the video UNet has (1,3,3) then (3,1,1) kernels and temporal attention."""

    channels: int = 256
    multipliers: tuple[int, ...] = (1, 2, 3, 4)
    residual_blocks: int = 2
    head_width: int = 64
    heads: int = 8
    cross_attention: tuple[int, ...] = (0, 1, 1, 1)
    text_width: int = 768


@attrs.frozen
class ScheduleSettings:
    """Stable Diffusion's table (square roots of betas linear); call it to build the schedule."""

    start: float = 0.00085
    end: float = 0.012
    T: int = 1000

    def __call__(self) -> TabulatedSchedule:
        """The ``TabulatedSchedule`` of these betas."""
        from jvid.schedules import TabulatedSchedule

        return TabulatedSchedule.scaled_linear(self.start, self.end, self.T)


@attrs.frozen
class TrainingSettings:
    """Section 4.1: AdamW at a constant rate after warm-up, one global batch, prompts dropped at random."""

    steps: int
    initialised_from: int | None = None
    """Resolution of the model whose weights it starts from; None is from scratch."""
    learning_rate: float = 1e-4
    adam_epsilon: float = 1e-8
    accumulation: int = 1
    warm_up: int = 500
    prompt_dropping: float = 0.3
    noise_offset: float = 0.1
    batch: int = 1024


@attrs.frozen
class Search:
    """The grids of section 4.2, one after the other."""

    guidance: tuple[float, ...] = (0, 1, 2, 4, 6, 8, 10)
    solver: tuple[str, ...] = ("ddpm", "ddim", "pndm")
    steps: tuple[int, ...] = (20, 30, 40, 50, 60, 75, 100, 200)
    gamma: tuple[float, ...] = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
    ratio: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    smoothing: tuple[str, ...] = ("gaussian", "uniform", "temporal")


@attrs.frozen
class EvaluationSettings:
    """StyleGAN-V's protocol as section 4.2 states it."""

    fid_frames: int = 50_000
    fvd_clips: int = 2_048
    inception_splits: int = 10
    inception_frames_per_split: int = 5_000


@attrs.frozen
class Result:
    """A row of Tables 2 to 5. None: the paper gives no figure (or its text layer lost the cell)."""

    method: str
    resolution: int
    fid: float | None = None
    fvd: float | None = None
    inception: float | None = None
    inception_deviation: float | None = None


FRAMES = 16
FRAMES_PER_SECOND = 10
STEPS = 50
GUIDANCE = 2.0
SMOOTHING = 2.0
"""The factor of section 3.6, the threshold of ``TemporalSmoothing``, at every resolution."""
RATIO = 0.0
"""r of equation (8), for both models, at every resolution: correlated noise did not help."""
GAMMA: Mapping[int, float] = MappingProxyType({64: 0.02, 128: 0.1, 256: 1.0})
"""The image model's gamma of section 3.5, by resolution."""
PREFIXES = ("A human", "A person", "Someone")
"""What one of is put before a class name, at random."""
SCHEDULE = ScheduleSettings()
SEARCH = Search()
EVALUATION = EvaluationSettings()
TABLE_1 = Architecture()
TABLE_6: Mapping[int, PiecewiseAffine] = MappingProxyType(
    {
        64: PiecewiseAffine(0.2, 0.7, 0.3, 0.3),
        128: PiecewiseAffine(0.4, 0.7, 0.4, 0.1),
        256: PiecewiseAffine(0.1, 0.6, 0.2, 0.1),
    }
)
"""P_V by resolution: t_v, t_e, p_e, p_f."""
TRAINING: Mapping[str, Mapping[int, TrainingSettings]] = MappingProxyType(
    {
        "image": MappingProxyType(
            {64: TrainingSettings(100_000), 128: TrainingSettings(100_000), 256: TrainingSettings(100_000)}
        ),
        "video": MappingProxyType(
            {
                64: TrainingSettings(100_000),
                128: TrainingSettings(50_000, initialised_from=64),
                256: TrainingSettings(
                    50_000, initialised_from=128, learning_rate=2e-4, adam_epsilon=1e-4, accumulation=2
                ),
            }
        ),
    }
)

TABLE_2 = (
    Result("image autoencoder", 64, 57.09, 758.96, 4.46),
    Result("video autoencoder", 64, 63.86, 877.04, 4.24),
    Result("video", 64, 23.94, 885.68, 8.28, 0.26),
    Result("image", 64, 32.97, 1631.38, 7.56, 0.09),
    Result("mixture", 64, 33.8, 1105.39, 7.93, 0.18),
    Result("mixture, entropy", 64, 31.89, 1077.02, 7.91, 0.20),
    Result("mixture, entropy, smoothing", 64, 31.79, 1044.23, 7.77, 0.18),
    Result("image autoencoder", 128, 67.12, 246.46, 4.41),
    Result("video autoencoder", 128, 68.68, 298.71, 4.33),
    Result("video", 128, 32.63, 1057.34, 10.80, 0.41),
    Result("image", 128, 17.09, 1840.10, 11.30, 0.14),
    Result("mixture", 128, None, 1145.4, 11.16, 0.30),
    Result("mixture, entropy", 128, None, 1065.15, 11.10, 0.40),
    Result("mixture, entropy, smoothing", 128, None, 1037.81, 11.25, 0.42),
    Result("image autoencoder", 256, 75.11, 83.00, 4.32),
    Result("video autoencoder", 256, 83.49, 440.61, 4.13),
    Result("video", 256, 71.10, 1590.81, 7.84, 0.17),
    Result("image", 256, 14.60, 2072.09, 14.51, 0.12),
    Result("mixture", 256, 31.02, 1808.23, 12.32, 0.26),
    Result("mixture, entropy", 256, 49.37, 1838.88, 10.71, 0.71),
    Result("mixture, entropy, smoothing", 256, 50.95, 1872.71, 9.84, 0.19),
)
"""Ablation: each model alone, then the mixture with its parts added one by one."""
TABLE_3 = (
    Result("MoCoGAN", 256, fvd=2886.9),
    Result("MoCoGAN, StyleGAN2 backbone", 256, fvd=1821.4),
    Result("MoCoGAN-HD", 256, fvd=1729.6),
    Result("VideoGPT", 256, fvd=2880.6),
    Result("DIGAN", 256, fvd=1630.2),
    Result("StyleGAN-V", 256, fvd=1431.0),
    Result("JVID", 256, fvd=1590.81),
)
"""FVD16 recomputed by StyleGAN-V's protocol."""
TABLE_4 = (
    Result("JVID", 64, None, 885.68, 8.28, 0.26),
    Result("JVID", 128, None, 1037.81, 11.25, 0.42),
    Result("JVID", 256, None, 1590.81, 7.84, 0.17),
)
"""Conditioned on text; the paper's own rows."""
TABLE_5 = (
    Result("JVID", 64, None, 2143.16, 6.02, 0.15),
    Result("JVID", 128, None, 1257.07, 10.25, 0.39),
    Result("JVID", 256, None, 2681.54, 7.16, 0.19),
)
"""Unconditional; the paper's own rows."""


def strategy(resolution: int = 64) -> Strategy:
    """The paper's strategy at 64, 128 or 256 pixels, as plain values: Table 6, gamma on image steps, smoothing of factor 2.

    Its experts are called video and image.

    Raises:
        InputError: another resolution.
    """
    from jvid.plugins.choice import Choice
    from jvid.strategy.shorthand import with_guidance, with_noise
    from jvid.strategy.strategy import Strategy

    affine = _table_6(resolution)
    base = Strategy(
        Choice("piecewise-affine", {key: getattr(affine, key) for key in ("t_v", "t_e", "p_e", "p_f")}),
        steps=STEPS,
        postprocessors=(Choice("temporal", {"threshold": SMOOTHING}),),
    )
    return with_noise(with_guidance(base, GUIDANCE), "image", GAMMA[resolution], RATIO)


def _table_6(resolution: int) -> PiecewiseAffine:
    if resolution not in TABLE_6:
        raise InputError(f"resolution {resolution!r}: expected one of {', '.join(map(str, TABLE_6))}")
    return TABLE_6[resolution]


def sampler(
    video: Denoiser,
    image: Denoiser,
    resolution: int = 64,
    steps: int = STEPS,
    guidance: float | Guidance | Mapping[str, float | Guidance] = GUIDANCE,
) -> Sampler:
    """The paper's strategy for a video and an image denoiser.

    Args:
        video: denoises clips.
        image: denoises clips of one frame; the frames of a clip are its batch.
        resolution: 64, 128 or 256, of Table 6 and gamma; for another, take the nearest in kind.
        steps: of DDPM, leading spacing over 1000 timesteps.
        guidance: the scale g of equation (4) for both, or by expert; the condition needs "null" unless g is 1. Away from
            another denoiser than the null condition only in a `Strategy`, whose ensemble has them by name.

    Raises:
        InputError: another resolution, or steps or guidance out of range.
    """
    from jvid.core.protocols import Expert
    from jvid.core.sampler import Sampler
    from jvid.denoisers.framewise import Framewise
    from jvid.grids import Leading
    from jvid.noise import IndependentNoise, ScaledNoise
    from jvid.postprocessors import TemporalSmoothing
    from jvid.solvers import DDPM
    from jvid.strategy.guidance import as_guidance

    selector = _table_6(resolution)
    by_expert = guidance if isinstance(guidance, Mapping) else dict.fromkeys(("video", "image"), guidance)
    for name in ("video", "image"):
        if name not in by_expert:
            raise InputError(
                f"guidance is given for {', '.join(by_expert)} and not for {name!r}: give its scale (1 is unguided)"
            )
    return Sampler(
        experts={
            "video": Expert(as_guidance(by_expert["video"]).guided(video)),
            # Guided outside, as the video model is; its halves fold into one batch of 2 b f frames.
            "image": Expert(
                as_guidance(by_expert["image"]).guided(Framewise(image)),
                ScaledNoise(IndependentNoise(), GAMMA[resolution]),
            ),
        },
        selector=selector,
        solver=DDPM(),
        grid=Leading(steps),
        postprocessors=(TemporalSmoothing(SMOOTHING),),
    )
