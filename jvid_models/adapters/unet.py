"""Any diffusers UNet with its scheduler, or the scheduler's config, as a denoiser.

    x_0 = Parameterized(network, schedule, prediction)(x, t, cond)
    network(x, t, cond) = unet(x, n(t), encoder_hidden_states=cond["text"])

`jvid_models.adapters.scheduler_configs` reads schedule, prediction and n. The network's dtype and device stay inside:
latents come and go in the sampler's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from jvid.core.protocols import NoiseSchedule
from jvid.core.spaces import LatentSpace
from jvid.denoisers.parameterized import Parameterized, Prediction
from jvid.denoisers.preconditioned import Preconditioned
from jvid.errors import InputError
from jvid.extras import extra
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid_models.adapters.precision import precision
from jvid_models.adapters.scheduler_clocks import Clock
from jvid_models.adapters.scheduler_configs import levels_of_scheduler, schedule_of
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_models.adapters.scheduler_outputs import OutputKind
from jvid_models.adapters.space_configs import space_of_config
from jvid_models.adapters.unet_network import UNETS, UNetNetwork
from jvid_models.saved import load_saved, read_config

__all__ = ["UNetNetwork", "from_pretrained", "from_unet", "schedule_of"]


def _config(unet: Any) -> Any:
    return unet.config


def from_unet(
    unet: nn.Module,
    scheduler: Any,
    prediction: Prediction | None = None,
    *,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    space: LatentSpace | None = None,
    fast: bool = True,
) -> Parameterized | Preconditioned:
    """A denoiser of ``unet``: UNet2DConditionModel (clips of one frame), UNet3DConditionModel or UNetMotionModel.

    ``scheduler``: a diffusers scheduler, its config (a mapping), its levels, or a jvid schedule, for which ``prediction``
    defaults to "eps". ``dtype`` and ``device`` move the UNet, not the latents. The condition holds "text"
    ``(b, n, w)``, and for SDXL's UNet "text_embeds" and "time_ids" too. ``space``: the latents that it was trained
    on, so that it is not mixed with a model of others. ``fast``: by `jvid_models.fast.accelerate`, which gives the same answer
    for less work; without it, diffusers' own forward.
    Raises InputError for a UNet or a scheduler that is not understood.
    """
    levels = scheduler if isinstance(scheduler, SchedulerLevels) else _levels(scheduler, prediction)
    if isinstance(dtype, str):
        dtype = precision(dtype)
    if dtype is not None or device is not None:
        # Not diffusers' own `to`, which warns of modules to be kept in float32 where there are none.
        nn.Module.to(unet, device=device, dtype=dtype)
    network = UNetNetwork(unet.eval(), levels, fast)
    if space is not None and space.channels != (latent := int(_config(unet).out_channels)):
        raise InputError(
            f"space {space} for a UNet that predicts {latent} channels: expected the space of its latents"
        )
    return levels.denoiser(network, space, prediction)


def _levels(scheduler: Any, prediction: Prediction | None) -> SchedulerLevels:
    """The levels of a diffusers scheduler or its config, or of a jvid schedule at the timesteps that diffusers has on it."""
    if not isinstance(scheduler, NoiseSchedule):
        return levels_of_scheduler(scheduler)
    kind = OutputKind(prediction or "eps")
    if isinstance(scheduler, TabulatedSchedule):
        return SchedulerLevels(scheduler, kind, Clock("index", scheduler.timesteps))
    if isinstance(scheduler, FlowMatching):
        return SchedulerLevels(scheduler, kind, Clock("sigma"))
    raise InputError(
        f"a UNet on {type(scheduler).__name__} has no timesteps: expected TabulatedSchedule or FlowMatching, or a diffusers "
        "scheduler"
    )


def from_pretrained(
    folder: str | Path,
    scheduler: Any = None,
    prediction: Prediction | None = None,
    *,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    space: LatentSpace | None = None,
    fast: bool = True,
    variant: str | None = None,
) -> Parameterized | Preconditioned:
    """A denoiser from a local diffusers folder: a pipeline's (``unet``, ``scheduler``), or a UNet's alone.

    ``scheduler`` as in `from_unet`; default: the folder's own. ``space``: default, that of the folder's ``vae``. ``fast``
    as in `from_unet`. ``variant`` of the weights' files, such as "fp16"; default: the plain ones, or the only variant.
    Weights are read from safetensors only, whole or in shards.
    Raises MissingDependencyError where a file is absent, InputError where one is corrupt, lacks tensors or is not
    understood.
    """
    if isinstance(dtype, str):
        dtype = precision(dtype)
    root = Path(folder)
    inner = root / "unet" if (root / "unet").is_dir() else root
    if inner is root and (root / "transformer" / "config.json").is_file():
        inner = root / "transformer"
    kind = read_config(inner / "config.json", "a diffusers UNet").get("_class_name", "UNet2DConditionModel")
    if kind not in UNETS:
        raise InputError(f"{inner} holds a {kind}: expected one of {', '.join(UNETS)}")
    if scheduler is None:
        scheduler = read_config(
            root / "scheduler" / "scheduler_config.json", "its scheduler (or give scheduler=)"
        )
    with extra("models"):
        import diffusers

    unet = load_saved(getattr(diffusers, kind), inner, "a UNet", variant, torch_dtype=dtype or torch.float32)
    if space is None and (root / "vae" / "config.json").is_file():
        space = space_of_config(read_config(root / "vae" / "config.json", "its autoencoder"))
    return from_unet(unet, scheduler, prediction, dtype=dtype, device=device, space=space, fast=fast)
