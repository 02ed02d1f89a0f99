"""A trained pair in a folder: image and video UNet, video decoder, table of prompts, and what they agree on.

    image.safetensors  video.safetensors  decoder.safetensors  prompts.safetensors  pair.json  CARD.md  [guide-<name>.safetensors]

pair.json (written by `jvid_models.export`) holds the networks' options, the schedule as diffusers writes it, the latents' shape,
mean and deviation, frames per second, prompts and the recommended strategy. Weights are fp16 and
are read when a network is first asked for: planning needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError, MissingDependencyError
from jvid.files import read_json

if TYPE_CHECKING:
    import torch
    from torch import nn

    from jvid.parameterized import Parameterized
    from jvid.protocols import NoiseSchedule
    from jvid.spaces import LatentSpace
    from jvid.strategy import Strategy
    from jvid_models.codecs import ImageCodec
    from jvid_models.text import EmbeddingTable
    from jvid_models.video_decoder import VideoDecoderCodec

__all__ = ["FORMAT", "PARTS", "Pair", "actions_64", "guide_file", "load_pair"]

FORMAT = 1
PARTS = ("image", "video", "decoder")
"""The networks that every pair has."""
_KEYS = ("format", "name", "image", "video", "decoder", "schedule", "latents", "fps", "prompts", "strategy")


class Pair:
    """What stands in ``folder``; see the module's head. Networks load when first used.

    ``device`` and ``dtype`` ("float32", "bfloat16", ...) are the networks': latents and decoded frames stay
    float32. ``decoder``: "video" (the pair's own) or "taesd", which needs its weights (`jvid_models.codecs.taesd`).
    ``fast``: networks in the accelerated forward (`jvid_models.fast.accelerate`) or in diffusers' own.
    Raises MissingDependencyError where the folder or a file is absent, InputError where one is damaged.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = "float32",
        decoder: str = "video",
        fast: bool = True,
    ) -> None:
        if decoder not in ("video", "taesd"):
            raise InputError(f"decoder={decoder!r}: expected 'video' or 'taesd'")
        self.folder = Path(folder)
        self.device = device
        self._dtype = dtype
        self._decoder = decoder
        self._fast = fast
        self._meta = _read_meta(self.folder)

    def __repr__(self) -> str:
        return f"Pair({self.name!r}, shape={self.shape}, fps={self.fps:g}, prompts={len(self.prompts)})"

    @property
    def meta(self) -> Mapping[str, Any]:
        """What pair.json says, a copy."""
        return deepcopy(dict(self._meta))

    @property
    def name(self) -> str:
        """Its name, as registered."""
        return str(self._meta["name"])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(c, f, h, w) of the latents that it was trained on."""
        c, f, h, w = self._meta["latents"]["shape"]
        return c, f, h, w

    @property
    def space(self) -> LatentSpace:
        """TAESD's latents, normalised by the training latents' mean and deviation."""
        from jvid.spaces import LatentSpace

        latents = self._meta["latents"]
        return LatentSpace(
            "AutoencoderTiny",
            channels=self.shape[0],
            scaling=[1.0 / std for std in latents["std"]],
            shift=latents["mean"],
        )

    @property
    def fps(self) -> float:
        """Frames per second of the training clips."""
        return float(self._meta["fps"])

    @property
    def prompts(self) -> tuple[str, ...]:
        """Every prompt that the text encoder knows but the empty one."""
        return tuple(self._meta["prompts"])

    @cached_property
    def strategy(self) -> Strategy:
        """The recommended strategy."""
        from jvid.strategy import Strategy

        return Strategy.from_dict(self._meta["strategy"])

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The schedule that both networks were trained on."""
        from jvid_models.scheduler_configs import schedule_of

        return schedule_of(self._meta["schedule"])[0]

    @property
    def dtype(self) -> torch.dtype:
        """What the networks compute in."""
        import torch

        if isinstance(self._dtype, torch.dtype):
            return self._dtype
        names = ("float32", "bfloat16", "float16", "float64")
        if self._dtype not in names:
            raise InputError(f"dtype {self._dtype!r}: expected one of {', '.join(names)}")
        return getattr(torch, self._dtype)  # type: ignore[no-any-return]

    @cached_property
    def image(self) -> Parameterized:
        """The image model, a denoiser of single frames ``(b c 1 h w)``: lift it with `jvid.Framewise`."""
        return self._denoiser("image")

    @cached_property
    def video(self) -> Parameterized:
        """The video model, a denoiser of clips ``(b c f h w)``."""
        return self._denoiser("video")

    @cached_property
    def guides(self) -> Mapping[str, Parameterized]:
        """Further denoisers of clips, by name, for guidance to lead away from (``Guidance.against``); often none."""
        return _Guides(self._meta.get("guides", {}), self._denoiser)

    @cached_property
    def codec(self) -> VideoDecoderCodec | ImageCodec:
        """Latents to frames; encoding frames needs TAESD's weights."""
        from jvid_models.codecs import taesd
        from jvid_models.video_decoder import VideoDecoderCodec

        latents = self._meta["latents"]

        def image_codec() -> ImageCodec:
            return taesd(mean=latents["mean"], std=latents["std"]).to(self.device)

        if self._decoder == "taesd":
            return image_codec()
        return VideoDecoderCodec(self.module("decoder").to(self.device), encoder=image_codec)

    @cached_property
    def text_encoder(self) -> EmbeddingTable:
        """Prompts to conditions, from the table of the prompts that it was trained on."""
        from jvid_models.text import EmbeddingTable

        table = EmbeddingTable.load(self.folder / "prompts.safetensors")
        table.embeddings = table.embeddings.to(self.device)
        return table

    def module(self, which: str) -> nn.Module:
        """The network of "image", "video", "decoder" or a guide as torch has it, float32 on the CPU, read anew at each call."""
        from jvid_models.unets import build_unet
        from jvid_models.video_decoder import VideoDecoder

        guides = self._meta.get("guides", {})
        if which not in (*PARTS, *guides):
            raise InputError(f"network {which!r}: expected one of {', '.join((*PARTS, *guides))}")
        options = guides[which] if which in guides else self._meta[which]
        make = VideoDecoder if which == "decoder" else build_unet
        return self._network(guide_file(which) if which in guides else which, lambda: make(**options))

    def _denoiser(self, which: str) -> Parameterized:
        from jvid_models.adapters import from_unet

        return from_unet(
            self.module(which),
            self._meta["schedule"],
            dtype=self.dtype,
            device=self.device,
            space=self.space,
            fast=self._fast,
        )

    def _network(self, stem: str, make: Callable[[], nn.Module]) -> nn.Module:
        import torch

        from jvid_models.weights import read_weights

        path = self.folder / f"{stem}.safetensors"
        weights = {name: tensor.float() for name, tensor in read_weights(path).items()}
        # On the meta device no time goes into random weights that are overwritten at once.
        with torch.device("meta"):
            network = make()
        try:
            network.load_state_dict(weights, strict=True, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"weights {path} do not fit pair.json: {reason}; export the pair again"
            ) from None
        return network.eval().requires_grad_(False)


