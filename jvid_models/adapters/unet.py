"""Any diffusers UNet with its scheduler's config, as a denoiser.

    x_0 = Parameterized(network, schedule, prediction)(x, t, cond)
    network(x, t, cond) = unet(x, n(t), encoder_hidden_states=cond["text"])

n is the timestep that the UNet was trained with: t T - 1 on a table of T betas, sigma T for flow
matching. The network's dtype and device stay inside: latents come and go in the sampler's.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from jvid.core.conditions import Layout, PerFrame, expand_rows, require
from jvid.core.protocols import Condition, NoiseSchedule
from jvid.core.spaces import LatentSpace
from jvid.denoisers.memo import Memo
from jvid.denoisers.parameterized import Parameterized, Prediction
from jvid.errors import InputError, MissingDependencyError
from jvid.extras import extra
from jvid.files import read_json
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid_models.adapters.scheduler_configs import schedule_of
from jvid_models.adapters.space_configs import space_of_config
from jvid_models.fast import AcceleratedUNet, accelerate

with extra("models"):
    import diffusers

__all__ = ["UNetNetwork", "from_pretrained", "from_unet", "schedule_of"]

_IMAGE = ("UNet2DConditionModel",)
_VIDEO = ("UNet3DConditionModel", "UNetMotionModel")


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
) -> Parameterized:
    """A denoiser of ``unet``: UNet2DConditionModel (clips of one frame), UNet3DConditionModel or UNetMotionModel.

    ``scheduler``: a diffusers scheduler, its config (a mapping), or a jvid schedule, for which ``prediction``
    defaults to "eps". ``dtype`` and ``device`` move the UNet, not the latents. The condition holds "text"
    ``(b, n, w)``, and for SDXL's UNet "text_embeds" and "time_ids" too. ``space``: the latents that it was trained
    on, so that it is not mixed with a model of others. ``fast``: by `jvid_models.fast.accelerate`, which gives the same answer
    for less work; without it, diffusers' own forward.
    Raises InputError for a UNet or a scheduler that is not understood.
    """
    T = 1000
    schedule: NoiseSchedule
    stated: Prediction | None = None
    if isinstance(scheduler, NoiseSchedule):
        schedule = scheduler
    else:
        config = getattr(scheduler, "config", scheduler)
        schedule, stated = schedule_of(config)
        T = int(config.get("num_train_timesteps", T))
    if isinstance(dtype, str):
        dtype = _precision(dtype)
    if dtype is not None or device is not None:
        # Not diffusers' own `to`, which warns of modules to be kept in float32 where there are none.
        nn.Module.to(unet, device=device, dtype=dtype)
    network = UNetNetwork(unet.eval(), schedule, T, fast)
    if space is not None and space.channels != (latent := int(_config(unet).out_channels)):
        raise InputError(
            f"space {space} for a UNet that predicts {latent} channels: expected the space of its latents"
        )
    return Parameterized(network, schedule, prediction or stated or "eps", space)


def _precision(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise InputError(f"dtype {name!r}: expected one such as float32, bfloat16 or float16")
    return found


@attrs.frozen(eq=False)
class UNetNetwork:
    """The network of `from_unet`: calls ``unet`` in its own dtype, on its own device, at its own timestep.

    ``T`` is the number of training timesteps; only flow matching needs it. ``fast``: in the accelerated forward; it is
    which gets from the condition's ``Layout`` which rows repeat.
    """

    unet: nn.Module
    schedule: NoiseSchedule
    T: int = 1000
    fast: bool = True
    _forward: nn.Module = attrs.field(init=False, repr=False)
    _moved: Memo[Tensor] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        given = self.unet
        if isinstance(given, AcceleratedUNet):
            object.__setattr__(self, "unet", given.unet)
        kind = type(self.unet).__name__
        if kind not in _IMAGE + _VIDEO:
            raise InputError(f"got a {kind}: expected one of {', '.join(_IMAGE + _VIDEO)}")
        if not isinstance(self.schedule, TabulatedSchedule | FlowMatching):
            raise InputError(
                f"a UNet on {type(self.schedule).__name__} has no timesteps: expected TabulatedSchedule or FlowMatching"
            )
        object.__setattr__(self, "_forward", accelerate(given) if self.fast else self.unet)
        object.__setattr__(self, "_moved", Memo())

    @property
    def video(self) -> bool:
        """Whether the UNet sees whole clips."""
        return type(self.unet).__name__ in _VIDEO

    @property
    def denoises(self) -> str:
        """What the UNet sees: "clips" or single "frames"."""
        return "clips" if self.video else "frames"

    def timestep(self, t: Tensor) -> Tensor:
        """The UNet's timestep at t ``(*)``: float32, whole where t is a table entry's."""
        if isinstance(self.schedule, TabulatedSchedule):
            return self.schedule.timestep(t).float()
        return (self.schedule(t.double())[1] * self.T).float()

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> the UNet's prediction ``(b c f h w)`` in its dtype."""
        config: Any = self.unet.config
        b, c, f = x.shape[:3]
        if c != config.in_channels:
            raise InputError(f"latents of {c} channels: this UNet takes {config.in_channels}")
        if not self.video and f != 1:
            raise InputError(
                f"an image UNet got a clip of {f} frames: lift it to clips with jvid.Framewise(denoiser)"
            )
        weight = next(self.unet.parameters())
        place: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
        given = expand_rows({name: value for name, value in cond.items() if name != "null"}, b)
        text = self._text(given, config)
        if text.dtype != weight.dtype or text.device != weight.device:
            # The same tensor at each step of a run: its keys and values are found again.
            where = {"text": text, "device": str(weight.device), "dtype": weight.dtype}
            text = self._moved(where, lambda: text.to(**place))
        options: dict[str, Any] = {"encoder_hidden_states": text}
        if "class_labels" in given and "class_labels" in inspect.signature(self.unet.forward).parameters:
            options["class_labels"] = given["class_labels"].to(weight.device)
        if getattr(config, "addition_embed_type", None) == "text_time":
            names = ("text_embeds", "time_ids")
            options["added_cond_kwargs"] = {
                name: require(given, name, "SDXL's UNet").to(**place) for name in names
            }
        n = self.timestep(t).to(weight.device).expand(b)
        inner = x.to(**place) if self.video else x[:, :, 0].to(**place)
        if self.fast:
            options |= self._hints(x, t, Layout.within(cond))
        out: Tensor = self._forward(inner, n, return_dict=False, **options)[0][:, :c]
        return (out if self.video else out.unsqueeze(2)).to(x.device)

    def _hints(self, x: Tensor, t: Tensor, layout: Layout) -> dict[str, int]:
        """The hints for the accelerated forward about the rows; a video UNet's rows are clips."""
        frames = 1 if self.video else layout.frames
        halves = layout.halves
        if len(x) % (halves * frames):
            return {}
        # The hint comes from wrappers; it is checked where that is free. On a GPU it would wait for the device.
        if halves > 1 and x.device.type == "cpu" and not all(_repeats(value, halves) for value in (x, t)):
            halves = 1
        return {"halves": halves, "frames": frames}

    def _text(self, cond: Condition, config: Any) -> Tensor:
        text = require(cond, "text", f"this {type(self.unet).__name__}")
        if isinstance(text, PerFrame):
            raise InputError("a video UNet takes one text for the clip: got PerFrame; expected (b, n, w)")
        width = config.cross_attention_dim
        if text.ndim != 3 or (isinstance(width, int) and text.shape[-1] != width):
            raise InputError(
                f"the condition 'text' has shape {tuple(text.shape)}: this UNet takes (b, n, {width}); "
                "use the text encoder that it was trained with"
            )
        return text


