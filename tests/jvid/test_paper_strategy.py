"""``jvid.paper``: the tables as printed, and the strategy against a loop written from the equations."""

from __future__ import annotations

import math

import attrs
import pytest
import torch
from torch import Tensor

from jvid import paper
from jvid.core.keyed import keyed_normal, keyed_uniform
from jvid.core.protocols import Condition, NoiseSchedule
from jvid.errors import InputError
from jvid.postprocessors import TemporalSmoothing
from jvid.schedules import TabulatedSchedule

SCHEDULE = paper.SCHEDULE()


@attrs.frozen
class Toy:
    """eps = w x + text, per sample; counts the rows and frames of its calls."""

    w: float
    frames: int
    schedule: NoiseSchedule = SCHEDULE
    rows: list[int] = attrs.field(factory=list, eq=False)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        assert x.shape[2] == self.frames
        self.rows.append(x.shape[0])
        alpha, sigma = (level.to(x) for level in self.schedule(t))
        eps = self.w * x + cond["text"].reshape(-1, 1, 1, 1, 1).to(x)
        return (x - sigma * eps) / alpha


@pytest.mark.parametrize(("resolution", "gamma"), [(64, 0.02), (128, 0.1), (256, 1.0)])
def test_the_strategy_is_the_loop_of_the_paper(resolution: int, gamma: float) -> None:
    video, image = Toy(0.9, 5), Toy(0.8, 1)
    b, c, f, h, w = 2, 4, 5, 3, 3
    text, null = torch.tensor([[0.1], [0.2]]), torch.tensor([[0.0], [0.0]])
    sampler = paper.sampler(video, image, resolution=resolution)
    cond = {"text": text, "null": {"text": null}}
    ours = sampler((c, f, h, w), seeds=[1, 2], cond=cond, plan=3, dtype=torch.float64)

    # Independent reference: equations (4), (5) over a respaced table, P_V, gamma, 3.6.
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bar = (1 - betas).cumprod(0)
    t_v, t_e, p_e, p_f = {64: (0.2, 0.7, 0.3, 0.3), 128: (0.4, 0.7, 0.4, 0.1), 256: (0.1, 0.6, 0.2, 0.1)}[
        resolution
    ]
    s = keyed_normal([1, 2], ("initial",), (c, f, h, w), torch.float64)
    for i, n in enumerate(range(980, -1, -20)):
        u = 1 - (n + 1) / 1000
        p_v = 1.0 if u <= t_v else 1 + (u - t_v) / (t_e - t_v) * (p_e - 1)
        p_v = p_v if u <= t_e else p_e + (u - t_e) / (1 - t_e) * (p_f - p_e)
        chosen = keyed_uniform(3, ("plan", i)) < p_v
        weight = 0.9 if chosen else 0.8
        eps = [weight * s + e.double().reshape(2, 1, 1, 1, 1) for e in (null, text)]
        eps = eps[0] + 2.0 * (eps[1] - eps[0])
        before = bar[n - 20] if n else torch.tensor(1.0, dtype=torch.float64)
        alpha_t = bar[n] / before
        beta_t = 1 - alpha_t
        sigma_t = (beta_t * (1 - before) / (1 - bar[n])).sqrt()
        z = keyed_normal([1, 2], (i, "z", "independent"), (c, f, h, w), torch.float64)
        s = (s - beta_t / (1 - bar[n]).sqrt() * eps) / alpha_t.sqrt()
        s = s + (1.0 if chosen else gamma) * sigma_t * z
    torch.testing.assert_close(ours, TemporalSmoothing(2.0)(s), rtol=1e-9, atol=1e-9)
    # Both halves of guidance are one batch; the image model sees every frame as a sample.
    assert set(video.rows) == {2 * b}
    assert set(image.rows) == {2 * b * f}
    assert len(video.rows) + len(image.rows) == 50


def test_schedule_is_stable_diffusions() -> None:
    assert TabulatedSchedule.scaled_linear(0.00085, 0.012, 1000) == SCHEDULE


def test_tables_as_printed() -> None:
    table = paper.TABLE_1
    assert (table.channels, table.multipliers, table.residual_blocks) == (256, (1, 2, 3, 4), 2)
    assert (table.head_width, table.heads, table.cross_attention, table.text_width) == (
        64,
        8,
        (0, 1, 1, 1),
        768,
    )
    rows = {size: (row.t_v, row.t_e, row.p_e, row.p_f) for size, row in paper.TABLE_6.items()}
    assert rows == {64: (0.2, 0.7, 0.3, 0.3), 128: (0.4, 0.7, 0.4, 0.1), 256: (0.1, 0.6, 0.2, 0.1)}
    assert dict(paper.GAMMA) == {64: 0.02, 128: 0.1, 256: 1.0}
    assert (paper.RATIO, paper.SMOOTHING, paper.STEPS, paper.GUIDANCE) == (0.0, 2.0, 50, 2.0)
    assert paper.TRAINING["video"][256] == paper.TrainingSettings(
        50_000, 128, learning_rate=2e-4, adam_epsilon=1e-4, accumulation=2, warm_up=500, batch=1024
    )
    mixtures = [row for row in paper.TABLE_2 if row.method.startswith("mixture")]
    assert [row.fvd for row in mixtures if row.resolution == 64] == [1105.39, 1077.02, 1044.23]
    assert len(paper.TABLE_2) == 21


def test_wrong_options() -> None:
    with pytest.raises(InputError, match="resolution 96: expected one of 64, 128, 256"):
        paper.sampler(Toy(1, 5), Toy(1, 1), resolution=96)
    with pytest.raises(InputError):
        paper.sampler(Toy(1, 5), Toy(1, 1), guidance=math.nan)
    with pytest.raises(InputError):
        paper.sampler(Toy(1, 5), Toy(1, 1), steps=0)
