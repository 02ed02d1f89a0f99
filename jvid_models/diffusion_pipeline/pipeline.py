"""An ensemble and a strategy as a diffusers pipeline.

    pipe = JVIDPipeline({"video": "models/modelscope", "image": sd}, "strategy.json").to("cuda")
    made = pipe("a fox in the snow", num_frames=16, num_inference_steps=30, generator=torch.Generator().manual_seed(0))
    export_to_video(made.frames[0], "fox.mp4", fps=made.fps)

    pipe.save_pretrained("fox")
    pipe = JVIDPipeline.from_pretrained("fox", dtype=torch.bfloat16)

The base class's ``DiffusionPipeline.from_pretrained`` does not load such a folder: it finds classes of diffusers alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import attrs
import torch
from torch import Tensor

from jvid.core.protocols import DeclaresExperts
from jvid.ensemble import Composition, Ensemble
from jvid.errors import InputError
from jvid.extras import extra
from jvid.strategy import Strategy
from jvid_models.diffusion_pipeline import folder
from jvid_models.diffusion_pipeline.devices import PipelineDevices
from jvid_models.diffusion_pipeline.experts import Experts, experts_of
from jvid_models.diffusion_pipeline.loading import read_folder
from jvid_models.diffusion_pipeline.options import CallOptions
from jvid_models.diffusion_pipeline.output import JVIDPipelineOutput, as_frames, check_output_type
from jvid_models.diffusion_pipeline.run import Callback, as_generators, sampled

with extra("models"):
    from diffusers import DiffusionPipeline
    from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback

__all__ = ["JVIDPipeline"]


class JVIDPipeline(PipelineDevices, DiffusionPipeline):
    """A ``DiffusionPipeline`` that holds named experts and a strategy.

    Args:
        experts: a pipeline or its folder, with its own run as the default strategy; a mapping of experts by name, of pipelines,
            folders and whatever ``jvid.load("ensemble", NAME=...)`` takes; or an `Ensemble`.
        strategy: a `Strategy`, its values, or its file; None is the recommended one of an ensemble or of a pipeline alone.
        options: by expert, of its pipeline's calls: guidance_scale, negative_prompt, height, width, num_frames, ..., and
            inputs, seed, untested, native and fps as of ``jvid.load("ensemble", FOLDER, ...)``.
        around: of a mapping, as of ``jvid.load``: text, codec, shape, fps, schedule, same_space, device and dtype; of one
            pipeline, its options.

    Raises:
        InputError: experts that are none, options that they refuse, no strategy for several, or one of other experts.
        MissingDependencyError: a folder that is not there, or whose class needs a package that is not installed.

    A pipeline whose network or scheduler is replaced by another one later is a new `JVIDPipeline`; weights, adapters and hooks
    may change.
    """

    config_name = folder.DOCUMENT
    _callback_tensor_inputs = ("latents",)

    def __init__(
        self,
        experts: Any,
        strategy: Strategy | Mapping[str, Any] | str | Path | None = None,
        *,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        **around: Any,
    ) -> None:
        self.register_to_config()  # type: ignore[attr-defined]
        self._experts: Experts = experts_of(experts, options or {}, around)
        self._interrupt = False
        self._ensembles = lru_cache(maxsize=4)(self._experts.ensemble)
        self.strategy = strategy

    @property
    def experts(self) -> Experts:
        """What it is made of."""
        return self._experts

    @property
    def pipelines(self) -> dict[str, Any]:
        """The experts' pipelines by name, each once: ``pipe.pipelines["video"].load_lora_weights(...)``."""
        return {name: each.denoiser.pipe for name, each in self._experts.pipelines.items()}

    @property
    def ensemble(self) -> Ensemble:
        """The ensemble at the experts' own options."""
        found: Ensemble = self._ensembles(CallOptions())
        return found

    @property
    def strategy(self) -> Strategy:
        """How the experts are sampled; it may be replaced."""
        return self._strategy

    @strategy.setter
    def strategy(self, given: Strategy | Mapping[str, Any] | str | Path | None) -> None:
        """Replace the strategy; None is the recommended one."""
        names = self._experts.names
        stated: Any = self._experts.strategy if given is None else given
        if isinstance(stated, str | Path):
            stated = Strategy.load(stated)
        elif isinstance(stated, Mapping):
            stated = Strategy.from_dict(stated)
        if not isinstance(stated, Strategy):
            raise InputError(
                f"strategy {given!r} for the experts {', '.join(names)}: expected one, such as "
                f"jvid.Strategy('cycle:experts={'+'.join(names)}', 'ddim', 'native', steps=30)"
            )
        selector = Composition(stated).selector
        declared = selector.experts if isinstance(selector, DeclaresExperts) else ()
        if unknown := [name for name in declared if name not in names]:
            raise InputError(f"the strategy selects expert {unknown[0]!r}: expected {', '.join(names)}")
        self._strategy = stated
        experts = {name: folder.kind_of(each) for name, each in self._experts.sources.items()}
        self.register_to_config(experts=experts, strategy=stated.to_dict())  # type: ignore[attr-defined]

    @property
    def interrupt(self) -> bool:
        """Whether the run ends after the step that it is in; a callback sets ``pipe._interrupt = True``."""
        return self._interrupt

    def forget(self) -> None:
        """Forget what was learned of the pipelines; the next call learns it anew."""
        self._ensembles.cache_clear()

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] = "",
        negative_prompt: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | Mapping[str, float] | None = None,
        num_videos_per_prompt: int = 1,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "np",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        inputs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> JVIDPipelineOutput | tuple[Any, ...]:
        """Make clips.

        Args:
            prompt: one, or one a clip.
            negative_prompt: of all clips; None is each expert's own.
            height: in pixels; None is each expert's own, as with ``width`` and ``num_frames``.
            width: in pixels.
            num_frames: as many as the video model's autoencoder can decode, 4k + 1 say.
            num_inference_steps: None is the strategy's.
            guidance_scale: of all experts, or by expert. It is an option of those that their pipelines guide, and the scale of
                the wrapper ``guided`` of the others.
            num_videos_per_prompt: clips of each prompt.
            generator: one for all clips, or one each. The first latents are drawn of it as by the first pipeline of clips, then a
                seed a clip if the solver draws noise. Without one, torch's global generator seeds one.
            latents: the first latents, as that pipeline takes them.
            output_type: "np" ``(b f H W 3)`` and "pt" ``(b f 3 H W)`` in [0, 1], "pil" lists of pictures, or "latent"
                ``(b c f h w)``.
            return_dict: false returns ``(frames,)``.
            callback_on_step_end: called with the pipeline, the step, its timestep and ``{"latents": (b c f h w)}`` after each
                step; the "latents" that it returns are those of the next one.
            callback_on_step_end_tensor_inputs: "latents" alone.
            inputs: pictures, clips and tensors by expert, for its pipeline's call.

        Raises:
            InputError: an argument that the experts do not take, or a pipeline that is not understood.
        """
        check_output_type(output_type)
        if isinstance(callback_on_step_end, PipelineCallback | MultiPipelineCallbacks):
            callback_on_step_end_tensor_inputs = callback_on_step_end.tensor_inputs
        if unknown := [name for name in callback_on_step_end_tensor_inputs if name != "latents"]:
            raise InputError(
                f"callback_on_step_end_tensor_inputs names {unknown[0]!r}: expected 'latents' alone"
            )
        if not isinstance(prompt, str | list | tuple) or not all(isinstance(each, str) for each in prompt):
            raise InputError(f"prompt {prompt!r}: expected a text, or a list of texts")
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        prompts = [text for text in prompts for _ in range(num_videos_per_prompt)]
        generators = as_generators(generator, len(prompts))
        options = CallOptions(height, width, num_frames, negative_prompt, guidance_scale)
        ensemble = self._experts.ensemble(options, inputs) if inputs else self._ensembles(options)
        strategy = self.strategy
        if num_inference_steps is not None:
            strategy = attrs.evolve(strategy, steps=num_inference_steps)
        composition = Composition(options.guided(strategy, ensemble), ensemble)
        self._interrupt = False
        try:
            found = sampled(self, composition, prompts, generators, latents, num_frames, callback_on_step_end)
            frames = as_frames(ensemble, found, output_type)
        finally:
            self.maybe_free_model_hooks()
        return JVIDPipelineOutput(frames, ensemble.fps) if return_dict else (frames,)

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Write the experts' pipelines, the strategy and the options to a new folder, whole or not at all.

        Args:
            save_directory: of the folder; it is not there, or empty.
            kwargs: ``variant`` and ``max_shard_size``, as of ``DiffusionPipeline.save_pretrained``.

        Raises:
            InputError: an expert that is no pipeline, an option that is no plain value, or a folder that cannot be written.
        """
        folder.save(save_directory, self._experts, self.strategy, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Load the folder that ``save_pretrained`` wrote; weights are read from safetensors only.

        Args:
            pretrained_model_name_or_path: the folder; that of one pipeline of diffusers, too.
            kwargs: ``dtype``, ``device``, and ``strategy`` in the place of the folder's. Variants such as fp16 are found.

        Raises:
            MissingDependencyError: no such folder, or a class needs a package that is not installed.
            InputError: a folder of a newer format, or that is damaged.
        """
        strategy = kwargs.pop("strategy", None)
        experts, own = read_folder(pretrained_model_name_or_path, **kwargs)
        return cls(experts, own if strategy is None else strategy)
