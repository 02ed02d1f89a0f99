"""Which bucket a clip is encoded into: the one that it is cropped and scaled least for.

    picture h x w, bucket H x W:   s = max(H / h, W / w)                         scale, so that the bucket is covered
                                   cost = ln(s^2 h w / (H W)) + |ln s|

The first term is 0 where nothing is cut off, and ln 2 where half of the picture is; the second is ln 2 where the picture is
enlarged to twice its sides, or reduced to half. Of buckets of equal area the one of the nearest ratio costs least. Of equal costs
the longest counts that the clip is long enough for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jvid_training.recipe_buckets import Bucket

__all__ = ["best_bucket", "cost"]


def cost(bucket: Bucket, shape: tuple[int, int]) -> float:
    """What cropping and scaling pictures of a shape (height, width) to a bucket costs; see the module's head."""
    height, width = shape
    scale = max(bucket.height / height, bucket.width / width)
    return math.log(scale * height / bucket.height * scale * width / bucket.width) + abs(math.log(scale))


def best_bucket(buckets: Sequence[Bucket], shape: tuple[int, int], frames: int | None = None) -> int | None:
    """The number of the bucket that costs least.

    Args:
        buckets: to choose from; of equal ones the first.
        shape: height and width of the pictures.
        frames: of the clip; any bucket is short enough if None.

    Returns:
        None where every bucket is longer than the clip.
    """
    fitting = [n for n, bucket in enumerate(buckets) if frames is None or bucket.frames <= frames]
    return min(fitting, key=lambda n: (cost(buckets[n], shape), -buckets[n].frames), default=None)
