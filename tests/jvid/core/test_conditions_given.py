"""Conditions of another kind than a conditioner makes: refused in a line that names what makes one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jvid
from jvid.errors import InputError
from tests.toy import SHAPE, toy_ensemble

NEEDED = r"cond is a {}: expected a condition, which an ensemble makes of prompts: cond=ensemble.condition\(\['a fox'\]\)"


@pytest.mark.parametrize("cond", ["a fox", ["a fox"], torch.zeros(1), 3])
def test_prompts_in_the_place_of_a_condition(cond: Any) -> None:
    ensemble = toy_ensemble()
    sampler = jvid.compose(jvid.Strategy("always:name=video", "ddim", steps=2), ensemble)
    with pytest.raises(InputError, match=NEEDED.format(type(cond).__name__)):
        sampler(SHAPE, seeds=[0], cond=cond)


def test_prompts_within_a_condition() -> None:
    from jvid_models.adapters.pipelines.prompts import prompts_of
    from jvid_models.adapters.unet import from_unet
    from jvid_models.networks.table1 import SCHEDULER
    from jvid_models.networks.unets import image_unet

    with pytest.raises(
        InputError, match=r"the condition 'prompt' is a str: expected .* PipelinePrompts gives it"
    ):
        prompts_of("a fox")
    unet = image_unet(channels=(8, 8), layers=1, text_width=4, groups=4, heads=1)
    x, t = torch.zeros(1, 4, 1, 4, 4), torch.tensor(0.5, dtype=torch.float64)
    with pytest.raises(InputError, match=r"the condition 'text' is a str: this UNet takes \(b, n, 4\)"):
        from_unet(unet, SCHEDULER)(x, t, {"text": "a fox"})
