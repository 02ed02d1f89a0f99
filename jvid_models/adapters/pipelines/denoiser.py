"""A whole diffusers pipeline as a denoiser: one call of it for one evaluation, its own guidance included.

    x_0 = x_0(x, output, level),      output = what the pipeline hands to scheduler.step at x and t

Networks, text encoders, packing, guidance and the choice of a network by the timestep are the pipeline's own code. jvid's latents
stay in their own precision: x_0 is formed of them and the output by what the scheduler declares the output to be.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.conditions import check_condition, expand_rows
from jvid.core.levels import require_latents, working_dtype
from jvid.core.modules import Parts
from jvid.core.protocols import Condition, NoiseSchedule
from jvid.core.spaces import LatentSpace
from jvid.denoisers.memo import Memo
from jvid.errors import InputError, JvidWarning
from jvid_models.adapters.pipelines.beginning import first_latents
from jvid_models.adapters.pipelines.call import PLAIN, PipelineCall
from jvid_models.adapters.pipelines.clean import clean_latents
from jvid_models.adapters.pipelines.decoding import decoding, joined
from jvid_models.adapters.pipelines.entry import enter
from jvid_models.adapters.pipelines.evaluation import given_back, step_at
from jvid_models.adapters.pipelines.frames import check_frames
from jvid_models.adapters.pipelines.guidance import own_guidance
from jvid_models.adapters.pipelines.kept import KeptOfRuns
from jvid_models.adapters.pipelines.loops import loop_of
from jvid_models.adapters.pipelines.placement import parts_of
from jvid_models.adapters.pipelines.prompts import prompts_of
from jvid_models.adapters.pipelines.setting import Setting, learn, visits_of
from jvid_models.adapters.pipelines.spaces import factors_of, measured_space
from jvid_models.adapters.pipelines.stream import Request, Stream
from jvid_models.adapters.pipelines.turns import in_turn

__all__ = ["PipelineDenoiser"]

# How often the loop is announced; the probe leaves in its first turn. Mochi takes no fewer.
_STEPS = 2


@attrs.frozen(eq=False)
class PipelineDenoiser:
    """The denoiser of a diffusers pipeline; built by `from_pipeline` or `from_folder`.

    Its condition holds "prompt" as `PipelinePrompts` gives it; a pipeline without prompts takes any. What the pipeline does
    at one size is learned when that size is first evaluated.

    Attributes:
        pipe: the pipeline. It is the user's own: weights, adapters and hooks that change are seen by the next call.
        options: further arguments of its call, such as guidance_scale, negative_prompt, image, height, width, num_frames.
        seed: of the draws that the pipeline makes before its loop.
        compared: whether its class was compared with diffusers' own run.
    """

    pipe: Any = attrs.field(eq=False)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    seed: int = 0
    compared: bool = True
    call: PipelineCall = attrs.field(init=False, repr=False)
    _settings: dict[tuple[int, ...], Setting] = attrs.field(init=False, factory=dict, repr=False)
    _kept: KeptOfRuns = attrs.field(init=False, factory=KeptOfRuns, repr=False)
    _rows: Memo[list[Condition]] = attrs.field(init=False, factory=Memo, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "call", PipelineCall(self.pipe, self.options, self.seed))
        check_frames(self.call)

    @property
    def denoises(self) -> str:
        """What the pipeline makes: "clips", or single "frames"."""
        return "clips" if self.call.makes_clips else "frames"

    @property
    def own_guidance(self) -> float:
        """The scale of guidance that is in its answers already; 1 is none."""
        return own_guidance(self.call)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(c, f, h, w)`` of the latents at the size that its options and its defaults give."""
        _, c, f, h, w = self.setting.layout.shape
        return c, f, h, w

    @property
    def schedule(self) -> NoiseSchedule:
        """The schedule that x and t are expressed in, read of the pipeline's scheduler."""
        return self.setting.levels.schedule

    @property
    def space(self) -> LatentSpace:
        """The latent space, measured."""
        return measured_space(self.pipe, self.setting.layout)

    def modules(self) -> Parts:
        """The pipeline's modules that may be moved; its networks by what its loop called, if it was called."""
        called = {name for setting in self._settings.values() for name in setting.networks.names}
        return parts_of(self.pipe, called)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype.

        Raises:
            InputError: latents or a condition that the pipeline does not take, or a level that does not determine x_0.
        """
        require_latents(x, type(self.pipe).__name__)
        check_condition(cond)
        if (t.ndim and not bool((t == t[:1]).all())) or (len(x) > 1 and self.call.has_pictures):
            rows, times = self._each(cond, len(x)), t if t.ndim else t.expand(len(x))
            return torch.cat(
                [self._evaluated(x[i : i + 1], times[i], rows[i], cond, i) for i in range(len(x))]
            )
        return self._evaluated(x, t, cond, cond)

    @in_turn
    def _evaluated(self, x: Tensor, t: Tensor, cond: Condition, batch: Condition, row: int = 0) -> Tensor:
        """x_0 of one call of the pipeline; ``row``: of those of the condition ``batch`` that are evaluated one by one."""
        setting = self.setting_at(tuple(x.shape))
        time = float(t.flatten()[0])
        prompts = self._prompts(cond, len(x))
        kept = self._kept.of(batch, (setting.layout.shape, row), setting.answers).at(time)
        latents = kept.latents(partial(setting.kept_latents, prompts))
        inner = x.to(working_dtype(x))
        scale = setting.levels.scale(time)
        scaled = inner if scale == 1.0 else inner * scale

        arguments = self.call.arguments(prompts, setting.sizes, _STEPS)
        request = Request(
            time,
            setting.levels.presented(time),
            lambda prepared: setting.layout.insert(scaled, prepared),
            lambda call, before: setting.returned(loop_of(self.pipe).scheduler, scaled, call, before, time),
        )
        if setting.streams:
            step = kept.waiting.evaluate(
                lambda: Stream(
                    self.pipe,
                    arguments,
                    kept.answers,
                    request,
                    self.call.steps,
                    setting.manner,
                    setting.skipped,
                ),
                request,
                time,
            )
        else:
            step = step_at(setting, self.pipe, arguments, kept, request.insert, time)
        output = setting.layout.extract(step.output).to(inner)
        x_0 = setting.levels.x_0(loop_of(self.pipe).scheduler, inner[setting.layout.box], output, time)
        return setting.layout.completed(x_0, latents).to(x)

    @in_turn
    def clean(self) -> Tensor | None:
        """The latents ``(1 c f h w)`` of the clip or picture that a run begins from; None where it begins from noise."""
        return clean_latents(self.call, self.setting) if self.call.begins_from_a_clip else None

    def grid(self, steps: int) -> tuple[float, ...]:
        """The ``steps + 1`` times that the pipeline itself visits in so many steps, and where it ends.

        Raises:
            InputError: a number of steps other than that which the options state.
        """
        return self._grid(self.setting, steps)

    @in_turn
    def begin(
        self, shape: Sequence[int], steps: int, cond: Condition, generator: Any = None, latents: Any = None
    ) -> Tensor:
        """The latents ``(b c f h w)`` that the pipeline's own run of ``steps`` steps begins with.

        What it draws on the way there holds for the next run under the same condition.

        Args:
            shape: ``(b, c, f, h, w)``.
            steps: of the run.
            cond: as of an evaluation.
            generator: one, or a list of b; None is of the seed.
            latents: in the place of a draw, as the pipeline's own argument.
        """
        if shape[0] == 1 or not self.call.has_pictures:
            return self._begin(tuple(shape), steps, cond, generator, latents, cond)
        found: list[Tensor] = []
        for i, row in enumerate(self._each(cond, shape[0])):
            own = generator[i] if isinstance(generator, list) else generator
            given = None if latents is None else latents[i : i + 1]
            found.append(self._begin((1, *shape[1:]), steps, row, own, given, cond, i))
        return torch.cat(found)

    def _begin(
        self,
        shape: tuple[int, ...],
        steps: int,
        cond: Condition,
        generator: Any,
        latents: Any,
        batch: Condition,
        row: int = 0,
    ) -> Tensor:
        setting = self.setting_at(shape)
        answers, prompts = setting.answers(), self._prompts(cond, shape[0])
        self._kept.begin(batch, (setting.layout.shape, row), answers)
        arguments = self.call.arguments(prompts, setting.sizes, steps, skips=True)
        given = {"generator": generator, "latents": latents}
        arguments |= {
            name: value for name, value in given.items() if value is not None and name in self.call.parameters
        }
        box = first_latents(self.pipe, setting, arguments, answers, self._grid(setting, steps)[0])
        return setting.layout.completed(box, setting.kept_latents(prompts, answers))

    @in_turn
    def frames(self, latents: Tensor, output_type: str = "np", prompts: list[str] | None = None) -> Any:
        """The pipeline's own decoder and postprocessing of latents ``(b c f h w)``; no network is called.

        Args:
            latents: of one setting.
            output_type: "np", "pt" or "pil", as the pipeline takes it.
            prompts: where the pipeline looks at them behind its loop; plain ones if None.
        """
        require_latents(latents, type(self.pipe).__name__)
        given = prompts or [PLAIN] * len(latents)
        if len(latents) > 1 and self.call.has_pictures:  # each is a call of its own, as it is evaluated
            rows = [
                self.frames(latents[i : i + 1], output_type, prompts and [given[i]])
                for i in range(len(latents))
            ]
            return joined(rows)
        setting = self.setting_at(tuple(latents.shape))
        keeps = setting.layout.kept is not None
        arguments = self.call.arguments(given, setting.sizes, _STEPS, output_type, whole=keeps)
        drive = given_back(setting, latents)
        with setting.networks.replayed(), decoding(setting, latents) as is_whole:
            plain = prompts is None and is_whole
            answers = setting.plain_answers(self.pipe) if plain else setting.answers()
            made = enter(self.pipe, arguments, drive, answers, lambda prepared: prepared)
        return made[0] if isinstance(made, Sequence | Mapping) else made

    @property
    def setting(self) -> Setting:
        """What was learned of one clip at the size that the options give."""
        return self.setting_at(None)

    @in_turn
    def setting_at(self, shape: tuple[int, ...] | None) -> Setting:
        """What was learned of latents of a shape ``(b c f h w)``; None is one clip of the size of the options."""
        for setting in self._settings.values():
            setting.fixed.check()
        if shape is None:
            if () not in self._settings:
                found = learn(self.call, [PLAIN], {})
                self._settings[()] = self._settings[found.layout.shape] = found
            return self._settings[()]
        if shape not in self._settings:
            b, c, f, h, w = shape
            sizes = {} if self.shape == (c, f, h, w) else self.call.sizes((f, h, w), *factors_of(self.pipe))
            found = learn(self.call, [PLAIN] * b, sizes)
            if found.layout.shape != shape:
                raise InputError(
                    f"latents of shape {shape}: {self.call.who} makes {found.layout.shape} of {dict(sizes) or 'its size'}; "
                    "expected a size that it takes"
                )
            self._settings[shape] = found
            self._warn_of_times(found)
        return self._settings[shape]

    def _warn_of_times(self, other: Setting) -> None:
        """Warn of a size at which the pipeline itself would visit other times than at that of the options."""
        steps = self.call.steps or _STEPS
        dynamic = loop_of(self.pipe).scheduler.config.get("use_dynamic_shifting")
        if dynamic and self._grid(other, steps) != self.grid(steps):
            warnings.warn(
                f"{self.call.who} visits other times at {dict(other.sizes)} than at the size of its options, whose times the "
                "grid native has: give it this size among its options for the pipeline's own run",
                JvidWarning,
                stacklevel=2,
            )

    def _each(self, cond: Condition, b: int) -> list[Condition]:
        """The condition of each row of a batch: the same tensors at each evaluation of a run."""
        prompts = cond.get("prompt")
        if prompts is None:
            return [{} for _ in range(b)]
        return self._rows(
            {"prompt": prompts, "rows": b},
            lambda: [{"prompt": row[None].clone()} for row in expand_rows({"prompt": prompts}, b)["prompt"]],
        )

    def _prompts(self, cond: Condition, b: int) -> list[str]:
        """The prompts of a batch."""
        rows = cond.get("prompt")
        if rows is None and "prompt" in self.call.parameters:
            raise InputError(
                f"{self.call.who} needs the condition 'prompt'; got {', '.join(map(repr, cond)) or 'none'}: condition it with "
                "PipelinePrompts()"
            )
        return [""] * b if rows is None else prompts_of(expand_rows({"prompt": rows}, b)["prompt"])

    @in_turn
    def _grid(self, setting: Setting, steps: int) -> tuple[float, ...]:
        if self.call.steps not in (None, steps):
            raise InputError(
                f"{self.call.who} has the option num_inference_steps={self.call.steps}: expected a grid of so many steps; "
                f"got {steps}"
            )
        visits = visits_of(self.call, [PLAIN], setting, steps)
        times = setting.levels.times(visits)
        for t, n in zip(times[:-1], visits.timesteps.tolist(), strict=True):
            if not math.isclose(float(setting.levels.presented(t).timestep), n, rel_tol=1e-4, abs_tol=1e-4):
                raise InputError(
                    f"{self.call.who} visits timestep {n:g} at t {t:.6g}, where its levels have "
                    f"{float(setting.levels.presented(t).timestep):g}: take another number of steps than {steps}"
                )
        return times
