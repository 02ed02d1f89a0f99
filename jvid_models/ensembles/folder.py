"""A trained ensemble in a folder: networks of its experts, video decoder, table of prompts, and what they agree on.

    ensemble.json    {"format": 2, "name": ..., "experts": {"video": {"denoises": "clips", "network": {...},
                      "weights": "video.safetensors", "wrappers": ["guided:scale=2.0"]}, ...}, "decoder": {...},
                      "schedule": {...}, "latents": {...}, "fps": ..., "prompts": [...], "strategy": {...}}
    <expert>.safetensors  decoder.safetensors  prompts.safetensors  CARD.md

In format 3 an expert may have "text": "video.words.safetensors", its encoder of any prompt of known words
(`jvid_models.words`); experts that name the same file share it. Where all have one, there is no table and "prompts" is empty.
Its "decoder" may be a whole image autoencoder (`jvid_models.networks.autoencoder`), which has a "kind"; in format 4 its weights
are in ``vae``, a folder of diffusers. Experts may have such folders in each format (`jvid_models.ensembles.parts`).
ensemble.json is written by `jvid_models.ensembles.export`. Folders of format 1 hold pair.json, with the experts video and image
and further ones under "guides"; they are read as well (`jvid_models.ensembles.legacy`). Weights are fp16 and are read when a
network is first used: planning needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.ensemble import Deferred, Ensemble, Member
from jvid.errors import InputError, MissingDependencyError, one_line
from jvid.files import read_json
from jvid_models.ensembles.legacy import PAIR, upgraded

if TYPE_CHECKING:
    import torch
    from torch import nn

    from jvid.core.protocols import NoiseSchedule, TextEncoder
    from jvid.core.spaces import LatentSpace
    from jvid.denoisers.parameterized import Parameterized
    from jvid.denoisers.preconditioned import Preconditioned
    from jvid.strategy import Strategy
    from jvid_models.codecs import ImageCodec
    from jvid_models.text import EmbeddingTable
    from jvid_models.video_codec import VideoDecoderCodec
    from jvid_models.words import Words

__all__ = [
    "DOCUMENT",
    "FORMAT",
    "PARTS_FORMAT",
    "TABLE_FORMAT",
    "EnsembleFolder",
    "is_ensemble_folder",
    "load_ensemble",
]

PARTS_FORMAT = 4
"""Of folders whose autoencoder has a folder of its own, as diffusers writes it."""
FORMAT = 3
"""Of folders with text encoders of known words, or with an autoencoder of their own."""
TABLE_FORMAT = 2
"""Of folders all of whose experts share a table of prompts: earlier versions read them too."""
DOCUMENT = "ensemble.json"
_KEYS = ("format", "name", "experts", "decoder", "schedule", "latents", "fps", "prompts", "strategy")
_REMEDY = "export the ensemble again"


class EnsembleFolder:
    """The contents of ``folder``; see the module's head. Networks load when first used.

    Args:
        folder: that an export wrote.
        device: of the networks.
        dtype: of the networks ("float32", "bfloat16", ...); latents and decoded frames stay float32.
        decoder: "video" (the ensemble's own) or "taesd", which needs its weights (`jvid_models.codecs.taesd`).
        fast: networks in the accelerated forward (`jvid_models.fast.accelerate`) or in diffusers' own.

    Raises:
        MissingDependencyError: the folder or its document is absent.
        InputError: the document is damaged or of another format.
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
        self.folder, self.device = Path(folder), device
        self._dtype, self._decoder, self._fast = dtype, decoder, fast
        self._meta = _read_meta(self.folder)
        if decoder == "taesd" and self._own_autoencoder:
            raise InputError(
                "decoder='taesd': the ensemble's latents are those of its own autoencoder, leave it out"
            )

    @property
    def meta(self) -> Mapping[str, Any]:
        """The document's values, a copy, in the form of today."""
        return deepcopy(dict(self._meta))

    @property
    def experts(self) -> tuple[str, ...]:
        """The names of its experts, in order."""
        return tuple(self._meta["experts"])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(c, f, h, w) of the latents that it was trained on."""
        c, f, h, w = self._meta["latents"]["shape"]
        return c, f, h, w

    @property
    def space(self) -> LatentSpace:
        """The autoencoder's latents, normalised by the training latents' mean and deviation; TAESD's are the usual ones."""
        from jvid.core.spaces import LatentSpace

        latents = self._meta["latents"]
        own = self._meta["decoder"] if self._own_autoencoder else {}
        widths = (
            own.get("block_out_channels") or own.get("encoder_block_out_channels") or (0,) * 4
        )  # TAESD's four
        scale, shift = float(own.get("scaling_factor") or 1.0), float(own.get("shift_factor") or 0.0)
        return LatentSpace(
            own.get("kind", "AutoencoderTiny"),
            channels=self.shape[0],
            factor=2 ** (len(widths) - 1),
            scaling=[scale / std for std in latents["std"]],
            shift=[shift + mean / scale for mean in latents["mean"]],
        )

    @cached_property
    def strategy(self) -> Strategy | None:
        """The recommended strategy; None recommends none."""
        from jvid.strategy import Strategy

        stated = self._meta["strategy"]
        return None if stated is None else Strategy.from_dict(stated)

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The schedule that all networks were trained on."""
        from jvid_models.adapters.scheduler_configs import schedule_of

        return schedule_of(self._meta["schedule"])[0]

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the networks compute in."""
        from jvid_models.adapters.precision import precision

        return precision(self._dtype)

    def ensemble(self) -> Ensemble:
        """The ensemble of the folder; its networks load at their first use."""
        files = {described.get("text") for described in self._meta["experts"].values()}
        text: dict[str | None, Deferred[TextEncoder]] = {
            file: Deferred(lambda file=file: self.words(file) if file else self.text_encoder())  # type: ignore[misc]
            for file in files
        }
        schedule: Deferred[NoiseSchedule] = Deferred(lambda: self.schedule)
        members = {
            name: Member(
                Deferred(lambda name=name: self.denoiser(name)),  # type: ignore[misc]
                described["denoises"],
                text[described.get("text")],
                described.get("wrappers", ()),
                schedule,
            )
            for name, described in self._meta["experts"].items()
        }
        return Ensemble(
            members,
            self.shape,
            fps=float(self._meta["fps"]),
            codec=Deferred(self.codec),
            schedule=schedule,
            space=self.space,
            prompts=tuple(self._meta["prompts"]),
            strategy=self.strategy,
            name=str(self._meta["name"]),
            folder=self.folder,
        )

    def denoiser(self, name: str) -> Parameterized | Preconditioned:
        """An expert's denoiser, of clips or of single frames, read anew at each call.

        Raises:
            InputError: there is no such expert, or weights that do not fit.
        """
        from jvid_models.adapters.unet import from_unet

        return from_unet(
            self._light_unet(name) if self._fast else self.module(name),
            self._meta["schedule"],
            dtype=self.dtype,
            device=self.device,
            space=self.space,
            fast=self._fast,
        )

    def codec(self) -> VideoDecoderCodec | ImageCodec:
        """Latents to frames; encoding frames needs TAESD's weights, where the autoencoder is not the ensemble's own."""
        from jvid_models.codecs import ImageCodec, taesd
        from jvid_models.video_codec import VideoDecoderCodec

        latents = self._meta["latents"]

        def image_codec() -> ImageCodec:
            return taesd(mean=latents["mean"], std=latents["std"]).to(self.device)

        if self._decoder == "taesd":
            return image_codec()
        if self._own_autoencoder:
            return ImageCodec(self._autoencoder(), latents["mean"], latents["std"]).to(self.device)
        decoder: Any = self.module("decoder")
        return VideoDecoderCodec(decoder.to(self.device), encoder=image_codec)

    def text_encoder(self) -> EmbeddingTable:
        """Prompts to conditions, from the table of the prompts that it was trained on."""
        from jvid_models.text import EmbeddingTable

        table = EmbeddingTable.load(self.folder / "prompts.safetensors")
        table.embeddings = table.embeddings.to(self.device)
        return table

    def words(self, file: str) -> Words:
        """Prompts of known words to conditions, from one of its files of text encoders."""
        from jvid_models.words import Words

        encoder = Words.load(self.folder / file)
        encoder.network.to(self.device).eval().requires_grad_(False)
        return encoder

    @property
    def _own_autoencoder(self) -> bool:
        return "kind" in self._meta["decoder"]

    def module(self, which: str) -> nn.Module:
        """The network of an expert, or of the "decoder", as torch has it: float32 on the CPU, read anew at each call.

        Raises:
            InputError: there is no such network, or weights that do not fit.
        """
        from jvid_models.ensembles.parts import outer_weights
        from jvid_models.networks.autoencoder import Autoencoder
        from jvid_models.networks.unets import build_unet
        from jvid_models.networks.video_decoder import VideoDecoder

        if which == "decoder":
            cls: Callable[..., Any] = Autoencoder if self._own_autoencoder else VideoDecoder
            file, apart = self._decoder_file
            return self._network(file, lambda: cls(**self._meta["decoder"]), outer_weights if apart else dict)
        return self._unet(which, build_unet)

    def _unet(self, name: str, build: Callable[..., Any]) -> nn.Module:
        if name not in self._meta["experts"]:
            raise InputError(f"network {name!r}: expected one of {', '.join((*self.experts, 'decoder'))}")
        described = self._meta["experts"][name]
        return self._network(described["weights"], lambda: build(**described["network"]))

    def _light_unet(self, name: str) -> nn.Module:
        """An expert's network as the fast forward needs it: diffusers is not imported."""
        from jvid_models.networks.light_unets import light_unet

        return self._unet(name, light_unet)

    def _autoencoder(self) -> Any:
        """The ensemble's own autoencoder as a codec needs it: diffusers is imported for few of its blocks alone."""
        from jvid_models.ensembles.parts import inner_weights
        from jvid_models.networks.light_autoencoder import is_light, light_autoencoder

        if not is_light(self._meta["decoder"]):
            decoder: Any = self.module("decoder")
            return decoder.autoencoder
        file, apart = self._decoder_file
        return self._network(
            file, lambda: light_autoencoder(self._meta["decoder"]), dict if apart else inner_weights
        )

    @property
    def _decoder_file(self) -> tuple[str, bool]:
        """The decoder's weights, and whether they are those of a model of diffusers alone."""
        from jvid_models.ensembles.parts import VAE, WEIGHTS

        apart = self._meta.get("format") == PARTS_FORMAT
        return f"{VAE}/{WEIGHTS}" if apart else "decoder.safetensors", apart

    def _network(
        self, file: str, make: Callable[[], Any], named: Callable[[Any], dict[str, Any]] = dict
    ) -> nn.Module:
        import torch

        from jvid_models.weights import read_weights

        path = self.folder / file
        weights = {name: tensor.float() for name, tensor in named(read_weights(path)).items()}
        # On the meta device no time goes into random weights that are overwritten at once.
        try:
            with torch.device("meta"):
                network: nn.Module = make()
        except MissingDependencyError:
            raise
        except Exception as error:  # of options that were not checked before
            raise InputError(
                f"{self.folder} describes no network of {file}: {one_line(error, typed=True)[:200]}; {_REMEDY}"
            ) from None
        try:
            network.load_state_dict(weights, strict=True, assign=True)
        except RuntimeError as error:
            reason = one_line(error)[:200]
            raise InputError(
                f"weights {path} do not fit the ensemble's document: {reason}; {_REMEDY}"
            ) from None
        return network.eval().requires_grad_(False)


def is_ensemble_folder(folder: str | Path) -> bool:
    """Whether a folder holds an ensemble, of today's format or of format 1."""
    return any((Path(folder) / name).is_file() for name in (DOCUMENT, PAIR))


def load_ensemble(folder: str | Path, **options: Any) -> Ensemble:
    """The ensemble in a folder that `jvid_models.ensembles.export.export_ensemble` wrote; options as of `EnsembleFolder`."""
    return EnsembleFolder(folder, **options).ensemble()


def _read_meta(folder: Path) -> Mapping[str, Any]:
    if not is_ensemble_folder(folder):
        raise MissingDependencyError(
            f"no {DOCUMENT} in {folder}: expected a folder that jvid_models.ensembles.export.export_ensemble wrote"
        )
    path = folder / DOCUMENT
    if not path.is_file():
        return upgraded(read_json(folder / PAIR, "the document of a pair", _REMEDY), folder / PAIR)
    meta: Mapping[str, Any] = read_json(path, "the document of an ensemble", _REMEDY)
    if "format" in meta and meta["format"] not in (TABLE_FORMAT, FORMAT, PARTS_FORMAT):
        raise InputError(
            f"{path} is of format {meta['format']}: this version reads 1 to {PARTS_FORMAT}; update jvid"
        )
    if missing := [key for key in _KEYS if key not in meta]:
        raise InputError(f"{path} lacks {', '.join(missing)}: {_REMEDY}")
    for key in ("schedule", "latents", "experts", "decoder"):
        _check_object(path, key, meta[key])
    for name, described in meta["experts"].items():
        _check_object(path, f"expert {name!r}", described)
        if lacking := [key for key in ("denoises", "network", "weights") if key not in described]:
            raise InputError(f"{path}: expert {name!r} lacks {', '.join(lacking)}: {_REMEDY}")
        _check_object(path, f"the network of expert {name!r}", described["network"])
    return meta


def _check_object(path: Path, what: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: {what} is a {type(value).__name__}, expected an object: {_REMEDY}")
