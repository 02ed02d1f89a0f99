"""A recipe: everything that a training run depends on, in one TOML file.

``Recipe`` and its parts are attrs classes, structured by cattrs; a wrong key or value is an error that names the
key (``data.fps``). `jvid encode` needs ``data``, ``codec``; `jvid train` the rest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs
import cattrs

from jvid.errors import InputError, one_line
from jvid.paper import PREFIXES
from jvid.refusals import read_text
from jvid_training.overrides import changed
from jvid_training.recipe_buckets import Aspects, StatedBucket, check_buckets
from jvid_training.recipe_published import (
    PIPELINE,
    Lora,
    Noise,
    PipelineNetwork,
    check_published,
    of_published,
)
from jvid_training.recipe_values import WrongValue, fraction, not_negative, positive

T = TypeVar("T")


@attrs.frozen
class Data:
    """Where the clips are and how they become windows of frames."""

    root: str
    """Folder of ``<class>/<clip>``, or of clips with captions; relative paths are below the shared root (``JVID_SHARED``)."""
    latents: str
    """Folder for the encoded shards; relative to the working directory."""
    fps: float = attrs.field(default=10.0, validator=positive)
    frames: int = attrs.field(default=16, validator=positive)
    size: int = attrs.field(default=64, validator=positive)
    crop: Literal["centre", "person"] = "centre"
    crop_size: int | None = None
    """Side of the crop in source pixels; the short side of the picture when absent (centre)."""
    vertical: float = attrs.field(default=0.5, validator=fraction)
    flip: bool = False
    """Also encode each clip mirrored."""
    phases: bool = False
    """Also encode the frames that resampling leaves out, as clips of their own."""
    actor: str = r"^(?P<actor>[^_]+)_"
    holdout: tuple[str, ...] = ()
    """Actors kept out of training, for validation and evaluation; or values of the key ``holdout_by``."""
    phrases: dict[str, str] = attrs.field(factory=dict)
    """Class name -> words of the prompt; the paper's rule (split at capitals) for a class that is absent."""
    prefixes: tuple[str, ...] = PREFIXES
    captions: Literal["class", "metadata", "text"] = "class"
    """Prompts of class names, captions of metadata.jsonl or metadata.csv, or of a text file beside each clip."""
    holdout_by: str = ""
    """Key of the metadata whose values ``holdout`` lists; "split" is the first folder of a file's path where none is stated."""
    label: str = ""
    """Key of the metadata whose values are drawn with equal chances, as classes are; all windows alike when empty."""
    statistics: str = ""
    """Folder of other latents whose mean and deviation these take, so that experts of several data sets share a space."""
    normalise: bool = True
    """Whether experts learn latents of mean 0 and deviation 1 in each channel, or as the autoencoder scales them."""
    source: Literal["folder", "webdataset", "datasets"] = "folder"
    """What ``root`` is: a folder of clips, tars of WebDataset, or tables of Hugging Face datasets (Parquet or Arrow)."""
    lists: dict[str, str] = attrs.field(factory=dict)
    """Name of a split -> file that lists its clips, a path below ``root`` a line; other clips are left out."""
    buckets: tuple[StatedBucket, ...] = ()
    """Sizes and lengths that clips are sorted into; one of ``size`` and ``frames`` when empty."""
    aspects: Aspects | None = None
    """The rule that derives buckets of about equal area."""


@attrs.frozen
class CodecChoice:
    """The autoencoder of the latent space, by its registered name."""

    name: str = "taesd"
    options: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Text:
    """The text encoder that makes the table of prompt embeddings, by its registered name."""

    name: str = "minilm"
    options: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Schedule:
    """The noise schedule, by its registered name."""

    name: str = "scaled-linear"
    options: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Optimiser:
    """AdamW. The defaults are the paper's: 1e-4 constant after 500 steps of warm-up."""

    lr: float = attrs.field(default=1e-4, validator=positive)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = attrs.field(default=1e-8, validator=positive)
    weight_decay: float = attrs.field(default=1e-2, validator=not_negative)
    warmup: int = attrs.field(default=500, validator=not_negative)
    decay: float = attrs.field(default=0.0, validator=fraction)
    """The last fraction of the run over which the rate falls linearly to a fiftieth; 0 keeps it constant."""
    clip: float = attrs.field(default=1.0, validator=not_negative)
    """Largest norm of the gradient; 0 leaves gradients as they are."""


