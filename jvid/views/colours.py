"""A colour for each expert, the same in every picture of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence

from jvid.extras import extra

__all__ = ["expert_colours"]

# Okabe and Ito's colours: distinct for colour-blind readers as well; yellow, the palest on white, comes last.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")


def expert_colours(names: Sequence[str]) -> dict[str, str]:
    """Names of experts to colours, ``#RRGGBB``, in their order."""
    if len(names) <= len(_COLOURS):
        return dict(zip(names, _COLOURS, strict=False))
    with extra("media"):
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

    # More than eight cannot all be far apart: hues in turn, the second round paler.
    hues = colormaps["tab20"]
    order = [*range(0, 20, 2), *range(1, 20, 2)]
    return {name: to_hex(hues(order[i % 20])) for i, name in enumerate(names)}
