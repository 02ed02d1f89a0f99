"""The scope of an evaluation: a run of a sampler, and the expert in it."""

from __future__ import annotations

import gc
import pickle
import weakref

import attrs

from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.core.scope import RunScope, current_scope
from jvid.denoisers.memo import Memo
from jvid.selectors import Always
from jvid.solvers import DDIM
from jvid.testing.oracles import GaussianOracle
from jvid_models.adapters.cosine_schedule import CosineSchedule

GRID = (0.9, 0.6, 0.3, 0.0)
SHAPE = (1, 2, 4, 4)


@attrs.frozen(eq=False)
class Noting:
    """A denoiser that notes the scope of each evaluation, by weak references."""

    inner: object = attrs.field(factory=lambda: GaussianOracle(CosineSchedule(), std=0.5))
    seen: list = attrs.field(factory=list)

    @property
    def schedule(self):
        return self.inner.schedule

    def __call__(self, x, t, cond):
        self.seen.append(weakref.ref(current_scope()))
        return self.inner(x, t, cond)


class Both:
    experts = ("a", "b")

    def __call__(self, step, u):
        return {"a": 0.5, "b": 0.5}


def test_each_expert_of_a_run_has_a_scope_that_ends_with_the_run():
    denoiser = Noting()
    sampler = Sampler({"a": Expert(denoiser), "b": Expert(denoiser)}, Both(), DDIM(), GRID)
    one, other = sampler.trace(SHAPE, seeds=[0]), sampler.trace(SHAPE, seeds=[0])
    for _ in range(2):
        next(one), next(other)
    assert current_scope() is None  # an iterator leaves nothing to its caller
    scopes = [scope() for scope in denoiser.seen]
    assert None not in scopes
    assert len(set(scopes)) == 4
    assert scopes[:4] == scopes[4:]
    del one, other, scopes
    gc.collect()
    assert all(scope() is None for scope in denoiser.seen)


def test_a_run_that_is_resumed_goes_on_in_its_scope_unless_its_state_was_pickled():
    denoiser = Noting()
    sampler = Sampler({"a": Expert(denoiser)}, Always("a"), DDIM(), GRID)
    state = next(sampler.trace(SHAPE, seeds=[0]))
    scope = state.scope.of("a")
    list(sampler.trace(resume=state))
    assert [seen() for seen in denoiser.seen] == [scope] * 3
    copied = pickle.loads(pickle.dumps(attrs.evolve(state, strategy={}))).scope
    assert copied is not state.scope
    assert copied.of("a") is not scope


def test_a_run_inside_of_an_expert_has_a_scope_of_its_own():
    denoiser = Noting()
    sampler = Sampler({"a": Expert(denoiser)}, Always("a"), DDIM(), GRID)

    @attrs.frozen(eq=False)
    class Nested:
        schedule = CosineSchedule()

        def __call__(self, x, t, cond):
            outer.append(current_scope())
            return sampler(seeds=[1], x=x)

    outer = []
    states = Sampler({"a": Expert(Nested())}, Always("a"), DDIM(), GRID).trace(SHAPE, seeds=[0])
    list(states)
    assert len(denoiser.seen) == 9
    assert len(set(outer)) == 1
    assert all(seen() is None for seen in denoiser.seen)  # the inner runs are over


def test_what_is_kept_for_a_scope_goes_with_it():
    memo, scope = Memo(), RunScope()
    kept = memo({"run": scope}, lambda: ["state"])
    assert memo({"run": scope}, list) is kept
    assert memo({"run": RunScope()}, list) is not kept
    assert memo({"run": scope}, list) is kept
    del scope
    gc.collect()
    assert len(memo) == 0