@attrs.frozen
class Training:
    """The run itself. ``batch`` counts frames (image, autoencoder) or clips (video, decoder), over all processes."""

    steps: int = attrs.field(validator=positive)
    batch: int = attrs.field(validator=positive)
    accumulate: int = attrs.field(default=1, validator=positive)
    seed: int = attrs.field(default=0, validator=not_negative)
    drop: float = attrs.field(default=0.3, validator=fraction)
    """Probability that a prompt is replaced by the empty one."""
    offset: float = attrs.field(default=0.1, validator=not_negative)
    """Noise offset: one more normal number per sample and channel, times this."""
    stratified: bool = True
    """Spread a batch's timesteps evenly over 0..T-1 (each still uniform)."""
    ema: float = attrs.field(default=0.999, validator=fraction)
    """Decay of the moving average of the weights; 0 is the weights themselves."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    checkpointing: bool = False
    """UNets only: compute layers again in the backward pass, in less memory and more time."""
    sharding: Literal["none", "full"] = "none"
    """How several processes share the network: each has it whole (DDP), or a part of each tensor (FSDP2)."""
    compile: bool = False
    """Compile the network with torch.compile; a UNet then takes its stock forward."""
    threads: int | None = None
    """CPU threads of a process; its share of the cores when absent (`jvid.machine.cores`)."""
    workers: int = attrs.field(default=0, validator=not_negative)
    """Processes that make batches ahead, for each process of the run; 0 makes each when it is needed."""
    checkpoint_every: int = attrs.field(default=500, validator=positive)
    log_every: int = attrs.field(default=20, validator=positive)
    samples_every: int = attrs.field(default=0, validator=not_negative)
    """Steps between two sheets of samples (``samples``); 0 makes none."""
    trackers: tuple[str, ...] = ("tensorboard",)
    """Trackers of accelerate that the log goes to, such as "wandb"; ``log.jsonl`` is always written."""
    keep: int = attrs.field(default=2, validator=positive)
    """The last checkpoints that stay, beside the one with the lowest loss on held-out actors."""
    non_finite: Literal["stop", "skip"] = "stop"
    """What a loss or gradient that is not finite does: end the run, or leave the step out."""
    max_skips: int = attrs.field(default=10, validator=not_negative)
    """Steps in a row that may be left out."""
    divergence: float = attrs.field(default=5.0, validator=not_negative)
    """The run stops where the median of 100 losses is so many times the lowest one before; 0 never."""
    final: Literal["last", "best"] = "last"
    """Which weights the run ends with: of its last step, or of the checkpoint with the lowest loss on held-out actors."""
    init: str | None = None
    """Safetensors file to start from; an image network's weights start a video network whose temporal layers are ``new``."""
    new: tuple[str, ...] = ()
    """Patterns of the network's tensors that do not start from ``init``, such as "*temp_*"."""
    unused: tuple[str, ...] = ()
    """Patterns of the tensors of ``init`` that are not taken."""
    stills: str = ""
    """Video only: folder of encoded single frames of the same space, which it is trained on too, as clips of one frame."""
    stills_share: float = attrs.field(default=0.5, validator=fraction)
    """Share of the steps that are of stills; such a step has as many frames as one of clips."""
    fixed: tuple[str, ...] = ()
    """Patterns of the names of parameters that keep their values, such as "autoencoder.encoder.*" of an autoencoder."""
    leave_out: tuple[str, ...] = ()
    """Actors of the training split that this run does not see; they count in the latents' statistics, which experts share."""
    latent_noise: float = attrs.field(default=0.0, validator=not_negative)
    """Decoder and autoencoder: deviation of the noise on input latents, so that sampled ones decode well."""
    perceptual: float = attrs.field(default=0.0, validator=not_negative)
    """Decoder only: weight of the distance in features of the codec's encoder (taesd)."""
    patch: int | None = None
    """Autoencoder only: side of the random patches that it is trained on, in pixels; whole frames when absent."""
    prior: float = attrs.field(default=0.1, validator=not_negative)
    """Autoencoder only: weight of the Gaussian prior, which keeps the latents at unit scale."""


@attrs.frozen
class Samples:
    """The sheets of ``training.samples_every``: what the moving average of the weights makes of the same prompts and seeds."""

    prompts: tuple[str, ...] = ()
    """Of the clips; the first of the data when empty."""
    seed: int = attrs.field(default=0, validator=not_negative)
    """Of the first prompt; the next takes the next."""
    steps: int = attrs.field(default=20, validator=positive)
    """Sampling steps of a clip."""
    ensemble: str = ""
    """Folder of an ensemble, with whose other experts this one is mixed; the expert alone when empty."""
    expert: str = ""
    """The expert of the ensemble in whose place this one is; its only one that denoises the same when empty."""
    strategy: str = ""
    """JSON of the mixture's strategy; the ensemble's own when empty."""


