"""The options of one call of a `JVIDPipeline`, and what they are for each expert's own pipeline.

guidance_scale=5               every expert
guidance_scale={"image": 7}    one; an expert that its pipeline guides, or one behind the wrapper ``guided``
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from jvid.ensemble import Ensemble
from jvid.errors import InputError, located
from jvid.strategy import Guidance, Strategy
from jvid.strategy.shorthand import with_guidance
from jvid_models.adapters.pipelines import PipelineDenoiser
from jvid_models.adapters.pipelines.frames import frame_rule_of
from jvid_models.adapters.pipelines.guidance import scale_name
from jvid_models.ensembles.native import guides_itself
from jvid_models.ensembles.split import HIGH, LOW, SECOND_SCALE, has_two

__all__ = ["CallOptions"]

_SIZES = ("height", "width", "num_frames")


def _scales(value: Any) -> Any:
    if value is None or isinstance(value, tuple):
        return value
    if isinstance(value, Mapping):
        return tuple((str(name), _scale(each)) for name, each in value.items())
    return _scale(value)


def _scale(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"guidance_scale {value!r}: expected a number, or numbers by expert")
    return float(value)


@attrs.frozen
class CallOptions:
    """Options of a call that an expert's pipeline may have; None leaves each pipeline its own.

    Attributes:
        height: in pixels.
        width: in pixels.
        num_frames: of the clip.
        negative_prompt: of every expert.
        guidance_scale: of every expert, or by expert.

    Raises:
        InputError: a value of another form.
    """

    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    negative_prompt: str | None = None
    guidance_scale: float | tuple[tuple[str, float], ...] | None = attrs.field(
        default=None, converter=_scales
    )

    def __attrs_post_init__(self) -> None:
        for name in _SIZES:
            value: object = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise InputError(f"{name} {value!r}: expected a whole number, 1 or more")
        text: object = self.negative_prompt
        if not isinstance(text, str | None):
            raise InputError(f"negative_prompt {text!r}: expected one text, for all prompts")

    def scale(self, expert: str) -> float | None:
        """The guidance scale that is stated for an expert."""
        if isinstance(self.guidance_scale, tuple):
            return dict(self.guidance_scale).get(expert)
        return self.guidance_scale

    def check(self, experts: Sequence[str]) -> None:
        """Refuse guidance of experts that there are not."""
        if isinstance(self.guidance_scale, tuple):
            for name, _ in self.guidance_scale:
                if name not in experts:
                    raise InputError(f"guidance_scale names {name!r}: expected {', '.join(experts)}")

    def of(self, denoiser: PipelineDenoiser, names: Sequence[str]) -> dict[str, Any]:
        """The options of one pipeline's call; what it does not have is left out.

        Args:
            denoiser: of the pipeline, with its own options.
            names: of the experts that it is.

        Raises:
            InputError: a number of frames that its autoencoder does not decode.
        """
        call, options = denoiser.call, dict(denoiser.options)
        stated: dict[str | None, Any] = {
            "height": self.height,
            "width": self.width,
            "negative_prompt": self.negative_prompt,
            call.frames_name: self.num_frames,
        }
        options |= {
            key: value
            for key, value in stated.items()
            if key is not None and value is not None and key in call.parameters
        }
        if self.num_frames is not None and call.frames_name is not None:
            with located(call.who):
                frame_rule_of(denoiser.pipe).latents(self.num_frames)
        return self._guided(denoiser, names, options)

    def _guided(
        self, denoiser: PipelineDenoiser, names: Sequence[str], options: dict[str, Any]
    ) -> dict[str, Any]:
        two = has_two(denoiser.pipe)
        scale = self.scale(HIGH if two else names[0])
        if two and isinstance(self.guidance_scale, float):
            options.pop(SECOND_SCALE, None)  # one number is that of both
        elif two and (low := self.scale(LOW)) is not None:
            options[SECOND_SCALE] = low
        name = scale_name(denoiser.call)
        if scale is not None and name is not None:
            options[name] = scale
        return options

    def guided(self, strategy: Strategy, ensemble: Ensemble) -> Strategy:
        """The strategy with the stated scales for the experts that their pipelines do not guide."""
        scales: dict[str, float | Guidance] = {}
        for name, member in ensemble.members.items():
            scale = None if guides_itself(member) else self.scale(name)
            if scale is not None and (member.conditioner is not None or self.guidance_scale != scale):
                scales[name] = max(scale, 1.0)  # at 1 and below pipelines do not guide
        return with_guidance(strategy, scales, ensemble.default_wrappers) if scales else strategy

    def unknown(self, denoisers: Sequence[PipelineDenoiser]) -> list[str]:
        """The options that none of these pipelines has; without pipelines the number of frames is the ensemble's."""
        taken = {name for each in denoisers for name in each.call.parameters}
        if not denoisers or any(each.call.frames_name for each in denoisers):
            taken.add("num_frames")
        return [
            name
            for name in (*_SIZES, "negative_prompt")
            if getattr(self, name) is not None and name not in taken
        ]
