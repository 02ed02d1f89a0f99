"""The experts of a `JVIDPipeline` by name, and the ensemble of them for the options of one call.

What a pipeline does at a size is learned when a call first needs it: not before its networks are where they are evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from jvid.ensemble import Ensemble, Source
from jvid.errors import InputError, located
from jvid.plugins.choice import Choice
from jvid.strategy import Strategy
from jvid_models.adapters.pipelines import PipelineDenoiser
from jvid_models.diffusion_pipeline.options import CallOptions
from jvid_models.diffusion_pipeline.sources import PipelineExpert, source_of, sources_of
from jvid_models.ensembles.native import pipeline_of
from jvid_models.ensembles.pipeline_codec import PipelineCodec
from jvid_models.ensembles.pipelines import own_run

__all__ = ["Experts", "begins", "experts_of"]


@attrs.frozen(eq=False)
class Experts:
    """Experts by name and what surrounds them.

    Attributes:
        sources: by name: a `PipelineExpert`, or anything that ``jvid.load("ensemble", NAME=...)`` takes.
        around: of the whole, as of ``jvid.load``: text, codec, shape, fps, schedule, same_space, device, dtype.
        whole: whether the one source is a pipeline with its own experts.
        given: the ensemble that the experts are of, where one was given.
    """

    sources: Mapping[str, Any]
    around: Mapping[str, Any] = attrs.field(factory=dict)
    whole: bool = False
    given: Ensemble | None = None

    @property
    def pipelines(self) -> dict[str, PipelineExpert]:
        """The experts that are pipelines; one that is two experts has the name of the first."""
        found: dict[str, PipelineExpert] = {}
        for name, each in self.sources.items():
            if isinstance(each, PipelineExpert) and not any(each is other for other in found.values()):
                found[name] = each
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the experts."""
        if self.whole:
            return next(iter(self.pipelines.values())).own_names
        return tuple(self.sources)

    @property
    def strategy(self) -> Strategy | None:
        """The recommended strategy: the ensemble's, or the own run of a pipeline that is alone."""
        if self.given is not None:
            return self.given.strategy
        (name, first), *others = self.sources.items()
        if others or not isinstance(first, PipelineExpert):
            return None
        own = own_run(first.denoiser)
        return own if self.whole else attrs.evolve(own, selector=Choice("always", {"name": name}))

    def ensemble(
        self, options: CallOptions, inputs: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Ensemble:
        """The ensemble for one call.

        Args:
            options: of the call.
            inputs: pictures, clips and tensors by expert, for its pipeline's call.

        Raises:
            InputError: options that no expert has, experts that there are not, or a pipeline that is not understood.
        """
        options.check(self.names)
        denoisers = [each.denoiser for each in self.pipelines.values()]
        if unknown := options.unknown(denoisers):
            raise InputError(f"{unknown[0]}: no expert's pipeline takes it, leave it out")
        read = self.names if self.whole else tuple(self.pipelines)
        if unknown := [name for name in inputs or {} if name not in read]:
            raise InputError(f"inputs for {unknown[0]!r}: expected experts of {', '.join(read)}")
        made: dict[int, Any] = {}
        for name, each in self.sources.items():
            if isinstance(each, PipelineExpert) and id(each) not in made:
                names = self.names if self.whole else (name,)
                with located(f"expert {name!r}"):
                    further = {
                        key: value for one in names for key, value in (inputs or {}).get(one, {}).items()
                    }
                    own = {**options.of(each.denoiser, names), **further}
                    made[id(each)] = each.ensemble(own)
        parts = {name: made.get(id(each), each) for name, each in self.sources.items()}
        if self.whole:
            return next(iter(made.values()))
        if self.given is not None and not made:
            return self.given
        return self._composed(parts)

    def stored_around(self) -> dict[str, Any]:
        """What surrounds the experts, as plain values.

        Raises:
            InputError: an ensemble was given with a codec or a reference schedule that is no pipeline's.
        """
        if self.given is None:
            return {key: value for key, value in self.around.items() if key not in ("device", "dtype")}
        if self.given.has_codec and not isinstance(self.given.codec, PipelineCodec):
            raise InputError(
                f"the codec is a {type(self.given.codec).__name__}: only a pipeline's own is saved"
            )
        if self.given.times is None:
            raise InputError("the ensemble has a reference schedule of its own: only a pipeline's is saved")
        return {"fps": self.given.fps, "same_space": self.given.same_space}

    @property
    def source(self) -> Source:
        """The experts and what surrounds them as a plain value.

        Raises:
            InputError: an option of the whole that there is not.
        """
        around = {key: value for key, value in self.around.items() if key not in ("device", "dtype")}
        if isinstance(around.get("text"), str):
            around["text"] = {"*": around["text"]}
        texts = {
            name: str(each) if isinstance(each, str | Path) else type(each).__name__
            for name, each in self.sources.items()
        }
        return Source.from_plain({**around, "experts": texts})

    def _composed(self, parts: Mapping[str, Any]) -> Ensemble:
        place = {key: value for key, value in self.around.items() if key in ("device", "dtype")}
        loaded = {name: each for name, each in parts.items() if not isinstance(each, str | Path)}
        made = self.source.load(**place, given=loaded)
        return made if self.given is None else _surrounded(made, self.given)


def _surrounded(made: Ensemble, given: Ensemble) -> Ensemble:
    """Members for one call with what surrounded those that were given."""
    codec = given.codec if given.has_codec else None
    return Ensemble(
        made.members,
        made.shape,
        fps=given.fps,
        codec=made.codec if isinstance(codec, PipelineCodec) else codec,
        schedule=made.schedule if given.times is not None else given.schedule,
        space=given.space,
        frames=given.frames,
        prompts=given.prompts,
        name=given.name,
        same_space=given.same_space,
        times=made.times if given.times is not None else None,
        clean=made.clean,
    )


def begins(ensemble: Ensemble) -> tuple[str, PipelineDenoiser] | None:
    """The expert whose pipeline draws the first latents: the first of clips, or else the first; None without pipelines."""
    found = [(name, pipeline_of(member), member) for name, member in ensemble.members.items()]
    pipes = [(name, pipe, member) for name, pipe, member in found if pipe is not None]
    pipes.sort(key=lambda each: each[2].denoises != "clips")
    return (pipes[0][0], pipes[0][1]) if pipes else None


def experts_of(given: Any, options: Mapping[str, Mapping[str, Any]], around: Mapping[str, Any]) -> Experts:
    """The experts of what a `JVIDPipeline` is made of; arguments as of it.

    Raises:
        InputError: something else, or options that do not fit it.
    """
    place = {key: value for key, value in around.items() if key in ("device", "dtype")}
    if isinstance(given, Experts):
        return given
    if isinstance(given, Ensemble):
        if around:
            raise InputError(f"{next(iter(around))} of an ensemble: it has its own, leave it out")
        return Experts(sources_of(given.members, options, {}), given=given)
    if isinstance(given, Mapping):
        if not given:
            raise InputError("no experts: expected at least one, by name")
        experts = Experts(sources_of(given, options, place), around)
        _ = experts.source  # a wrong option is reported now
        return experts
    own = {key: value for key, value in around.items() if key not in place}
    source = source_of("pipeline", given, own, place)
    if not isinstance(source, PipelineExpert):
        raise InputError(
            f"got {given!r}: expected a pipeline of diffusers or its folder, experts by name, or an Ensemble"
        )
    return Experts({"pipeline": source}, whole=True)
