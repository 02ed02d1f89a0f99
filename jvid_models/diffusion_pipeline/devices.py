"""Device, dtype, offloading and tiling of a `JVIDPipeline`: those of its experts' pipelines.

Each call goes to every pipeline. What was learned of them and recorded on another device is forgotten.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import torch

from jvid.errors import InputError
from jvid_models.adapters.pipelines.loops import autoencoder_of

__all__ = ["PipelineDevices"]


class PipelineDevices:
    """The methods of a ``DiffusionPipeline`` that are about where and how its networks run, over several pipelines."""

    @property
    @abstractmethod
    def pipelines(self) -> Mapping[str, Any]:
        """The pipelines by the name of the expert, each once."""

    @abstractmethod
    def forget(self) -> None:
        """Forget what was learned of the pipelines; the next call learns it anew."""

    @property
    def components(self) -> dict[str, Any]:
        """The parts of all pipelines, as ``NAME.PART``."""
        pipes = self.pipelines.items()
        return {f"{name}.{part}": value for name, pipe in pipes for part, value in pipe.components.items()}

    @property
    def device(self) -> torch.device:
        """The device of the first pipeline that is not on the CPU, else the CPU."""
        found = [torch.device(pipe.device) for pipe in self.pipelines.values()]
        return next((device for device in found if device.type != "cpu"), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the first pipeline; float32 where there is none."""
        return next((pipe.dtype for pipe in self.pipelines.values()), torch.float32)

    @property
    def _execution_device(self) -> torch.device:
        return next((pipe._execution_device for pipe in self.pipelines.values()), torch.device("cpu"))

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move every pipeline to a device, a dtype, or both; arguments as of ``DiffusionPipeline.to``."""
        return self._each("to", *args, **kwargs)

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: Any = None) -> None:
        """Keep every network on the CPU but while it is evaluated; a part that pipelines share follows the last of them."""
        self._each("enable_model_cpu_offload", gpu_id, device)

    def enable_sequential_cpu_offload(self, gpu_id: int | None = None, device: Any = None) -> None:
        """Keep every layer on the CPU but while it is evaluated."""
        self._each("enable_sequential_cpu_offload", gpu_id, device)

    def enable_group_offload(self, *args: Any, **kwargs: Any) -> None:
        """Keep groups of layers on the CPU but while they are evaluated."""
        self._each("enable_group_offload", *args, **kwargs)

    def remove_all_hooks(self) -> None:
        """Remove the hooks of offloading."""
        self._each("remove_all_hooks")

    def reset_device_map(self) -> None:
        """Remove device maps."""
        self._each("reset_device_map")

    def maybe_free_model_hooks(self) -> None:
        """Offload every network that a run left on its device; each call ends with it."""
        for pipe in self.pipelines.values():
            pipe.maybe_free_model_hooks()

    def enable_attention_slicing(self, slice_size: Any = "auto") -> None:
        """Compute attention in slices."""
        self._each("enable_attention_slicing", slice_size)

    def disable_attention_slicing(self) -> None:
        """Compute attention as a whole."""
        self._each("disable_attention_slicing")

    def enable_vae_tiling(self) -> None:
        """Decode in tiles."""
        self._autoencoders("enable_tiling")

    def disable_vae_tiling(self) -> None:
        """Decode whole frames."""
        self._autoencoders("disable_tiling")

    def enable_vae_slicing(self) -> None:
        """Decode clip by clip."""
        self._autoencoders("enable_slicing")

    def disable_vae_slicing(self) -> None:
        """Decode batches as a whole."""
        self._autoencoders("disable_slicing")

    def _each(self, method: str, *args: Any, **kwargs: Any) -> Self:
        if not self.pipelines:
            raise InputError(
                f"{method}: none of the experts is a pipeline; give device and dtype to jvid.load where they are loaded"
            )
        for pipe in self.pipelines.values():
            getattr(pipe, method)(*args, **kwargs)
        self.forget()
        return self

    def _autoencoders(self, method: str) -> None:
        for name, pipe in self.pipelines.items():
            vae = autoencoder_of(pipe)
            if not hasattr(vae, method):
                raise InputError(f"expert {name!r}: {type(vae).__name__} has no {method}")
            getattr(vae, method)()
