"""How a published model computes the parts of a step: calls of its network as its pipeline makes them, on shapes alone.

    a part of b samples = b calls of one row,      cost(b) = cost(1) + (b - 1) (cost(2) - cost(1))

The pipeline is read without weights. Its own code, run on shapes, gives the arguments of one call, at the size of each bucket. A
batch in one call, as of jvid's own adapters, has the same operations and activations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from jvid.errors import InputError, JvidError, one_line
from jvid_models.adapters.pipelines.call import PLAIN
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.setting import learn
from jvid_training.estimate.step import StepCost, cost_of, weighted
from jvid_training.published.lora import inject
from jvid_training.published.model import PublishedModel, sizes_of
from jvid_training.recipe import Recipe
from jvid_training.recipe_buckets import Bucket
from jvid_training.train.networks import recomputes
from jvid_training.train.parallel import published_blocks
from jvid_training.train.precision import DTYPES

__all__ = ["PublishedSteps", "published_steps"]


@attrs.frozen(eq=False)
class _SquaredOutputs:
    """The objective of an estimate: the mean square of the outputs of so many calls."""

    args: Any
    kwargs: Any
    rows: int

    def sample(self, windows: Any, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """Not available: nothing is drawn in an estimate."""
        raise NotImplementedError

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """One value per row."""
        kind: Any = type(network)  # its instance refuses calls without weights
        outputs = [
            tree_flatten(kind.forward(network, *self.args, **self.kwargs))[0] for _ in range(self.rows)
        ]
        return torch.stack([each[0].float().square().mean() for each in outputs])


@attrs.frozen(eq=False)
class _Call:
    """A call of one row, and the share of the steps that are of its form.

    Attributes:
        share: of the steps.
        shape: ``(c, f, h, w)`` of a sample.
        args: meta tensors in it.
        kwargs: as ``args``.
    """

    share: float
    shape: tuple[int, ...]
    args: Any
    kwargs: Any


@attrs.frozen(eq=False)
class PublishedSteps:
    """Those of a published model; built by `published_steps`.

    Attributes:
        recipe: of the run.
        network: on the meta device, with its adapters.
        calls: of one row in each form of the recipe's batches, the largest first.
        beside: bytes of the pipeline's other modules, which the run holds for its prompts.
    """

    recipe: Recipe
    network: nn.Module
    calls: tuple[_Call, ...]
    beside: int

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Those that diffusers declares, and the members of lists without any."""
        return published_blocks(self.network)

    def batch(self, size: int) -> Mapping[str, tuple[int, ...]]:
        """The latents of a part; of the largest form."""
        return {"x": (size, *self.calls[0].shape)}

    def cost(self, size: int, checkpointing: bool, sharded: bool = False) -> StepCost | None:
        """The mean cost of a part of ``size`` samples; None where the network does not compute layers again.

        Raises:
            InputError: a network that does not run on shapes alone.
        """
        network: Any = self.network
        if checkpointing and not recomputes(network):
            return None
        if checkpointing:
            network.enable_gradient_checkpointing()
        network.train()
        try:
            return weighted([(call.share, self._part(call, size, sharded)) for call in self.calls])
        except JvidError:
            raise
        except Exception as error:
            raise InputError(
                f"a {type(network).__name__} does not run on shapes alone ({one_line(error, first=True, typed=True)}): it has no "
                "estimate"
            ) from error
        finally:
            if checkpointing:
                network.disable_gradient_checkpointing()

    def _part(self, call: _Call, size: int, sharded: bool) -> StepCost:
        one = self._of(call, 1, sharded)
        return one if size == 1 else _extended(one, self._of(call, 2, sharded), size)

    def _of(self, call: _Call, rows: int, sharded: bool) -> StepCost:
        training = self.recipe.training
        return cost_of(
            self.network,
            dict(self.network.named_parameters()),
            _SquaredOutputs(call.args, call.kwargs, rows),
            {},
            DTYPES[training.precision],
            training.accumulate > 1,
            sharded=sharded,
        )


def published_steps(
    model: PublishedModel, recipe: Recipe, forms: Sequence[tuple[Bucket, float]]
) -> PublishedSteps:
    """The steps of a model that was loaded without weights.

    Args:
        model: of the recipe.
        recipe: of the run.
        forms: of its batches, each with its share of the steps (`jvid_training.estimate.shapes.forms_of`).

    Raises:
        InputError: targets of adapters that there are not, a size that the pipeline does not take, or a pipeline that calls its
            network more than once a step.
    """
    network = model.network
    calls = tuple(_call(model, recipe, *form) for form in forms)
    others = [
        each
        for name, each in modules_of(model.whole.pipe).items()
        if each is not network and name != model.component
    ]
    beside = sum(
        tensor.numel() * tensor.element_size()
        for each in others
        for tensor in (*each.parameters(), *each.buffers())
    )
    network.to("meta")
    with torch.device("meta"):
        if recipe.lora is None:
            network.requires_grad_(True)
        else:
            inject(network, recipe.lora)
    steps = PublishedSteps(recipe, network, calls, beside)
    if recipe.lora is None and (cost := steps.cost(1, False)) is not None:
        # As a run leaves them: processes would wait for their gradients.
        for name in cost.unused:
            network.get_parameter(name).requires_grad_(False)
    return steps


def _call(model: PublishedModel, recipe: Recipe, bucket: Bucket, share: float) -> _Call:
    """The call of the pipeline at the size of a bucket."""
    denoiser, sizes = model.denoiser, sizes_of(model.denoiser.pipe, recipe, bucket)
    same = sizes == sizes_of(denoiser.pipe, recipe)
    setting = denoiser.setting if same else learn(denoiser.call, [PLAIN], sizes)
    calls = [given for name, given in setting.networks.inputs if name == model.component]
    if len(calls) != 1:
        raise InputError(
            f"{denoiser.call.who} calls its {model.component} {len(calls)} times a step: expected one, without guidance"
        )
    args, kwargs = tree_map(_on_meta, calls[0])
    return _Call(share, setting.layout.shape[1:], args, kwargs)


def _on_meta(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value


def _extended(one: StepCost, two: StepCost, size: int) -> StepCost:
    """The cost of ``size`` calls, of those of one and of two."""

    def of(name: str) -> int:
        first, second = getattr(one, name), getattr(two, name)
        return int(first + (size - 1) * (second - first))

    return StepCost(of("forward"), of("backward"), of("activations"), one.gradients, of("peak"), one.unused)
