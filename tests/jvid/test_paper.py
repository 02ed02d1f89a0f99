"""The paper, equation by equation, against references written from its text in numpy.

Nothing here computes an expected value with jvid's code. Where the text leaves a reading open, the
test's name or comment says which one is taken.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import jvid.paper
from jvid.core.bridged import Bridged
from jvid.core.keyed import keyed_normal
from jvid.core.levels import level_at
from jvid.core.protocols import Level, Step
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.denoisers.parameterized import Parameterized
from jvid.noise import IndependentNoise, ScaledNoise, SharedNoise
from jvid.postprocessors import TemporalSmoothing
from jvid.schedules import TabulatedSchedule, VarianceExploding
from jvid.selectors import PiecewiseAffine
from jvid.solvers import DDPM
from jvid.solvers.kernel import coefficients
from jvid.testing import GaussianOracle, TwoModeOracle

F64 = torch.float64
# Section 4.1 trains in diffusers on Stable Diffusion's schedule, T = 1000.
BETA = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2
ALPHA = 1 - BETA
ALPHA_BAR = np.cumprod(ALPHA)
SCHEDULE = TabulatedSchedule.scaled_linear()


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def t_of(n: int) -> float:
    """Time of index n of the table, 0..999: the paper's s_{n+1}."""
    return (n + 1) / 1000


def at(n: int) -> Level:
    return level_at(SCHEDULE, t_of(n))


# (1) q(s_t | s_{t-1}) = N(sqrt(1 - beta_t) s_{t-1}, beta_t I)


def test_equation_1_the_chain_of_noising_steps_has_the_schedules_levels():
    assert jvid.paper.SCHEDULE() == SCHEDULE
    mean, variance = 1.0, 0.0
    for n in range(1000):
        mean, variance = math.sqrt(1 - BETA[n]) * mean, (1 - BETA[n]) * variance + BETA[n]
        level = at(n)
        assert level.alpha == pytest.approx(mean, rel=1e-12)
        assert level.sigma**2 == pytest.approx(variance, rel=1e-12)


def test_equation_1_one_step_up_draws_from_it():
    s, z = normal(1, 2, 3, 4, 4), normal(1, 2, 3, 4, 4, seed=1)
    for n in (1, 500, 999):
        ours, _ = DDPM().step(
            torch.tensor(s),
            Step(0, 1, at(n - 1), at(n)),
            lambda x, level: torch.zeros_like(x),
            lambda key: torch.tensor(z),
            None,
        )
        np.testing.assert_allclose(
            ours.numpy(), np.sqrt(1 - BETA[n]) * s + np.sqrt(BETA[n]) * z, rtol=0, atol=1e-12
        )


# (2) p(s_{t-1} | s_t) = N(mu, sigma_t^2 I), sigma_t a known constant: the posterior's ("fixed small")


@pytest.mark.parametrize("n", [1, 2, 20, 500, 980, 999])
def test_equation_2_the_step_is_the_posterior_of_the_chain_by_bayes(n):
    s_0, s_t = 0.3, -0.8
    # log q(s_{t-1} | s_t, s_0) = log q(s_t | s_{t-1}) + log q(s_{t-1} | s_0): precisions add.
    precision = ALPHA[n] / BETA[n] + 1 / (1 - ALPHA_BAR[n - 1])
    mean = (
        math.sqrt(ALPHA[n]) * s_t / BETA[n] + math.sqrt(ALPHA_BAR[n - 1]) * s_0 / (1 - ALPHA_BAR[n - 1])
    ) / precision
    c_x, c_0, c_z = coefficients(at(n), at(n - 1), 1.0)
    assert c_x * s_t + c_0 * s_0 == pytest.approx(mean, rel=1e-9)
    assert c_z**2 == pytest.approx(1 / precision, rel=1e-9)


# (3) L = E || eps - eps_theta(s_t, t) ||^2


