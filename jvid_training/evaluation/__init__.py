"""How good samples are, by the field's own figures: FVD, FID, IS by StyleGAN-V's protocol, flicker, action recognised.

    evaluate(source, reference, networks)           sources of clips -> `EvaluationResult`, figures with intervals and floors
    evaluate(source, reference, metrics=[...])      the same, of metrics of one's own or of `load_metrics`

`jvid_training.evaluation.sources` holds real clips and codecs' floors; `jvid_training.generation.sets` generated sets.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jvid_training.evaluation.cache import FeatureCache as FeatureCache
    from jvid_training.evaluation.evaluating import evaluate as evaluate
    from jvid_training.evaluation.evaluating import real_floor as real_floor
    from jvid_training.evaluation.evaluating import recogniser_of as recogniser_of
    from jvid_training.evaluation.figures import EvaluationResult as EvaluationResult
    from jvid_training.evaluation.figures import Figure as Figure
    from jvid_training.evaluation.metrics import default_metrics as default_metrics
    from jvid_training.evaluation.metrics import load_metrics as load_metrics
    from jvid_training.evaluation.networks import load_network as load_network
    from jvid_training.evaluation.sources import ClipSource as ClipSource
    from jvid_training.evaluation.sources import Coded as Coded
    from jvid_training.evaluation.sources import RealClips as RealClips

_HOMES = {
    "FeatureCache": "cache",
    "evaluate": "evaluating",
    "real_floor": "evaluating",
    "recogniser_of": "evaluating",
    "EvaluationResult": "figures",
    "Figure": "figures",
    "default_metrics": "metrics",
    "load_metrics": "metrics",
    "load_network": "networks",
    "ClipSource": "sources",
    "Coded": "sources",
    "RealClips": "sources",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # Imported when used: a command's module is in this package, and listing commands is light.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