def _repeats(value: Tensor, halves: int) -> bool:
    """Whether the parts of a batch are equal."""
    if not value.ndim:
        return True
    first, *others = value.chunk(halves)
    return all(torch.equal(first, other) for other in others)


def from_pretrained(
    folder: str | Path,
    scheduler: Any = None,
    prediction: Prediction | None = None,
    *,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    space: LatentSpace | None = None,
    fast: bool = True,
) -> Parameterized:
    """A denoiser from a local diffusers folder: a pipeline's (``unet``, ``scheduler``), or a UNet's alone.

    ``scheduler`` as in `from_unet`; default: the folder's own. ``space``: default, that of the folder's ``vae``. ``fast``
    as in `from_unet`.
    Weights are read from safetensors only.
    Raises MissingDependencyError where a file is absent, InputError where one is corrupt or not understood.
    """
    if isinstance(dtype, str):
        dtype = _precision(dtype)
    root = Path(folder)
    inner = root / "unet" if (root / "unet").is_dir() else root
    kind = _read_json(inner / "config.json", "a diffusers UNet").get("_class_name", "UNet2DConditionModel")
    if kind not in _IMAGE + _VIDEO:
        raise InputError(f"{inner} holds a {kind}: expected one of {', '.join(_IMAGE + _VIDEO)}")
    if scheduler is None:
        scheduler = _read_json(
            root / "scheduler" / "scheduler_config.json", "its scheduler (or give scheduler=)"
        )
    try:
        unet = getattr(diffusers, kind).from_pretrained(
            inner, local_files_only=True, use_safetensors=True, torch_dtype=dtype or torch.float32
        )
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise InputError(f"cannot load a UNet from {inner}: {str(error).splitlines()[0]}") from None
    if space is None and (root / "vae" / "config.json").is_file():
        space = space_of_config(_read_json(root / "vae" / "config.json", "its autoencoder"))
    return from_unet(unet, scheduler, prediction, dtype=dtype, device=device, space=space, fast=fast)


def _read_json(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        raise MissingDependencyError(f"no {path}: expected a local diffusers folder with {what}")
    config: dict[str, Any] = read_json(path, "JSON as diffusers writes it", "fetch the folder again")
    return config
