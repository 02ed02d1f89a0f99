"""What a `JVIDPipeline` is made of: pipelines that are called with other options at each call, and experts of other origin.

JVIDPipeline(pipe)                                a pipeline with its own experts
JVIDPipeline({"video": pipe, "image": other})     pipelines, folders, denoisers, ensembles of one
JVIDPipeline(ensemble, strategy)                  an ensemble of any origin
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from jvid.ensemble import Ensemble, Member
from jvid.errors import InputError, located
from jvid.plugins.choice import Choice
from jvid_models.adapters.pipelines import PipelineDenoiser, from_folder, from_pipeline
from jvid_models.adapters.pipelines.folders import is_pipeline_folder
from jvid_models.adapters.pipelines.shared import SharedParts
from jvid_models.adapters.precision import precision
from jvid_models.ensembles.native import own_wrappers, pipeline_of
from jvid_models.ensembles.pipelines import ensemble_of
from jvid_models.ensembles.split import HIGH, LOW, has_two

__all__ = ["PipelineExpert", "source_of", "sources_of"]

_OWN = ("native", "fps", "wrappers")


@attrs.frozen(eq=False)
class PipelineExpert:
    """A pipeline and the options of its calls.

    Attributes:
        denoiser: of the pipeline; it is not evaluated, only those of each call's options are.
        native: jvid's own adapter where it has one for the class.
        fps: frames per second; None is those of the class.
        wrappers: the default stack; None is the pipeline's own guidance.
    """

    denoiser: PipelineDenoiser
    native: bool = True
    fps: float | None = None
    wrappers: tuple[Choice, ...] | None = None

    @property
    def own_names(self) -> tuple[str, ...]:
        """The names of the pipeline's own experts."""
        if has_two(self.denoiser.pipe):
            return HIGH, LOW
        return ("video",) if self.denoiser.denoises == "clips" else ("image",)

    def ensemble(self, options: Mapping[str, Any]) -> Ensemble:
        """The ensemble of the pipeline alone, called with these options."""
        tuned = attrs.evolve(self.denoiser, options=options)
        return ensemble_of(tuned, native=self.native, fps=self.fps, wrappers=self.wrappers)


def source_of(
    name: str,
    given: Any,
    options: Mapping[str, Any],
    place: Mapping[str, Any],
    shared: SharedParts | None = None,
) -> Any:
    """An expert's source: a `PipelineExpert` wherever a pipeline is behind what is given, else that itself.

    Args:
        name: of the expert.
        given: a pipeline or its folder; or what else ``jvid.load("ensemble", NAME=...)`` takes.
        options: of the pipeline's call, and ``inputs``, ``seed``, ``untested``, ``native`` and ``fps``.
        place: ``device`` and ``dtype`` of networks that are loaded from a folder.
        shared: the parts of other experts' folders, which take the place of equal ones but for those that take LoRA.

    Raises:
        InputError: options of what is no pipeline, or those that it refuses.
        MissingDependencyError: a folder whose class needs a package that is not installed.
    """
    own = {key: value for key, value in options.items() if key in _OWN}
    further = {key: value for key, value in options.items() if key not in _OWN}
    with located(f"expert {name!r}"):
        if isinstance(given, PipelineExpert):
            return given
        if isinstance(given, str | Path) and is_pipeline_folder(given):
            device, dtype = place.get("device", "cpu"), precision(place.get("dtype", "float32"))
            read = from_folder(given, shared, device=device, dtype=dtype, adaptable=True, **further)
            return PipelineExpert(read, **own)
        if hasattr(given, "components") and not callable(getattr(given, "schedule", None)):
            return PipelineExpert(from_pipeline(given, **further), **own)
        if options:
            raise InputError(f"options {', '.join(options)} for what is no pipeline: leave them out")
    return _behind(name, given)


def _behind(name: str, given: Any) -> Any:
    """The pipeline behind an ensemble, or a member of one, where there is one."""
    member, fps = given, None
    if isinstance(given, Ensemble):
        if name not in given.members and len(given.members) > 1:
            return given
        member, fps = given.member(name if name in given.members else given.experts[0]), given.fps
    pipe = pipeline_of(member) if isinstance(member, Member) else None
    if pipe is None:
        return given
    native = not isinstance(member.denoiser, PipelineDenoiser)
    own = own_wrappers(pipe) if native else ()
    return PipelineExpert(pipe, native, fps, None if member.wrappers == own else member.wrappers)


def sources_of(
    experts: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], place: Mapping[str, Any]
) -> dict[str, Any]:
    """The sources of experts by name; one pipeline under two names is one source, equal parts of folders are one.

    Raises:
        InputError: options of an expert that there is not; or as of `source_of`.
    """
    if unknown := [name for name in options if name not in experts]:
        raise InputError(f"options of expert {unknown[0]!r}: expected {', '.join(experts)}")
    found: dict[str, Any] = {}
    shared = SharedParts()
    for name, given in experts.items():
        own = options.get(name, {})
        same = next((n for n in found if experts[n] is given and options.get(n, {}) == own), None)
        found[name] = found[same] if same is not None else source_of(name, given, own, place, shared)
    return found
