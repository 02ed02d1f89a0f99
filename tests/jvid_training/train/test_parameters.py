"""What a run starts from, and what it keeps: nothing is taken in part without being named."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from jvid.errors import InputError
from jvid_models.networks.unets import image_unet, video_unet
from jvid_training.train.parameters import fix, start_from

TEMPORAL = ("*temp_*", "transformer_in.*")


class Net(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, width), nn.Linear(width, 1)


def weights(width: int = 3, **more: Tensor) -> dict[str, Tensor]:
    return {
        **{name: torch.full_like(values, 7.0) for name, values in Net(width).state_dict().items()},
        **more,
    }


def test_image_weights_start_a_video_network() -> None:
    options = {"channels": (32, 64), "layers": 1, "groups": 8, "head_width": 16, "text_width": 16}
    image, video = image_unet(**options), video_unet(**options)
    with pytest.raises(InputError, match=r"\d+ of \d+ tensors of the network are not taken \(transformer_in"):
        start_from(video, image.state_dict())
    taken = start_from(video, image.state_dict(), TEMPORAL)
    assert taken == len(image.state_dict())
    own = video.state_dict()
    for name, tensor in image.state_dict().items():
        torch.testing.assert_close(own[name].flatten(), tensor.flatten(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"other": torch.zeros(3)}, "no tensor of f.safetensors fits the network"),
        (
            {"first.weight": torch.zeros(3, 2)},
            r"3 of 4 tensors of the network are not taken \(first.bias, last.weight, last.bias\); correct \[network\]",
        ),
        (weights(extra=torch.zeros(1)), r"1 of 5 tensors of f.safetensors are not taken \(extra\)"),
        (
            {**weights(), "last.weight": torch.zeros(1, 4)},
            r"1 of 4 tensors of the network are not taken \(last.weight\) and 1 of 4 tensors of f.safetensors",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_copied(given: dict[str, Tensor], message: str) -> None:
    network = Net()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    with pytest.raises(InputError, match=message) as caught:
        start_from(network, given, file="f.safetensors")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], values) for name, values in network.state_dict().items())


def test_what_the_recipe_names_may_differ() -> None:
    network = Net()
    before = network.last.weight.detach().clone()
    given = weights(extra=torch.zeros(1)) | {"last.weight": torch.zeros(1, 4)}
    assert start_from(network, given, ["last.w*"], ["extra"]) == 3
    assert torch.equal(network.last.weight, before)
    assert network.first.weight.eq(7).all()
    # A tensor that fits is not taken either where it is named.
    assert start_from(network, weights(), ["last.weight"]) == 3
    assert torch.equal(network.last.weight, before)
    for key, patterns in (("new", (["nothing"], ())), ("unused", ((), ["nothing"]))):
        with pytest.raises(InputError, match=f"training.{key}: no tensor is named 'nothing'"):
            start_from(network, weights(), *patterns)


def test_fixed_names_are_checked() -> None:
    network = Net()
    with pytest.raises(InputError, match=r"training.fixed: no tensor is named 'encoder'; .* first\.weight"):
        fix(network, ["encoder"])
    with pytest.raises(InputError, match=r"first.\*, last.\* name every parameter"):
        fix(network, ["first.*", "last.*"])
    fix(network, ["first.*"])
    assert [name for name, each in network.named_parameters() if each.requires_grad] == [
        "last.weight",
        "last.bias",
    ]