def test_equation_3_the_training_loss():
    objectives = pytest.importorskip("jvid_training.train.objectives")
    s_t, eps, predicted = normal(2, 4, 3, 2, 2), normal(2, 4, 3, 2, 2, seed=1), normal(2, 4, 3, 2, 2, seed=2)

    def network(x: torch.Tensor, n: torch.Tensor, text: torch.Tensor) -> SimpleNamespace:
        np.testing.assert_array_equal(x.numpy(), np.float32(s_t))
        return SimpleNamespace(sample=torch.tensor(predicted, dtype=torch.float32))

    # The recipe's kind alone counts: the batch holds what the noising and the text encoder would make.
    objective = objectives.PredictNoise(SimpleNamespace(kind="video"), None, None)
    batch = {
        "x": torch.tensor(s_t),
        "target": torch.tensor(eps),
        "n": torch.tensor([3, 900]),
        "text": torch.zeros(2, 1, 1),
    }
    batch |= {key: batch[key].float() for key in ("x", "target")}
    # The mean over elements of the squared norm, a sample at a time.
    theirs = ((eps - predicted) ** 2).reshape(2, -1).sum(1) / (4 * 3 * 2 * 2)
    np.testing.assert_allclose(objective.loss(network, batch).numpy(), theirs, rtol=1e-5)


@pytest.mark.parametrize("n", [50, 400, 900])
def test_equation_3_what_minimises_the_loss_denoises_as_the_posterior_mean(n):
    count = 200_000
    s_0, eps = 0.4 + 0.6 * normal(count, seed=1), normal(count, seed=2)
    s_t = math.sqrt(ALPHA_BAR[n]) * s_0 + math.sqrt(1 - ALPHA_BAR[n]) * eps
    # For Gaussian data the minimiser is affine: least squares is the loss itself.
    (gain, constant), loss, _, _ = np.linalg.lstsq(np.stack([s_t, np.ones(count)], 1), eps, rcond=None)
    fitted = Parameterized(lambda x, t, cond: float(gain) * x + float(constant), SCHEDULE, "eps")
    x, t = torch.tensor(s_t[:1000]).reshape(1, 1, 1, 10, 100), torch.tensor(t_of(n), dtype=F64)
    exact = GaussianOracle(SCHEDULE, 0.4, 0.6)(x, t, {})
    # Noise of the fit in eps, amplified by sigma / alpha; six deviations of gain and constant.
    spread = math.sqrt(loss[0] / count / count) * 6 * 3
    bound = math.sqrt((1 - ALPHA_BAR[n]) / ALPHA_BAR[n]) * spread
    assert (fitted(x, t, {}) - exact).abs().max() < bound * 2
    assert bound < 0.2


# (4) eps = eps(null) + g (eps(y) - eps(null))


def eps_network(x: torch.Tensor, t: torch.Tensor, cond: dict) -> torch.Tensor:
    y = cond["text"].to(x).mean((1, 2)).reshape(-1, 1, 1, 1, 1)
    return torch.tanh(x * y) + 0.2 * x.flip(-1)


def eps_reference(s: np.ndarray, y: float) -> np.ndarray:
    return np.tanh(s * y) + 0.2 * s[..., ::-1]


@pytest.mark.parametrize("g", [0, 1, 2, 4, 6, 8, 10])
@pytest.mark.parametrize("n", [0, 400, 999])
def test_equation_4_guidance(g, n):
    s = normal(2, 4, 3, 2, 2)
    cond = {"text": torch.full((2, 1, 1), 0.7), "null": {"text": torch.full((1, 1, 1), -0.4)}}
    denoiser = Guided(Parameterized(eps_network, SCHEDULE), g)
    x_0 = denoiser(torch.tensor(s), torch.tensor(t_of(n), dtype=F64), cond).numpy()
    ours = (s - math.sqrt(ALPHA_BAR[n]) * x_0) / math.sqrt(1 - ALPHA_BAR[n])
    y, null = np.float64(np.float32(0.7)), np.float64(np.float32(-0.4))
    theirs = eps_reference(s, null) + g * (eps_reference(s, y) - eps_reference(s, null))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


# (5) s_{t-1} = (s_t - beta_t / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_t) + [gamma] sigma_t z


def sigma_small(n: int) -> float:
    return math.sqrt((1 - ALPHA_BAR[n - 1]) / (1 - ALPHA_BAR[n]) * BETA[n]) if n else 0.0


