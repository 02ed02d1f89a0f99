"""The moving average against diffusers' own step."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from jvid_training.train.average import Average


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9999])
def test_an_update_is_diffusers_own_step(decay: float) -> None:
    """To rounding, with its decay that grows with the steps; the parameters stay as they are."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3)).double()
    parameters = dict(network.named_parameters())
    average, theirs = Average(parameters, decay), EMAModel(network.parameters(), decay=decay)
    for step in range(30):
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.add_(torch.randn_like(parameter))
        before = copy.deepcopy(network.state_dict())
        average.update()
        theirs.step(network.parameters())
        assert average.updates == step + 1
        for mine, other in zip(average.named().values(), theirs.shadow_params, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
