"""jvid: diffusion models of one latent space take turns inside one reverse diffusion.

Names are exported lazily (PEP 562): ``import jvid`` loads neither torch nor numpy; the first use
of a name loads its module.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jvid import paper as paper
    from jvid.bridged import Bridged as Bridged
    from jvid.cached import Cached as Cached
    from jvid.choices import Choice as Choice
    from jvid.conditions import PerFrame as PerFrame
    from jvid.corrected import Corrected as Corrected
    from jvid.errors import InputError as InputError
    from jvid.errors import JvidError as JvidError
    from jvid.errors import JvidWarning as JvidWarning
    from jvid.errors import MissingDependencyError as MissingDependencyError
    from jvid.errors import NonFiniteError as NonFiniteError
    from jvid.errors import PluginError as PluginError
    from jvid.errors import PluginWarning as PluginWarning
    from jvid.errors import UnknownNameError as UnknownNameError
    from jvid.framewise import Framewise as Framewise
    from jvid.grids import ByAngle as ByAngle
    from jvid.grids import Explicit as Explicit
    from jvid.grids import Karras as Karras
    from jvid.grids import Leading as Leading
    from jvid.grids import Linspace as Linspace
    from jvid.grids import Trailing as Trailing
    from jvid.grids import Zigzag as Zigzag
    from jvid.guidance import Guidance as Guidance
    from jvid.guided import Guided as Guided
    from jvid.keyed import keyed_normal as keyed_normal
    from jvid.known import Known as Known
    from jvid.noise import IndependentNoise as IndependentNoise
    from jvid.noise import MixedNoise as MixedNoise
    from jvid.noise import OffsetNoise as OffsetNoise
    from jvid.noise import ProgressiveNoise as ProgressiveNoise
    from jvid.noise import ScaledNoise as ScaledNoise
    from jvid.noise import SharedNoise as SharedNoise
    from jvid.pair import Pair as Pair
    from jvid.parameterized import Parameterized as Parameterized
    from jvid.plan import Plan as Plan
    from jvid.plotting import plot_plan as plot_plan
    from jvid.preconditioned import Preconditioned as Preconditioned
    from jvid.protocols import Condition as Condition
    from jvid.protocols import Denoise as Denoise
    from jvid.protocols import Denoiser as Denoiser
    from jvid.protocols import Draw as Draw
    from jvid.protocols import LatentPostprocessor as LatentPostprocessor
    from jvid.protocols import Noise as Noise
    from jvid.protocols import NoiseSampler as NoiseSampler
    from jvid.protocols import NoiseSchedule as NoiseSchedule
    from jvid.protocols import Selector as Selector
    from jvid.protocols import Solver as Solver
    from jvid.registry import Registry as Registry
    from jvid.registry import load as load
    from jvid.registry import names as names
    from jvid.sampler import Sampler as Sampler
    from jvid.schedules import FlowMatching as FlowMatching
    from jvid.schedules import TabulatedSchedule as TabulatedSchedule
    from jvid.schedules import VarianceExploding as VarianceExploding
    from jvid.selectors import Always as Always
    from jvid.selectors import Blend as Blend
    from jvid.selectors import Boundary as Boundary
    from jvid.selectors import Cycle as Cycle
    from jvid.selectors import PiecewiseAffine as PiecewiseAffine
    from jvid.selectors import Random as Random
    from jvid.selectors import Table as Table
    from jvid.smoothing import GaussianSmoothing as GaussianSmoothing
    from jvid.smoothing import TemporalSmoothing as TemporalSmoothing
    from jvid.smoothing import UniformSmoothing as UniformSmoothing
    from jvid.solvers import DDIM as DDIM
    from jvid.solvers import DDPM as DDPM
    from jvid.solvers import DPMPP2M as DPMPP2M
    from jvid.solvers import DPMPP2MSDE as DPMPP2MSDE
    from jvid.solvers import PNDM as PNDM
    from jvid.solvers import Euler as Euler
    from jvid.solvers import EulerAncestral as EulerAncestral
    from jvid.solvers import Heun as Heun
    from jvid.solvers import UniPC as UniPC
    from jvid.spaces import LatentSpace as LatentSpace
    from jvid.state import State as State
    from jvid.step import Expert as Expert
    from jvid.step import Level as Level
    from jvid.step import Step as Step
    from jvid.strategy import NoiseShape as NoiseShape
    from jvid.strategy import Strategy as Strategy
    from jvid.windowed import Windowed as Windowed

__version__ = "0.1.0"

# One line a module, for the interpreter; the imports above say the same to type checkers, and a
# test holds the two together.
_MODULES = {
    "bridged": ("Bridged",),
    "cached": ("Cached",),
    "choices": ("Choice",),
    "conditions": ("PerFrame",),
    "corrected": ("Corrected",),
    "errors": (
        "InputError", "JvidError", "JvidWarning", "MissingDependencyError", "NonFiniteError", "PluginError",
        "PluginWarning", "UnknownNameError",
    ),
    "framewise": ("Framewise",),
    "grids": ("ByAngle", "Explicit", "Karras", "Leading", "Linspace", "Trailing", "Zigzag"),
    "guidance": ("Guidance",),
    "guided": ("Guided",),
    "keyed": ("keyed_normal",),
    "known": ("Known",),
    "noise": (
        "IndependentNoise", "MixedNoise", "OffsetNoise", "ProgressiveNoise", "ScaledNoise", "SharedNoise",
    ),
    "pair": ("Pair",),
    "parameterized": ("Parameterized",),
    "plan": ("Plan",),
    "plotting": ("plot_plan",),
    "preconditioned": ("Preconditioned",),
    "protocols": (
        "Condition", "Denoise", "Denoiser", "Draw", "LatentPostprocessor", "Noise", "NoiseSampler",
        "NoiseSchedule", "Selector", "Solver",
    ),
    "registry": ("Registry", "load", "names"),
    "sampler": ("Sampler",),
    "schedules": ("FlowMatching", "TabulatedSchedule", "VarianceExploding"),
    "selectors": ("Always", "Blend", "Boundary", "Cycle", "PiecewiseAffine", "Random", "Table"),
    "smoothing": ("GaussianSmoothing", "TemporalSmoothing", "UniformSmoothing"),
    "solvers": ("DDIM", "DDPM", "DPMPP2M", "DPMPP2MSDE", "PNDM", "Euler", "EulerAncestral", "Heun", "UniPC"),
    "spaces": ("LatentSpace",),
    "state": ("State",),
    "step": ("Expert", "Level", "Step"),
    "strategy": ("NoiseShape", "Strategy"),
    "windowed": ("Windowed",),
}  # fmt: skip
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = ["__version__", "paper", *_HOME]


def __getattr__(name: str) -> Any:
    if name == "paper":
        return importlib.import_module("jvid.paper")
    if name not in _HOME:
        raise AttributeError(f"module 'jvid' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jvid.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