@pytest.mark.parametrize("gamma", [None, 0.02])
@pytest.mark.parametrize("n", [0, 1, 20, 500, 999])
def test_equation_5_one_step_of_ddpm_and_gamma_on_its_noise(n, gamma):
    s, z = normal(2, 4, 3, 2, 2), normal(2, 4, 3, 2, 2, seed=1)
    sampler = IndependentNoise() if gamma is None else ScaledNoise(IndependentNoise(), gamma)
    denoiser = Parameterized(eps_network, SCHEDULE)
    y = torch.full((2, 1, 1), 0.5)
    ours, _ = DDPM().step(
        torch.tensor(s),
        Step(0, 1, at(n), at(n - 1) if n else level_at(SCHEDULE, 0.0)),
        lambda x, level: denoiser(x, torch.tensor(level.t, dtype=F64), {"text": y}),
        lambda key: sampler(s.shape, lambda name, shape: torch.tensor(z)),
        None,
    )
    mean = (s - BETA[n] / math.sqrt(1 - ALPHA_BAR[n]) * eps_reference(s, 0.5)) / math.sqrt(ALPHA[n])
    theirs = mean + (1 if gamma is None else gamma) * sigma_small(n) * z
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-11)


# (6), (7) S_t = { s_0 + z_t, z_t ~ N(0, sigma_t^2) }: models of the same S_t are interchangeable


@pytest.mark.parametrize("n", [10, 300, 700])
def test_equation_6_a_bridged_model_sees_s0_plus_noise_of_its_own_variance(n):
    s_0, eps = normal(1, 4, 2, 3, 3), normal(1, 4, 2, 3, 3, seed=1)
    seen = {}
    exploding = VarianceExploding(0.01, 100.0)

    def network(x: torch.Tensor, t: torch.Tensor, cond: dict) -> torch.Tensor:
        seen.update(x=x.numpy(), sigma=float(exploding(t)[1]))
        return x

    s = math.sqrt(ALPHA_BAR[n]) * s_0 + math.sqrt(1 - ALPHA_BAR[n]) * eps
    Bridged(Parameterized(network, exploding, "x0"), SCHEDULE)(
        torch.tensor(s), torch.tensor(t_of(n), dtype=F64), {}
    )
    deviation = math.sqrt((1 - ALPHA_BAR[n]) / ALPHA_BAR[n])
    assert seen["sigma"] == pytest.approx(deviation, rel=1e-9)
    np.testing.assert_allclose(seen["x"], s_0 + deviation * eps, rtol=1e-9, atol=1e-9)


def test_equation_7_models_of_the_same_sets_can_take_turns():
    from jvid.core.protocols import Expert
    from jvid.core.sampler import Sampler
    from jvid.grids import Explicit

    grid = Explicit([0.9, 0.7, 0.5, 0.3, 0.1, 0.0])
    selector = PiecewiseAffine(0.1, 0.2, 0.5, 0.5)
    one = TwoModeOracle(SCHEDULE)
    # The same data on other schedules: other scale, other time, another network.
    other = TwoModeOracle(VarianceExploding(0.01, 100.0))
    ends = [
        Sampler({"video": Expert(one), "image": Expert(image)}, selector, DDPM(), grid)(
            (4, 2, 3, 3), seeds=[1, 2], dtype=F64, plan=3
        )
        for image in (one, other)
    ]
    mixed = Sampler({"video": Expert(one), "image": Expert(other)}, selector, DDPM(), grid)
    assert {step.expert for step in mixed.plan(3).steps} == {"video", "image"}
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-6)


# Section 3.4: "merging the batch and time dimensions"


def test_section_3_4_the_image_model_sees_every_frame_as_a_sample():
    s = normal(2, 4, 5, 3, 3)
    frames = np.moveaxis(s, 2, 1).reshape(10, 4, 1, 3, 3)

    def network(x: torch.Tensor, t: torch.Tensor, cond: dict) -> torch.Tensor:
        np.testing.assert_array_equal(x.numpy(), frames)
        # y repeats over the frames of its own clip.
        assert cond["text"].flatten().tolist() == [1.0] * 5 + [2.0] * 5
        return x * torch.arange(10).reshape(-1, 1, 1, 1, 1)

    lifted = Framewise(Parameterized(network, SCHEDULE, "x0"))
    out = lifted(
        torch.tensor(s), torch.tensor(0.5, dtype=F64), {"text": torch.tensor([1.0, 2.0]).reshape(2, 1, 1)}
    )
    np.testing.assert_array_equal(out.numpy(), s * np.arange(10).reshape(2, 1, 5, 1, 1))