@attrs.frozen
class Recipe:
    """One run of `jvid train`."""

    name: str
    kind: Literal["image", "video", "decoder", "autoencoder"]
    out: str
    data: Data
    training: Training
    network: dict[str, Any] = attrs.field(factory=dict)
    """Options of the network's factory: `jvid_models.networks.unets`, `jvid_models.networks.video_decoder` or
    `jvid_models.networks.autoencoder`; or those of `PipelineNetwork`."""
    codec: CodecChoice = CodecChoice()
    text: Text = Text()
    schedule: Schedule = Schedule()
    optimiser: Optimiser = Optimiser()
    noise: Noise = attrs.field(factory=Noise)
    lora: Lora | None = None
    samples: Samples = Samples()

    @property
    def published(self) -> PipelineNetwork | None:
        """The published model that it starts from; None for a network of a factory."""
        return structured(self.network, PipelineNetwork, "network") if PIPELINE in self.network else None


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)

    # TOML's numbers and strings are typed already: cattrs' default coercion would turn "abc" into an error without
    # the key's name and 0.5 into 0 where an integer is expected.
    def number(value: Any, kind: type) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"got {value!r}, expected a number")
        return float(value)

    def exact(value: Any, kind: type) -> Any:
        if type(value) is not kind:
            raise ValueError(f"got {value!r}, expected {kind.__name__}")
        return value

    converter.register_structure_hook(float, number)
    for kind in (int, str, bool):
        converter.register_structure_hook(kind, exact)
    # Values that have a form of their own, such as an ensemble's source: text or a table.
    converter.register_structure_hook_func(
        lambda kind: hasattr(kind, "from_plain"), lambda value, kind: kind.from_plain(value)
    )
    return converter


def load_recipe(path: Path, settings: Iterable[str] = ()) -> Recipe:
    """Read and check a recipe, with values changed by ``settings`` such as "training.steps=2".

    Raises:
        InputError: in one line that names each wrong key.
    """
    document = read_toml(path, "recipes/actions-64/image.toml")
    return structure_recipe(changed(document, settings), str(path))


def read_toml(path: Path, example: str) -> dict[str, Any]:
    """A TOML file's document. Raises `InputError` in one line; ``example`` is a path that it may show."""
    try:
        return tomllib.loads(read_text(path))
    except FileNotFoundError:
        raise InputError(f"no recipe at {path}: give the path of a TOML file, such as {example}") from None
    except OSError as error:
        raise InputError(f"recipe {path} cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise InputError(f"recipe {path} is not TOML: nested too deeply") from None
    except ValueError as error:  # of TOML, of UTF-8, of a path that holds NUL, and of what is too long
        raise InputError(f"recipe {path} is not TOML: {one_line(error)}") from None


def structure_recipe(document: dict[str, Any], where: str = "recipe") -> Recipe:
    """A parsed TOML document -> `Recipe`; ``where`` names the source in errors."""
    network = document.get("network")
    if isinstance(network, dict) and PIPELINE in network:
        document = of_published(document, str(network[PIPELINE]))
    recipe = structured(document, Recipe, where)
    check_published(recipe, where)
    check_buckets(recipe, where)
    return recipe


def structured(document: dict[str, Any], cls: type[T], where: str) -> T:
    """A parsed TOML document -> an attrs class. Raises `InputError` that names ``where`` and each wrong key."""
    try:
        return _converter().structure(document, cls)
    except cattrs.BaseValidationError as error:
        raise InputError(f"{where}: {'; '.join(_reasons(error))}") from None


def _reasons(error: BaseException, key: str = "") -> list[str]:
    """Flatten cattrs' tree of exceptions into ``key: reason`` lines."""
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = ", ".join(sorted(field.name for field in attrs.fields(error.cl)))
        return [
            f"{'.'.join(filter(None, [key, extra]))}: unknown key, expected one of {known}"
            for extra in sorted(error.extra_fields)
        ]
    if isinstance(error, cattrs.BaseValidationError):
        lines = []
        if isinstance(error, cattrs.ClassValidationError):
            with_notes, without = error.group_exceptions()
            for inner, note in with_notes:
                lines += _reasons(inner, ".".join(filter(None, [key, note.name])))
            for inner in without:
                lines += _reasons(inner, key)
        else:
            for inner in error.exceptions:
                lines += _reasons(inner, key)
        return lines
    if isinstance(error, WrongValue):
        return [f"{'.'.join(filter(None, [key, error.key]))}: {error}"]
    if isinstance(error, KeyError):
        return [f"{key}: missing, it must be given"]
    return [f"{key or 'recipe'}: {error}"]


def to_document(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data (for manifests and checkpoints)."""
    plain: dict[str, Any] = cattrs.unstructure(recipe)
    return plain
