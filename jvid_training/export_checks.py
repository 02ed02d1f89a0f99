"""What the parts of an export have to share: one latent space, of the same weights, one noise schedule, and words."""

from __future__ import annotations

from pathlib import Path

from jvid.errors import InputError
from jvid_models.networks.autoencoder import Autoencoder, is_autoencoder_folder
from jvid_training.data.encoder_weights import check_same_encoder, differ, encoder_digest
from jvid_training.data.manifest import Manifest, key_of, load_manifest
from jvid_training.recipe import Recipe
from jvid_training.recipe_buckets import buckets_of

__all__ = ["check_encoded_by", "check_run_encoder", "check_shared"]


def check_encoded_by(autoencoder: Autoencoder, folder: Path, recipe: Recipe, manifest: Manifest) -> None:
    """Refuse an autoencoder that gives other latents than those of ``manifest``; its decoder may be another.

    Raises:
        InputError: the folder of the recipe's autoencoder has other weights than encoded, or ``folder`` another encoder.
    """
    check_same_encoder(
        manifest.encoder,
        encoder_digest(recipe.codec),
        f"decoder {folder}: {recipe.data.latents} holds latents of other weights than the codec {recipe.codec.name!r} has now",
        "put the former weights back, or encode and train again",
    )
    named = recipe.codec.options.get("folder")
    if named is not None and Path(named).resolve() == folder.resolve():
        return
    if (
        named is None
        or not is_autoencoder_folder(named)
        or not autoencoder.encodes_as(Autoencoder.load(named))
    ):
        raise InputError(
            f"decoder {folder}: the latents of the recipes were encoded by {named or recipe.codec.name}; name the folder of "
            "that autoencoder, or of one that was trained on with its encoder fixed"
        )


def check_run_encoder(name: str, encoder: str, recipe: Recipe) -> None:
    """Refuse a run that was trained on latents of other weights than its folder of latents holds now.

    Raises:
        InputError: they are others.
    """
    latents = Path(recipe.data.latents)
    if encoder and (latents / "manifest.json").is_file():
        check_same_encoder(
            encoder,
            load_manifest(latents).encoder,
            f"the {name} run was trained on latents of other weights than {recipe.data.latents} holds now",
            "train it again",
        )


def check_shared(
    name: str, other: Recipe, main: str, recipe: Recipe, manifest: Manifest, tables: bool
) -> None:
    """Refuse a run whose latents, schedule or text are not those of the main run.

    Args:
        name: of the run.
        other: its recipe.
        main: the name of the main run.
        recipe: the recipe of the main run.
        manifest: of the latents of the main run.
        tables: whether both runs take prompts from a table.

    Raises:
        InputError: they differ.
    """
    same = key_of(other.data, other.codec) == key_of(recipe.data, recipe.codec)
    if not same and not _one_space(other, recipe, manifest):
        raise InputError(
            f"the {name} run was trained on other latents than the {main} run: export runs of one encoding, or of encodings "
            "whose data.statistics are shared"
        )
    if other.kind != "decoder" and (
        other.schedule != recipe.schedule or (tables and other.text != recipe.text)
    ):
        raise InputError(
            f"the {name} and the {main} run differ in schedule or text: export runs that share both"
        )


def _one_space(other: Recipe, recipe: Recipe, manifest: Manifest) -> bool:
    """Whether latents of other data are those of the same space, and clips of the same length and rate."""
    if other.data.latents == recipe.data.latents:  # of other settings than the folder's
        return False
    own, its = buckets_of(recipe.data)[0], buckets_of(other.data)[0]
    if other.codec != recipe.codec or its.size != own.size:
        return False
    length = (its.frames, other.data.fps) == (own.frames, recipe.data.fps)
    theirs = load_manifest(Path(other.data.latents))
    if differ(theirs.encoder, manifest.encoder):
        return False
    return (other.kind == "image" or length) and (theirs.mean, theirs.std) == (manifest.mean, manifest.std)
