"""The built-ins, registered through the hook that any plugin uses. Targets are lazy: no torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jvid.errors import InputError
from jvid.plugins.hookspecs import hookimpl
from jvid.plugins.references import declare_references

if TYPE_CHECKING:
    from jvid.core.protocols import NoiseSampler
    from jvid.noise import DeclaredNoise
    from jvid.plugins.registrar import Registrar
    from jvid.schedules import TabulatedSchedule

JVID_API = 1


@hookimpl
def jvid_register(register: Registrar) -> None:
    """Everything of the core that has a name."""
    register.wrapper("guided", "jvid.denoisers.guided:guided", help="Classifier-free guidance.")
    register.wrapper(
        "framewise", "jvid.denoisers.framewise:Framewise", help="An image model over the frames of a clip."
    )
    register.wrapper("bridged", "jvid.core.bridged:Bridged", help="A model on another schedule than its own.")
    register.wrapper("windowed", "jvid.denoisers.windowed:Windowed", help="Clips longer than a model knows.")
    register.wrapper("known", "jvid.denoisers.known:Known", help="Parts of a clip that are known.")
    register.wrapper(
        "corrected", "jvid.denoisers.corrected:Corrected", help="A postprocessor on x_0 at each step."
    )
    register.wrapper(
        "first-frame",
        "jvid.denoisers.first_frame:FirstFrame",
        help="An image model for the one latent frame that is a picture.",
    )
    register.wrapper("cached", "jvid.denoisers.cached:cached", help="Conditions prepared once a run.")

    register.selector("piecewise-affine", "jvid.selectors:PiecewiseAffine", help="P_V of the paper.")
    register.selector("always", "jvid.selectors:Always", help="One expert at every step.")
    register.selector("random", "jvid.selectors:Random", help="One of k experts, with fixed probabilities.")
    register.selector("boundary", "jvid.selectors:Boundary", help="Experts for stated ranges of noise.")
    register.selector("cycle", "jvid.selectors:Cycle", help="Experts in turn.")
    register.selector("table", "jvid.selectors:Table", help="An expert or weights for each step.")
    register.selector("blend", "jvid.selectors:Blend", help="Weights that move with progress.")

    register.solver("ddpm", "jvid.solvers:DDPM", help="Ancestral sampling, the paper's.")
    register.solver("ddim", "jvid.solvers:DDIM", help="Implicit sampling; eta 0 is deterministic, 1 is DDPM.")

    register.solver("euler", "jvid.solvers:Euler", help="Euler over sigma / alpha, with churn on request.")
    register.solver("euler-ancestral", "jvid.solvers:EulerAncestral", help="k-diffusion's; at eta 1 DDPM.")
    register.solver("heun", "jvid.solvers:Heun", help="Second order, two calls a step.")
    register.solver("pndm", "jvid.solvers:PNDM", help="PLMS, with its start by trapezoid or Runge-Kutta.")
    register.solver("dpmpp-2m", "jvid.solvers:DPMPP2M", help="DPM-Solver++, second order, one call a step.")
    register.solver("dpmpp-2m-sde", "jvid.solvers:DPMPP2MSDE", help="Its stochastic form.")
    register.solver("unipc", "jvid.solvers:UniPC", help="Predictor and corrector, one call a step.")

    register.grid("leading", "jvid.grids:Leading", help="From below the noisiest timestep, the paper's.")
    register.grid("trailing", "jvid.grids:Trailing", help="From the noisiest timestep.")
    register.grid("linspace", "jvid.grids:Linspace", help="Evenly from the noisiest to the cleanest.")
    register.grid("karras", "jvid.grids:Karras", help="Evenly in the seventh root of sigma / alpha.")
    register.grid("by-angle", "jvid.grids:ByAngle", help="Evenly in atan2(sigma, alpha).")
    register.grid("zigzag", "jvid.grids:Zigzag", help="Down, and in between back up.")
    register.grid("native", "jvid.grids:Native", help="The times that the ensemble's own model visits.")
    register.grid("explicit", "jvid.grids:Explicit", help="Times as given.")

    tabulated = "jvid.schedules:TabulatedSchedule"
    register.schedule("linear", f"{tabulated}.linear", help="Betas linear, as in DDPM.")
    register.schedule("scaled-linear", f"{tabulated}.scaled_linear", help="Square roots of betas linear.")
    register.schedule("cosine", f"{tabulated}.cosine", help="Cosine, of improved DDPM.")
    register.schedule("zero-terminal-snr", zero_terminal_snr, help="A table rescaled to end in pure noise.")
    register.schedule("variance-exploding", "jvid.schedules:VarianceExploding", help="x_0 + sigma eps.")
    register.schedule("flow-matching", "jvid.schedules:FlowMatching", help="(1 - t) x_0 + t eps, shifted.")

    register.noise("independent", "jvid.noise:IndependentNoise", help="N(0, 1) at each element.")
    register.noise("shared", "jvid.noise:SharedNoise", help="A part is the same in all frames.")
    register.noise("scaled", scaled_noise, help="gamma times shared or independent noise.")

    register.noise("mixed", "jvid.noise:MixedNoise", help="PYoCo's: a shared part of weight alpha.")
    register.noise(
        "progressive", "jvid.noise:ProgressiveNoise", help="PYoCo's: each frame goes on from the last."
    )
    register.noise("offset", "jvid.noise:OffsetNoise", help="A number for each clip and channel on top.")

    register.denoiser("gaussian", "jvid.testing.oracles:GaussianOracle", help="Exact, of Gaussian data.")
    register.denoiser(
        "two-modes", "jvid.testing.oracles:TwoModeOracle", help="Exact, of data with two modes."
    )
    register.codec("pixels", "jvid.ensemble.pixels:PixelCodec", help="Latents that are pixels.")

    register.postprocessor(
        "temporal", "jvid.postprocessors:TemporalSmoothing", help="Section 3.6 of the paper."
    )
    register.postprocessor(
        "gaussian", "jvid.postprocessors:GaussianSmoothing", help="A Gaussian filter over time."
    )
    register.postprocessor("uniform", "jvid.postprocessors:UniformSmoothing", help="A mean over frames.")
    declare_references(register)


def scaled_noise(gamma: float, ratio: float = 0.0, inner: DeclaredNoise | None = None) -> NoiseSampler:
    """``ScaledNoise`` of ``SharedNoise(ratio)``: section 3.5, both techniques; or of another noise, ``inner``."""
    from jvid.noise import ScaledNoise, SharedNoise

    if inner is not None and ratio:
        raise InputError(f"ratio={ratio:g} beside inner: the ratio is that of shared noise, leave one out")
    return ScaledNoise(SharedNoise(ratio) if inner is None else inner, gamma)


def zero_terminal_snr(of: str = "scaled-linear", **options: Any) -> TabulatedSchedule:
    """The tabulated schedule named ``of``, rescaled (Lin et al. 2023, arXiv 2305.08891)."""
    from jvid.plugins.registry import load

    schedule: TabulatedSchedule = load("schedule", of, **options)
    return schedule.zero_terminal_snr()
