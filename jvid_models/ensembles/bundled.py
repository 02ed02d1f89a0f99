"""The ensembles that come with the library, each a folder of jvid_models with a card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jvid.ensemble import Ensemble
from jvid.errors import MissingDependencyError
from jvid_models.ensembles.folder import is_ensemble_folder, load_ensemble

if TYPE_CHECKING:
    import torch

__all__ = ["actions_64", "sprites_64"]


def actions_64(
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    decoder: str = "video",
    fast: bool = True,
) -> Ensemble:
    """Ten actions of the Weizmann clips, 16 frames of 64x64 at 12.5 per second; options are those of `EnsembleFolder`.

    A prompt is "A human", "A person" or "Someone" with one of: bending down, doing jumping jacks, jumping forward,
    jumping in place, running, moving sideways, skipping, walking, waving one hand, waving two hands.
    """
    return load_ensemble(_folder("actions_64"), device=device, dtype=dtype, decoder=decoder, fast=fast)


def sprites_64(
    *, device: str | torch.device = "cpu", dtype: str | torch.dtype = "float32", fast: bool = True
) -> Ensemble:
    """Animated characters of the Liberated Pixel Cup, 8 frames of 64x64 at 8 per second, of any prompt of known words.

    Such as "a tanned man with a red mohawk in leather armor and brown shoes walks, facing right". Words that it knows:

    * who: man, woman; light-skinned, tanned, dark-skinned, elf, orc, skeleton
    * hair: bangs, bobbed, braided, curly, feathered, flowing, long, loose, messy, mohawk, parted, pigtails, ponytail, short,
      swept, topknot, tousled, hair; beard
    * colours: auburn, black, blonde, blue, brown, ginger, golden, gray, green, magenta, maroon, pink, purple, red, silver,
      steel, teal, white
    * on the head: chain, cloth, hat, helmet, hood, kettle
    * clothes: armor, boots, cape, dress, gown, greaves, leather, mail, pants, plate, robe, shirt, shoes, skirt, tabard, top, vest
    * actions: casts, casting, spell; shoots, shooting, arrow; slashes, slashing, dagger; thrusts, thrusting, spear;
      walks, walking
    * directions: facing; away, left, right, viewer
    * between them: a, an, and, has, in, is, the, wears, who, with

    Options are those of `EnsembleFolder`.
    """
    return load_ensemble(_folder("sprites_64"), device=device, dtype=dtype, fast=fast)


def _folder(name: str) -> Path:
    folder = Path(__file__).parents[1] / name
    if not is_ensemble_folder(folder):
        raise MissingDependencyError(
            f"this installation of jvid carries no weights of {name.replace('_', '-')} (no {folder}): install it whole, or "
            "name the folder of an ensemble of your own"
        )
    return folder
