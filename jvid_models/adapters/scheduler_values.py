"""The types of the values of a scheduler's config that levels are read of; a config may have been written by anybody."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from jvid.documents import short
from jvid.errors import InputError

__all__ = ["check_values"]

_NUMBERS = ("beta_start", "beta_end", "s", "scaler")
_OPTIONAL = ("flow_shift", "shift", "sigma_data", "sigma_max", "sigma_min", "snr_shift_scale")
_TEXTS = ("_class_name", "beta_schedule", "prediction_type", "sigma_schedule", "timestep_type")
_MOST = 1_000_000
"""Timesteps of a table."""


def check_values(config: Mapping[str, Any]) -> None:
    """Refuse values of another type.

    Raises:
        InputError: it names the key.
    """
    for key in config.keys() & {*_NUMBERS, *_OPTIONAL, *_TEXTS, "num_train_timesteps", "trained_betas"}:
        value = config[key]
        if key in _TEXTS:
            expected, right = "text", value is None or isinstance(value, str)
        elif key == "num_train_timesteps":
            expected = f"a whole number from 1 to {_MOST}"
            right = _is_number(value) and 1 <= value <= _MOST and value == int(value)
        elif key == "trained_betas":  # a list in a file, any sequence of a live scheduler
            expected = "a list of numbers"
            right = not isinstance(value, str | bool | Real | Mapping) and (
                not isinstance(value, list | tuple) or all(map(_is_number, value))
            )
        else:
            expected = "a finite number"
            right = _is_number(value) or (value is None and key in _OPTIONAL)
        if not right:
            raise InputError(f"a scheduler's config with {key} {short(value)}: expected {expected}")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # of more digits than a float has
        return False
