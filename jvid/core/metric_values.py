"""What feature networks and metrics return, checked against their protocols."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jvid.core.metrics import ClipSample, FeatureNetwork, Score
from jvid.errors import PluginError

__all__ = ["rows_of", "value_of"]


def rows_of(network: FeatureNetwork, frames: np.ndarray) -> dict[str, np.ndarray]:
    """The rows of a network by output: finite arrays, "features" ``(n d)`` or ``(n f d)`` among them.

    Raises:
        PluginError: anything else, in one line with the network's name.
    """
    made = network(frames)
    outputs = made if isinstance(made, Mapping) else {"features": made}
    rows = {key: np.asarray(array) for key, array in outputs.items()}
    who = f"features {network.name!r}"
    if "features" not in rows:
        raise PluginError(f"{who} returned {', '.join(rows) or 'nothing'}: expected 'features' among them")
    lead, wanted = (frames.shape[:1], "(n, d)") if network.kind == "clip" else (frames.shape[:2], "(n, f, d)")
    for key, array in rows.items():
        if array.dtype.kind not in "fiu":
            raise PluginError(f"{who} returned {key} of {array.dtype}: expected numbers")
        # Other outputs, such as "pooled", have a row for each clip, whatever its shape.
        found = array.shape[:-1] if key == "features" else array.shape[:1]
        if found != (lead if key == "features" else frames.shape[:1]):
            raise PluginError(
                f"{who} returned {key} {array.shape} for frames {frames.shape}: expected {wanted}"
            )
        if not np.isfinite(array).all():
            raise PluginError(f"{who} returned {key} with NaN or infinity: expected finite numbers")
    return rows


def value_of(metric: Any, made: Any, clips: ClipSample) -> Score | np.ndarray | None:
    """What a `jvid.Metric` returned for clips: a score, float64 numbers ``(n)`` of the clips, or None for no value.

    Raises:
        PluginError: anything else, or a number that is not finite, in one line with the metric's name.
    """
    who = f"metric {metric.name!r}"
    if made is None:
        return None
    if isinstance(made, Score):
        for what, value in (("", made.value), ("low ", made.low), ("high ", made.high)):
            if value is not None and not math.isfinite(value):
                raise PluginError(f"{who} returned {what}{value} for {clips.name}: expected a finite number")
        return made
    try:
        values = np.asarray(made, np.float64)
    except (TypeError, ValueError):
        raise PluginError(
            f"{who} returned a {type(made).__name__}: expected a number, one for each clip, or a Score"
        ) from None
    if values.ndim and values.shape != (len(clips),):
        raise PluginError(
            f"{who} returned numbers of shape {values.shape} for {len(clips)} clips: expected one number, or ({len(clips)},)"
        )
    if not np.isfinite(values).all():
        wrong = values.ravel()[~np.isfinite(values.ravel())][0]
        raise PluginError(f"{who} returned {wrong} for {clips.name}: expected a finite number")
    return values if values.ndim else Score(float(values))