# (8), (9) z^f = z_shared + z_ind^f with *variances* r and 1 - r


@pytest.mark.parametrize("r", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_equations_8_and_9_shared_noise(r):
    drawn = {"shared": normal(2, 4, 1, 3, 3, seed=1), "independent": normal(2, 4, 6, 3, 3, seed=2)}
    z = SharedNoise(r)((2, 4, 6, 3, 3), lambda name, shape: torch.tensor(drawn[name])).numpy()
    for f in range(6):
        z_f = np.sqrt(r) * drawn["shared"][:, :, 0] + np.sqrt(1 - r) * drawn["independent"][:, :, f]
        np.testing.assert_allclose(z[:, :, f], z_f, rtol=0, atol=1e-14)


@pytest.mark.parametrize("r", [0.0, 0.3, 0.5, 1.0])
def test_equations_8_and_9_have_unit_variance_and_covariance_r_between_frames(r):
    shape, count = (4, 3, 40, 40), 4 * 40 * 40 * 8
    z = SharedNoise(r)((8, *shape), lambda name, s: keyed_normal(range(8), (name,), s[1:], F64)).numpy()
    covariance = np.cov(np.moveaxis(z, 2, 0).reshape(3, -1))
    # Six deviations of a sample (co)variance.
    np.testing.assert_allclose(np.diag(covariance), 1.0, atol=6 * math.sqrt(2 / count))
    np.testing.assert_allclose(covariance[np.triu_indices(3, 1)], r, atol=6 * math.sqrt((1 + r * r) / count))


# P_V(t), t read as progress (0 at pure noise) and the comparisons the other way; Table 6; Figure 3


def p_v(u: float, t_v: float, t_e: float, p_e: float, p_f: float) -> float:
    if u <= t_v:
        return 1.0
    if u <= t_e:
        return 1 + (u - t_v) / (t_e - t_v) * (p_e - 1)
    return p_e + (u - t_e) / (1 - t_e) * (p_f - p_e)


TABLE_6 = {64: (0.2, 0.7, 0.3, 0.3), 128: (0.4, 0.7, 0.4, 0.1), 256: (0.1, 0.6, 0.2, 0.1)}


@pytest.mark.parametrize("resolution", TABLE_6)
def test_table_6_and_p_v(resolution):
    row = TABLE_6[resolution]
    selector = jvid.paper.TABLE_6[resolution]
    assert selector == PiecewiseAffine(*row)
    assert (selector.t_v, selector.t_e, selector.p_e, selector.p_f) == row
    t_v, t_e, p_e, p_f = row
    for u in [*np.linspace(0, 1, 201), t_v, t_e]:
        assert selector.probability(float(u)) == pytest.approx(p_v(float(u), *row), abs=1e-12)
        # Continuous and piecewise affine, as Figure 3 draws it.
        assert selector.probability(float(u)) == pytest.approx(
            np.interp(u, [0, t_v, t_e, 1], [1, 1, p_e, p_f]), abs=1e-12
        )
    assert len(jvid.paper.TABLE_6) == 3


def test_p_v_is_the_share_of_u_for_which_the_video_model_acts_and_starts_with_it_alone():
    selector = jvid.paper.TABLE_6[128]
    draws = (np.arange(2000) + 0.5) / 2000
    for n in (999, 700, 599, 450, 300, 100, 0):
        step = Step(0, 50, at(n), at(n - 1) if n else level_at(SCHEDULE, 0.0))
        chosen = [selector(step, float(u)) for u in draws]
        assert all(weights in ({"video": 1.0}, {"image": 1.0}) for weights in chosen)
        share = np.mean([weights == {"video": 1.0} for weights in chosen])
        # Progress is 1 - t: "we start by sampling only from the video model".
        assert share == pytest.approx(p_v(1 - t_of(n), *TABLE_6[128]), abs=1 / 2000)
        if n >= 600:
            assert share == 1.0


# 3.6 temporal latent smoothing


def smoothing_reference(s: np.ndarray, threshold: float) -> np.ndarray:
    """One clip (c, f, h, w), element by element as section 3.6 words it."""
    c, f, h, w = s.shape
    out = s.copy()
    mu = s.mean(axis=1)
    sd = [mu[k].std() for k in range(c)]
    for i in range(f):
        for y in range(h):
            for x in range(w):
                v = sum(abs(s[k, i, y, x] - mu[k, y, x]) / sd[k] for k in range(c))
                if v < threshold:
                    out[:, i, y, x] = mu[:, y, x]
    return out


@pytest.mark.parametrize("threshold", [0.5, 2.0, 5.0])
def test_section_3_6_temporal_latent_smoothing(threshold):
    # Three clips of different liveliness: the statistics are each clip's own.
    still = normal(3, 4, 1, 6, 5)
    s = still + np.array([0.2, 0.6, 1.5]).reshape(3, 1, 1, 1, 1) * normal(3, 4, 8, 6, 5, seed=1)
    ours = TemporalSmoothing(threshold)(torch.tensor(s)).numpy()
    theirs = np.stack([smoothing_reference(clip, threshold) for clip in s])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    changed = (ours != s).any(axis=1).mean()
    assert 0.0 < changed < 1.0


# Section 4 and the strategy as a whole


def test_section_4_settings():
    assert dict(jvid.paper.GAMMA) == {64: 0.02, 128: 0.1, 256: 1.0}
    stated = jvid.paper.SMOOTHING, jvid.paper.RATIO, jvid.paper.STEPS, jvid.paper.GUIDANCE
    assert stated == (2.0, 0.0, 50, 2.0)
    table = jvid.paper.TABLE_1
    assert (table.channels, table.multipliers, table.residual_blocks) == (256, (1, 2, 3, 4), 2)
    attention = table.head_width, table.heads, table.cross_attention, table.text_width
    assert attention == (64, 8, (0, 1, 1, 1), 768)


def test_the_whole_strategy_is_this_loop():
    """jvid.paper.sampler against sections 3.4 to 3.6 in plain numpy, 50 steps at resolution 128."""
    shape, seed = (4, 6, 3, 3), 5

    def video_network(x: torch.Tensor, t: torch.Tensor, cond: dict) -> torch.Tensor:
        return eps_network(x, t, cond) + 0.3 * x.mean(dim=2, keepdim=True)

    video, image = (Parameterized(network, SCHEDULE) for network in (video_network, eps_network))
    cond = {"text": torch.full((1, 1, 1), 0.5), "null": {"text": torch.full((1, 1, 1), -0.25)}}
    strategy = jvid.paper.sampler(video, image, resolution=128)
    plan = strategy.plan(seed=0)
    ours = strategy(shape, seeds=[seed], cond=cond, plan=plan, dtype=F64).numpy()[0]

    def eps_hat(s: np.ndarray, expert: str) -> np.ndarray:
        def eps(y: float) -> np.ndarray:
            shared = 0.3 * s.mean(axis=1, keepdims=True) if expert == "video" else 0.0
            return eps_reference(s, y) + shared

        return eps(-0.25) + 2.0 * (eps(0.5) - eps(-0.25))

    def z(*key: int | str) -> np.ndarray:
        return keyed_normal([seed], key, shape, F64).numpy()[0]

    s = z("initial")
    experts = [step.expert for step in plan.steps]
    for i, n in enumerate(range(980, -1, -20)):
        eps = eps_hat(s, experts[i])
        bar, before = ALPHA_BAR[n], ALPHA_BAR[n - 20] if n else 1.0
        alpha = bar / before  # of 20 steps of the chain at once
        mean = (s - (1 - alpha) / math.sqrt(1 - bar) * eps) / math.sqrt(alpha)
        sigma = math.sqrt((1 - before) / (1 - bar) * (1 - alpha))
        s = mean + (0.1 if experts[i] == "image" else 1.0) * sigma * z(i, "z", "independent")
    s = smoothing_reference(s, 2.0)
    np.testing.assert_allclose(ours, s, rtol=0, atol=1e-9)
    assert experts[:18] == ["video"] * 18
    assert {"video", "image"} == set(experts[20:])
