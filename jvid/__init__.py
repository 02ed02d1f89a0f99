"""jvid: diffusion models of one latent space take turns inside one reverse diffusion.

Names are exported lazily (PEP 562): ``import jvid`` loads neither torch nor numpy; the first use
of a name loads its module.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jvid import paper as paper
    from jvid.core.bridged import Bridged as Bridged
    from jvid.core.conditions import PerFrame as PerFrame
    from jvid.core.keyed import keyed_normal as keyed_normal
    from jvid.core.plan import Plan as Plan
    from jvid.core.protocols import Condition as Condition
    from jvid.core.protocols import Denoise as Denoise
    from jvid.core.protocols import Denoiser as Denoiser
    from jvid.core.protocols import Draw as Draw
    from jvid.core.protocols import Expert as Expert
    from jvid.core.protocols import LatentPostprocessor as LatentPostprocessor
    from jvid.core.protocols import Level as Level
    from jvid.core.protocols import Noise as Noise
    from jvid.core.protocols import NoiseSampler as NoiseSampler
    from jvid.core.protocols import NoiseSchedule as NoiseSchedule
    from jvid.core.protocols import Selector as Selector
    from jvid.core.protocols import Solver as Solver
    from jvid.core.protocols import Step as Step
    from jvid.core.sampler import Sampler as Sampler
    from jvid.core.spaces import LatentSpace as LatentSpace
    from jvid.core.state import State as State
    from jvid.denoisers.cached import Cached as Cached
    from jvid.denoisers.corrected import Corrected as Corrected
    from jvid.denoisers.framewise import Framewise as Framewise
    from jvid.denoisers.guided import Guided as Guided
    from jvid.denoisers.known import Known as Known
    from jvid.denoisers.parameterized import Parameterized as Parameterized
    from jvid.denoisers.preconditioned import Preconditioned as Preconditioned
    from jvid.denoisers.windowed import Windowed as Windowed
    from jvid.ensemble import Pair as Pair
    from jvid.errors import InputError as InputError
    from jvid.errors import JvidError as JvidError
    from jvid.errors import JvidWarning as JvidWarning
    from jvid.errors import MissingDependencyError as MissingDependencyError
    from jvid.errors import NonFiniteError as NonFiniteError
    from jvid.errors import PluginError as PluginError
    from jvid.errors import PluginWarning as PluginWarning
    from jvid.errors import UnknownNameError as UnknownNameError
    from jvid.grids import ByAngle as ByAngle
    from jvid.grids import Explicit as Explicit
    from jvid.grids import Karras as Karras
    from jvid.grids import Leading as Leading
    from jvid.grids import Linspace as Linspace
    from jvid.grids import Trailing as Trailing
    from jvid.grids import Zigzag as Zigzag
    from jvid.noise import IndependentNoise as IndependentNoise
    from jvid.noise import MixedNoise as MixedNoise
    from jvid.noise import OffsetNoise as OffsetNoise
    from jvid.noise import ProgressiveNoise as ProgressiveNoise
    from jvid.noise import ScaledNoise as ScaledNoise
    from jvid.noise import SharedNoise as SharedNoise
    from jvid.plugins.registry import Registry as Registry
    from jvid.plugins.registry import load as load
    from jvid.plugins.registry import names as names
    from jvid.postprocessors import GaussianSmoothing as GaussianSmoothing
    from jvid.postprocessors import TemporalSmoothing as TemporalSmoothing
    from jvid.postprocessors import UniformSmoothing as UniformSmoothing
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
    from jvid.solvers import DDIM as DDIM
    from jvid.solvers import DDPM as DDPM
    from jvid.solvers import DPMPP2M as DPMPP2M
    from jvid.solvers import DPMPP2MSDE as DPMPP2MSDE
    from jvid.solvers import PNDM as PNDM
    from jvid.solvers import Euler as Euler
    from jvid.solvers import EulerAncestral as EulerAncestral
    from jvid.solvers import Heun as Heun
    from jvid.solvers import UniPC as UniPC
    from jvid.strategy.choice import Choice as Choice
    from jvid.strategy.guidance import Guidance as Guidance
    from jvid.strategy.plan_file import load_plan as load_plan
    from jvid.strategy.plan_file import save_plan as save_plan
    from jvid.strategy.strategy import NoiseShape as NoiseShape
    from jvid.strategy.strategy import Strategy as Strategy
    from jvid.views.plan_plot import plot_plan as plot_plan

__version__ = "0.1.0"

# One line a module, for the interpreter; the imports above say the same to type checkers, and a
# test holds the two together.
_MODULES = {
    "core.bridged": ("Bridged",),
    "core.conditions": ("PerFrame",),
    "core.keyed": ("keyed_normal",),
    "core.plan": ("Plan",),
    "core.protocols": (
        "Condition", "Denoise", "Denoiser", "Draw", "LatentPostprocessor", "Noise", "NoiseSampler",
        "NoiseSchedule", "Selector", "Solver", "Expert", "Level", "Step",
    ),
    "core.sampler": ("Sampler",),
    "core.spaces": ("LatentSpace",),
    "core.state": ("State",),
    "denoisers.cached": ("Cached",),
    "denoisers.corrected": ("Corrected",),
    "denoisers.framewise": ("Framewise",),
    "denoisers.guided": ("Guided",),
    "denoisers.known": ("Known",),
    "denoisers.parameterized": ("Parameterized",),
    "denoisers.preconditioned": ("Preconditioned",),
    "denoisers.windowed": ("Windowed",),
    "ensemble": ("Pair",),
    "errors": (
        "InputError", "JvidError", "JvidWarning", "MissingDependencyError", "NonFiniteError",
        "PluginError", "PluginWarning", "UnknownNameError",
    ),
    "grids": ("ByAngle", "Explicit", "Karras", "Leading", "Linspace", "Trailing", "Zigzag"),
    "noise": (
        "IndependentNoise", "MixedNoise", "OffsetNoise", "ProgressiveNoise", "ScaledNoise",
        "SharedNoise",
    ),
    "plugins.registry": ("Registry", "load", "names"),
    "postprocessors": ("GaussianSmoothing", "TemporalSmoothing", "UniformSmoothing"),
    "schedules": ("FlowMatching", "TabulatedSchedule", "VarianceExploding"),
    "selectors": ("Always", "Blend", "Boundary", "Cycle", "PiecewiseAffine", "Random", "Table"),
    "solvers": (
        "DDIM", "DDPM", "DPMPP2M", "DPMPP2MSDE", "PNDM", "Euler", "EulerAncestral", "Heun", "UniPC",
    ),
    "strategy.choice": ("Choice",),
    "strategy.guidance": ("Guidance",),
    "strategy.plan_file": ("load_plan", "save_plan"),
    "strategy.strategy": ("NoiseShape", "Strategy"),
    "views.plan_plot": ("plot_plan",),
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