class _Guides(Mapping[str, "Parameterized"]):
    """Guides by name; each loads when it is first asked for."""

    def __init__(self, names: Iterable[str], load: Callable[[str], Parameterized]) -> None:
        self._names, self._load = tuple(names), cache(load)

    def __getitem__(self, name: str) -> Parameterized:
        if name not in self._names:
            raise KeyError(name)
        return self._load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def guide_file(name: str) -> str:
    """The stem of a guide's file."""
    return f"guide-{name}"


def load_pair(folder: str | Path, **options: Any) -> Pair:
    """The pair in a folder that `jvid_models.export.export_pair` wrote."""
    return Pair(folder, **options)


def actions_64(
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    decoder: str = "video",
    fast: bool = True,
) -> Pair:
    """The bundled pair: ten actions of the Weizmann clips, 16 frames of 64x64 at 12.5 per second; options as of `Pair`."""
    folder = Path(__file__).parent / "actions_64"
    if not (folder / "pair.json").is_file():
        raise MissingDependencyError(
            f"this installation of jvid carries no weights of actions-64 (no {folder}): install it whole, or name "
            "the folder of a pair of your own"
        )
    return Pair(folder, device=device, dtype=dtype, decoder=decoder, fast=fast)


def _read_meta(folder: Path) -> Mapping[str, Any]:
    path = folder / "pair.json"
    if not path.is_file():
        raise MissingDependencyError(
            f"no pair.json in {folder}: expected a folder that jvid_models.export.export_pair wrote"
        )
    meta: dict[str, Any] = read_json(path, "a pair's description", "export the pair again")
    missing = [key for key in _KEYS if key not in meta]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}: export the pair again")
    if meta["format"] != FORMAT:
        raise InputError(
            f"{path} is of format {meta['format']}: this version reads {FORMAT}; export the pair again"
        )
    return meta
