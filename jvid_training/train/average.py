"""The exponential moving average of a network's weights, by the parameters' names: what a run is exported with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from jvid_training.train.parameters import trained

__all__ = ["Average"]


class Average:
    """The moving average of what is trained of ``network``, which is the module that owns the parameters, not a wrapper of it."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._model = EMAModel(trained(network).values(), decay=decay, foreach=True)

    def update(self) -> None:
        """Take in the weights of a step."""
        self._model.step(trained(self._network).values())

    def load(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Go on from the average of ``step``."""
        for name, shadow in self._named():
            shadow.copy_(weights[name])
        self._model.optimization_step = step

    def weights(self) -> dict[str, Tensor]:
        """A copy of the average, by the parameters' names."""
        return {name: shadow.detach().clone() for name, shadow in self._named()}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the averaged weights within the block."""
        parameters = list(trained(self._network).values())
        self._model.store(parameters)
        self._model.copy_to(parameters)
        try:
            yield
        finally:
            self._model.restore(parameters)

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        return zip(trained(self._network), self._model.shadow_params, strict=True)
