"""What latents have to agree with: the autoencoder, the captions of today, and the latents whose statistics they take."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jvid.documents import check_same
from jvid.errors import InputError
from jvid_training.data.clips import ClipFile
from jvid_training.data.encoder_weights import check_same_encoder, encoder_digest
from jvid_training.data.manifest import Manifest, Sequence, key_of, load_manifest
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import CodecChoice, Data
from jvid_training.recipe_buckets import buckets_of

REMEDY = "give data.latents another folder, or delete that one"


def check_size(data: Data, codec: Any) -> None:
    """Refuse frames whose side the autoencoder's factor does not divide, before a clip is read."""
    factor = getattr(codec, "factor", 1)
    for side in (side for bucket in buckets_of(data) for side in bucket.size):
        if side % factor:
            key = "data.aspects.step" if data.aspects else "data.buckets" if data.buckets else "data.size"
            got = data.aspects.step if data.aspects else side
            network = type(getattr(codec, "autoencoder", codec)).__name__
            raise InputError(
                f"{key}: got {got}, expected a multiple of {factor}, by which {network} divides a frame's sides"
            )


def some(names: Iterable[str]) -> str:
    """At most eight names in a sentence, of lists that may have thousands."""
    every = list(names)
    first, more = every[:8], len(every) - 8
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def shared_statistics(data: Data, key: dict[str, Any], encoder: str) -> Manifest | None:
    """The manifest whose mean and deviation are taken, if one is named; it has to be of the same autoencoder and size.

    ``encoder`` is the digest of the autoencoder's weights.
    """
    if not data.statistics:
        return None
    if not data.normalise:
        raise InputError(
            f"data.statistics = {data.statistics!r} beside data.normalise = false: latents that are not normalised have "
            "none, leave one out"
        )
    other = load_manifest(Path(data.statistics))
    parts = ("codec", key["codec"], other.key["codec"]), ("size", data.size, other.key["data"]["size"])
    for name, own, theirs in parts:
        check_same({name: theirs}, {name: own}, f"data.statistics: {data.statistics} holds other latents",
                   "name latents of the same autoencoder and size, or leave it out")  # fmt: skip
    check_same_encoder(
        other.encoder,
        encoder,
        f"data.statistics: {data.statistics} holds latents of other weights than the codec's now",
        "encode those latents again, too",
    )
    return other


def check_encoded(manifest: Manifest, data: Data, codec: CodecChoice) -> None:
    """Refuse latents that were encoded from other data, with other settings or by another autoencoder than a recipe's."""
    check_same(manifest.key, key_of(data, codec), f"{data.latents} holds latents of other settings", REMEDY)
    # The folder of the codec may have been written again since.
    check_same_encoder(
        manifest.encoder,
        encoder_digest(codec),
        f"{data.latents} holds latents of other weights than the codec {codec.name!r} has now",
        f"delete {data.latents} and encode again, or put the former weights back",
    )


def check_captions(manifest: Manifest, files: list[ClipFile]) -> None:
    """Refuse latents whose captions or attributes are no longer those of the files."""
    known = {sequence.clip: sequence for sequence in manifest.sequences.of_clips()}
    then, now = (
        {name: _stated(each[name]) for name in sorted(each) if name not in manifest.skipped}
        for each in (known, {file.name: file for file in files})
    )
    check_same(then, now, "the clips have other captions or splits than their latents", REMEDY)


def _stated(clip: ClipFile | Sequence) -> dict[str, Any]:
    return {"captions": list(clip.captions), "attributes": dict(clip.attributes), "actor": clip.actor}


def check_same_everywhere(manifest: Manifest, folder: str, ranks: Ranks) -> None:
    """Refuse latents that are others in some process of the job, as where each node has an encoding of its own.

    Shards are compared with the digests of the manifest when they are opened, so that equal digests mean equal rows.

    Raises:
        InputError: in every process, with those that differ from the first one.
    """
    digests = ranks.gather(manifest.digest)
    if others := [str(rank) for rank, digest in enumerate(digests) if digest != digests[0]]:
        raise InputError(
            f"data.latents: {folder} holds other latents in process {some(others)} than in process 0 (digest "
            f"{digests[0][:12]}, here {manifest.digest[:12]}): copy one encoding to all nodes, or use a shared folder"
        )
