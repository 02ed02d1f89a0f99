"""Samples of a published model while it trains: its pipeline's own run, by the network that is trained.

The pipeline is the one in memory: its encoders, the guidance that its call has by default, its times, its scheduler's solver, its
autoencoder. Of a folder of two transformers the other one runs as it is.
"""

from __future__ import annotations

from jvid.ensemble import Ensemble
from jvid_models.ensembles.pipelines import pipeline_ensemble
from jvid_training.published.model import PublishedModel, sizes_of
from jvid_training.recipe import Recipe

__all__ = ["sampled_ensemble"]


def sampled_ensemble(model: PublishedModel, recipe: Recipe) -> Ensemble:
    """The ensemble of a model's pipeline, at the sizes of the recipe's data; its strategy is the pipeline's own run.

    Raises:
        InputError: the pipeline's call does not take the recipe's options.
    """
    stated = recipe.published
    assert stated is not None
    pipe = model.whole.pipe
    # Not jvid's own adapter: it would keep a forward of its own of the network that is trained.
    return pipeline_ensemble(
        pipe, native=False, untested=stated.untested, **{**sizes_of(pipe, recipe), **stated.options}
    )
