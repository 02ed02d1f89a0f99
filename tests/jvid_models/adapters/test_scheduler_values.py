"""Configs of schedulers whose values have another type: refused with the key, never a traceback."""

from __future__ import annotations

import math
from typing import Any

import pytest

from jvid.errors import InputError
from jvid_models.adapters.scheduler_configs import levels_of_scheduler

TABLE = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
}
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
COSINE = {"_class_name": "DDPMWuerstchenScheduler", "s": 0.008, "scaler": 1.0}
OTHERS: list[Any] = [True, "x", "", "²", [], [1], ["x"], {}, {"a": 1}, math.nan, math.inf, 10**400]


@pytest.mark.parametrize("value", [None, *OTHERS])
@pytest.mark.parametrize("key", ["num_train_timesteps", "beta_start", "beta_end"])
def test_numbers_of_a_table(key: str, value: Any) -> None:
    for config in (TABLE, {name: each for name, each in TABLE.items() if name != "_class_name"}):
        with pytest.raises(
            InputError, match=f"a scheduler's config with {key} .*: expected a (finite|whole) number"
        ):
            levels_of_scheduler({**config, key: value})


@pytest.mark.parametrize("value", [0, -1, 1.5, 10**9])
def test_timesteps_of_a_table(value: Any) -> None:
    with pytest.raises(
        InputError, match=r"num_train_timesteps .*: expected a whole number from 1 to 1000000"
    ):
        levels_of_scheduler({**TABLE, "num_train_timesteps": value})


@pytest.mark.parametrize("value", [True, 0, 1.5, [], ["x"], {}, {"a": 1}])
@pytest.mark.parametrize("key", ["_class_name", "beta_schedule", "prediction_type"])
def test_texts(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"a scheduler's config with {key} .*: expected text"):
        levels_of_scheduler({**TABLE, key: value})


@pytest.mark.parametrize("value", [True, 0, "x", {}, ["x"], [None], [[0.1]], [math.nan]])
def test_betas(value: Any) -> None:
    with pytest.raises(InputError, match=r"trained_betas .*: expected a list of numbers"):
        levels_of_scheduler({**TABLE, "trained_betas": value})


@pytest.mark.parametrize("value", OTHERS)
@pytest.mark.parametrize(
    ("config", "key"),
    [(FLOW, "shift"), (FLOW, "sigma_data"), (FLOW, "sigma_min"), (COSINE, "s"), (COSINE, "scaler")],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_numbers_of_other_levels(config: dict[str, Any], key: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"a scheduler's config with {key} .*: expected a finite number"):
        levels_of_scheduler({**config, key: value})


def test_absent_numbers_are_the_classes_own() -> None:
    assert levels_of_scheduler({**FLOW, "shift": None, "sigma_data": None}) == levels_of_scheduler(
        {**FLOW, "shift": 1.0}
    )
    assert levels_of_scheduler({**TABLE, "trained_betas": None}) == levels_of_scheduler(TABLE)
