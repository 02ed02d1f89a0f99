"""How the network of a recipe computes the parts of a step: on the batches of the recipe, by the trainer's own forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs
from torch import Tensor, nn

from jvid_training.estimate.shapes import Shapes, batches_of
from jvid_training.estimate.step import StepCost, cost_of, weighted
from jvid_training.recipe import Recipe
from jvid_training.train.networks import accelerated, by_modules, recomputes, unet_of
from jvid_training.train.objectives import Objective
from jvid_training.train.parallel import compile_backend, gathered
from jvid_training.train.precision import DTYPES

__all__ = ["RecipeSteps", "Steps"]


class Steps(Protocol):
    """How a network computes the parts of a step."""

    @property
    def beside(self) -> int:
        """Bytes of modules that are on a device beside the network."""
        ...

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The modules that a sharded run gathers while it evaluates them, those within another one first."""
        ...

    def batch(self, size: int) -> Mapping[str, tuple[int, ...]]:
        """Shapes of a part of ``size`` samples, by name; of the largest form."""
        ...

    def cost(self, size: int, checkpointing: bool, sharded: bool = False) -> StepCost | None:
        """The cost of such a part; None where the network does not compute layers again."""
        ...


@attrs.frozen(eq=False)
class RecipeSteps:
    """Those of a network of a recipe's own factory.

    Attributes:
        recipe: of the run.
        network: on the meta device, with the parameters that are trained.
        objective: of the recipe.
        shapes: of its batches.
        held: meta tensors that a device holds beside the network: the table of prompts.
    """

    recipe: Recipe
    network: nn.Module
    objective: Objective
    shapes: Shapes
    held: Sequence[Tensor] = ()

    @property
    def beside(self) -> int:
        """None: encoders are not on the device."""
        return 0

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The members of the network's outermost lists."""
        return gathered(self.network)

    def batch(self, size: int) -> Mapping[str, tuple[int, ...]]:
        """Shapes of a part of ``size`` samples, by name; of the largest form."""
        _, largest = batches_of(self.recipe, self.shapes, size)[0]
        return {name: tuple(values.shape) for name, values in largest.items()}

    def cost(self, size: int, checkpointing: bool, sharded: bool = False) -> StepCost | None:
        """The mean cost of such a part over the recipe's forms; of decoders and autoencoders none with layers computed again.

        Raises:
            InputError: the recipe has ``checkpointing`` that a run refuses.
        """
        training = self.recipe.training
        is_unet = self.recipe.kind in ("image", "video")
        # Blocks are gathered and compiled by their modules, which the fast forward does not call.
        stock = sharded or compile_backend(self.recipe) is not None
        refused = stock and not recomputes(self.network)  # by `by_modules`, where the recipe has it
        if checkpointing and (not is_unet or (refused and not training.checkpointing)):
            return None
        if is_unet and recomputes(self.network):
            unet_of(self.network).disable_gradient_checkpointing()
        forward = by_modules if stock else accelerated
        run = forward(self.network, checkpointing) if is_unet else self.network
        parameters, dtype = dict(self.network.named_parameters()), DTYPES[training.precision]
        accumulated = training.accumulate > 1
        return weighted(
            [
                (
                    share,
                    cost_of(run, parameters, self.objective, batch, dtype, accumulated, self.held, sharded),
                )
                for share, batch in batches_of(self.recipe, self.shapes, size)
            ]
        )
