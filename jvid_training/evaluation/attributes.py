"""Trains an attribute classifier on captioned pictures: what it measures is whether a sample shows what its caption names.

    L = sum over attributes of the mean cross-entropy of its values

AdamW, one cycle of the learning rate. Which pictures are held out is the caller's choice; the classifier's accuracy on them is
written beside its weights, since a figure of samples is read against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from jvid.errors import InputError
from jvid.files import whole_folder, write_json
from jvid.media.clips import pictures
from jvid_models.weights import save_weights
from jvid_training.data.clips import ClipFile
from jvid_training.data.streams import generator
from jvid_training.evaluation.networks.attributes import DESCRIPTION, WEIGHTS, AttributeClassifier

__all__ = ["train_attributes", "values_of"]

_LR, _DECAY = 2e-3, 1e-2


def values_of(files: Sequence[ClipFile], keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Every value of each attribute, sorted.

    Raises:
        InputError: a file without the attribute, or an attribute of one value only.
    """
    found: dict[str, tuple[str, ...]] = {}
    for key in keys:
        if lacking := [file.name for file in files if key not in file.attributes]:
            raise InputError(f"{lacking[0]}: no attribute {key!r}; expected it in each line of the metadata")
        found[key] = tuple(sorted({str(file.attributes[key]) for file in files}))
        if len(found[key]) < 2:
            raise InputError(f"attribute {key!r} has one value, {found[key][0]!r}: expected at least two")
    return found


def train_attributes(
    training: Sequence[ClipFile],
    held_out: Sequence[ClipFile],
    keys: Sequence[str],
    out: Path,
    *,
    steps: int = 3000,
    batch: int = 32,
    seed: int = 0,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> dict[str, float]:
    """Train on the first frame of each file and write the folder; returns the accuracy of each attribute on held-out files.

    Raises:
        InputError: no files, attributes that `values_of` refuses, or a held-out value that no training file has.
    """
    if not training or not held_out:
        raise InputError(f"got {len(training)} files to train on and {len(held_out)} held out: expected some")
    values = values_of(training, keys)
    targets, expected = _targets(training, values), _targets(held_out, values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = AttributeClassifier(values)
    optimiser = torch.optim.AdamW(classifier.parameters(), _LR, weight_decay=_DECAY)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LR, total_steps=steps)
    with whole_folder(out, DESCRIPTION, (WEIGHTS,)) as folder:
        for step in range(steps):
            chosen = generator(seed, step, 0).integers(len(training), size=batch)
            losses = _losses(
                classifier, _frames([training[index] for index in chosen]), targets[chosen.tolist()]
            )
            optimiser.zero_grad()
            losses.sum().backward()
            torch.nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
            optimiser.step()
            cycle.step()
            progress(step + 1, float(losses.detach().mean()))
        right = _accuracies(classifier.eval(), held_out, expected)
        save_weights(classifier.state_dict(), folder / WEIGHTS)
        description: dict[str, Any] = {"values": values, "accuracy": right, "held_out": len(held_out)}
        write_json(folder / DESCRIPTION, description)
    return right


@torch.inference_mode()
def _accuracies(
    classifier: AttributeClassifier, files: Sequence[ClipFile], targets: Tensor
) -> dict[str, float]:
    """The share of files whose attribute the classifier names, by attribute; ``targets`` ``(n attributes)`` are indices."""
    right = torch.zeros(len(classifier.values))
    for first in range(0, len(files), 32):
        logits = classifier.split(classifier(_frames(files[first : first + 32]))[1])
        seen = torch.stack([each.argmax(-1) for each in logits.values()], -1)
        right += (seen == targets[first : first + 32]).float().sum(0)
    return {
        key: round(float(each) / len(files), 4) for key, each in zip(classifier.values, right, strict=True)
    }


def _losses(classifier: AttributeClassifier, frames: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropies ``(attributes)``."""
    parts = classifier.split(classifier(frames)[1]).values()
    return torch.stack([F.cross_entropy(part, targets[:, place]) for place, part in enumerate(parts)])


def _targets(files: Sequence[ClipFile], values: Mapping[str, Sequence[str]]) -> Tensor:
    rows = []
    for file in files:
        row = []
        for key, known in values.items():
            value = str(file.attributes.get(key))
            if value not in known:
                raise InputError(
                    f"{file.name}: {key} {value!r} is of no training file; expected one of {', '.join(known)}"
                )
            row.append(known.index(value))
        rows.append(row)
    return torch.tensor(rows)


def _frames(files: Sequence[ClipFile]) -> Tensor:
    """The first frames ``(n 3 H W)`` in [-1, 1]."""
    frames = [next(pictures(file.path)).pixels for file in files]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
