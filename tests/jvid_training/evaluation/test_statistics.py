"""Moments, distances, scores and intervals against closed forms, scipy and repeated draws."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from jvid.errors import InputError
from jvid_training.evaluation.bootstrap import frechet_interval, mean_interval
from jvid_training.evaluation.statistics import Moments, frechet_distance, inception_score, moments_of


def rows(count: int, width: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((count, width)) @ random.standard_normal(
        (width, width)
    ) + random.standard_normal(width)


def textbook(first: Moments, second: Moments) -> float:
    """The formula as it is printed, with a root of the product."""
    gap = first.mean - second.mean
    root = scipy.linalg.sqrtm(first.covariance @ second.covariance)
    return float(gap @ gap + np.trace(first.covariance + second.covariance - 2 * root.real))


@given(
    count=st.integers(1, 40),
    width=st.integers(1, 6),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    offset=st.sampled_from([0.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_moments_of_parts_merge_to_those_of_the_whole(count, width, cuts, offset, seed) -> None:
    x = rows(count, width, seed) + offset
    edges = [0, *sorted(min(cut, count) for cut in cuts), count]
    parts = [Moments.empty(width).updated(x[a:b]) for a, b in pairwise(edges)]
    merged = Moments.empty(width)
    for part in reversed(parts):
        merged = merged.merged(part)
    assert merged.count == count
    np.testing.assert_allclose(merged.mean, x.mean(0), rtol=1e-12, atol=1e-12)
    expected = np.cov(x.T, bias=True).reshape(width, width) if count > 1 else np.zeros((width, width))
    # Two-pass formulas agree to rounding of the data, not of its square: 1e6 would cost 1e12 otherwise.
    np.testing.assert_allclose(merged.covariance, expected, rtol=1e-8, atol=1e-8)


def test_moments_of_a_memory_map_are_those_of_the_array(tmp_path) -> None:
    x = np.random.default_rng(0).standard_normal((5000, 3, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    found = moments_of(np.load(tmp_path / "x.npy", mmap_mode="r"))
    flat = x.reshape(-1, 4).astype(np.float64)
    np.testing.assert_allclose(found.mean, flat.mean(0), atol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(flat.T, bias=True), atol=1e-12)
    some = moments_of(x, np.asarray([4, 17, 4999]))
    np.testing.assert_allclose(some.mean, x[[4, 17, 4999]].reshape(-1, 4).mean(0), atol=1e-6)
    assert some.count == 9


def test_moments_and_scores_take_no_more_memory_for_more_rows(tmp_path) -> None:
    x = np.random.default_rng(0).standard_normal((60_000, 4, 20)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    features = np.load(tmp_path / "x.npy", mmap_mode="r")
    for function in (moments_of, lambda rows: inception_score(rows.reshape(-1, 20), logits=True)):
        peaks = []
        for count in (15_000, 60_000):  # the least has splits of more than a chunk
            tracemalloc.start()
            function(features[:count])
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 1.2 * peaks[0] < x.nbytes / 4


def test_the_distance_of_gaussians_with_commuting_covariances_is_the_closed_form() -> None:
    random = np.random.default_rng(1)
    basis = np.linalg.qr(random.standard_normal((7, 7)))[0]
    a, b = random.uniform(0.1, 3, 7), random.uniform(0.1, 3, 7)
    gap = random.standard_normal(7)
    first = Moments(1, np.zeros(7), basis * a @ basis.T)
    second = Moments(1, gap, basis * b @ basis.T)
    expected = gap @ gap + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


@given(width=st.integers(1, 12), seed=st.integers(0, 99))
def test_the_distance_is_the_textbooks_and_symmetric(width, seed) -> None:
    first, second = moments_of(rows(60, width, seed)), moments_of(rows(50, width, seed + 1))
    found = frechet_distance(first, second)
    assert found == pytest.approx(textbook(first, second), rel=1e-6, abs=1e-6)
    assert found == pytest.approx(frechet_distance(second, first), rel=1e-9)


@given(seed=st.integers(0, 99), count=st.integers(2, 20))
def test_fewer_rows_than_dimensions_are_no_special_case(seed, count) -> None:
    """Covariances of disjoint supports: no transport between them saves anything, d^2 = gap^2 + both traces."""
    random = np.random.default_rng(seed)
    one, two = np.zeros((count, 60)), np.zeros((count, 60))
    one[:, :30], two[:, 30:] = random.standard_normal((2, count, 30))
    first, second = moments_of(one), moments_of(two)
    gap = first.mean - second.mean
    expected = gap @ gap + np.trace(first.covariance) + np.trace(second.covariance)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-10)
    assert abs(frechet_distance(first, first)) < 1e-10


def test_the_sample_distance_converges_to_the_gaussians_own() -> None:
    scale = np.asarray([0.5, 1.0, 2.0])
    random = np.random.default_rng(3)
    x, y = random.standard_normal((2, 200_000, 3))
    found = frechet_distance(moments_of(x), moments_of(y * scale + 1))
    # Six deviations of the mean's part: 2 * sqrt(var / n) each.
    assert found == pytest.approx(3 + ((1 - scale) ** 2).sum(), abs=0.08)


def test_distances_refuse_other_widths_no_rows_and_nan() -> None:
    with pytest.raises(InputError, match="3 and 4 wide"):
        frechet_distance(moments_of(np.ones((5, 3))), moments_of(np.ones((5, 4))))
    with pytest.raises(InputError, match="no clips"):
        frechet_distance(Moments.empty(3), moments_of(np.ones((5, 3))))
    with pytest.raises(InputError, match="NaN"):
        frechet_distance(moments_of(np.full((5, 3), np.nan)), moments_of(np.ones((5, 3))))


def test_the_inception_score_of_sure_and_of_undecided_classes() -> None:
    sure = np.eye(10)[np.arange(500) % 10]
    assert inception_score(sure) == (pytest.approx(10.0), pytest.approx(0.0, abs=1e-12))
    assert inception_score(np.full((500, 10), 0.1)) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))
    from scipy.special import log_softmax

    logits = np.random.default_rng(0).standard_normal((300, 7)).astype(np.float32) * 3
    kept = np.exp(log_softmax(logits.astype(np.float64), axis=1))
    assert inception_score(logits, logits=True) == pytest.approx(inception_score(kept), rel=1e-12)
    divergence = (kept * (np.log(kept) - np.log(kept.mean(0)))).sum(1).mean()
    assert inception_score(kept, splits=1)[0] == pytest.approx(np.exp(divergence), rel=1e-12)
    # Splits are consecutive: the first knows one class only, the second two.
    parts = np.eye(2)[[0] * 10 + [0, 1] * 5]
    assert inception_score(parts, splits=2) == (pytest.approx(1.5), pytest.approx(0.5))


def coverage(width: int, clips: int, frames: int, seed: int) -> tuple[float, float]:
    """Share of intervals that cover the expected figure, and their mean width in deviations of the figure (3.92 is right)."""
    random = np.random.default_rng(seed)
    scale = np.linspace(0.3, 2, width)
    reference = moments_of(random.standard_normal((2000, width)))

    def draw() -> np.ndarray:
        shared = random.standard_normal((clips, 1, width)) * 0.7**0.5  # frames of a clip are alike
        return (shared + random.standard_normal((clips, frames, width)) * 0.3**0.5) * scale + 0.3

    expected = np.mean([frechet_distance(moments_of(draw()), reference) for _ in range(300)])
    figures, widths, hits = [], [], 0
    for trial in range(120):
        x = draw()
        figures.append(frechet_distance(moments_of(x), reference))
        low, high = frechet_interval(figures[-1], x, reference, 100, trial)
        hits += low <= expected <= high
        widths.append(high - low)
    return hits / 120, float(np.mean(widths) / np.std(figures))


@pytest.mark.parametrize(("width", "clips", "frames"), [(6, 48, 1), (6, 48, 8), (48, 32, 1)])
def test_intervals_of_the_distance_cover_its_expectation(width, clips, frames) -> None:
    """Nominal .95; with 120 trials six deviations are .12. Frames drawn one by one would give a fifth of the width."""
    share, deviations = coverage(width, clips, frames, seed=width + frames)
    assert share > 0.83
    assert 3.0 < deviations < 6.0


def test_intervals_do_not_depend_on_the_order_of_arithmetic_but_on_the_seed() -> None:
    x, reference = rows(30, 5, 0), moments_of(rows(80, 5, 1))
    figure = frechet_distance(moments_of(x), reference)
    assert frechet_interval(figure, x, reference, 50, 3) == frechet_interval(figure, x, reference, 50, 3)
    assert frechet_interval(figure, x, reference, 50, 3) != frechet_interval(figure, x, reference, 50, 4)
    assert frechet_interval(figure, x[:3], reference) == (None, None)
    assert frechet_interval(figure, x, reference, 0) == (None, None)


def test_intervals_of_a_mean_are_students() -> None:
    values = np.random.default_rng(0).standard_normal(400) * 3 + 5
    low, high = mean_interval(values, 4000)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert mean_interval(values, 0) == (None, None)
