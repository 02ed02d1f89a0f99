"""The check that promises hold for other options than those of the instance at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis.errors import UnsatisfiedAssumption

from jvid.testing.checking import CHECKS, check
from jvid.testing.inner import Inner
from jvid.testing.trial import Refused, Skip, Trial, failure_text
from jvid.testing.versions import ends_of

__all__ = ["VARIED", "vary"]

VARIED: Mapping[str, tuple[str, ...]] = {
    "schedule": ("levels_are_levels", "from_clean_to_noise", "angle_never_falls", "time_at_finds_the_level"),
    "denoiser": ("shape_and_dtype_kept", "a_clip_is_alone"),
    "wrapper": ("leaves_alone_what_agrees", "shape_and_dtype_kept", "a_clip_is_alone"),
    "selector": ("weights_are_weights", "the_same_in_any_order"),
    "noise": ("covariance_as_declared", "shape_and_dtype_kept"),
    "solver": (
        "exact_where_x_0_is_known", "evaluations_as_declared", "declares_the_noise_that_it_draws", "finite_on_any_walk",
    ),
    "grid": ("times_of_a_schedule", "the_last_is_clean", "every_step_goes_somewhere", "as_many_steps_as_requested"),
    "postprocessor": ("shape_and_dtype_kept", "a_clip_is_alone", "a_still_clip_stays", "one_frame_stays"),
}  # fmt: skip
"""Checks that are run again with other options, by kind: cheap ones, of values."""

EXACT = ("exact_where_x_0_is_known",)
"""Not of other options where a reference gives their values: more noise than a level has may be what one is for."""


def vary(kind: str) -> None:
    """Register the check for a kind, behind those that it runs."""

    def holds_for_other_options(subject: Any, trial: Trial) -> None:
        """What the checks of values promise holds for other options too, drawn from ``ranges``."""
        ranges = trial.ranges
        if not ranges:
            trial.skip(
                "no ranges of options that are not given: conforms(..., ranges={name: (low, high)})", "ranges"
            )

        ran: list[str] = []

        def holds(options: dict[str, Any]) -> None:
            try:
                version = trial.version(subject, options, Inner() if kind == "wrapper" else None)
            except UnsatisfiedAssumption:
                return  # the factory refuses them
            for name in VARIED[kind]:
                if name in EXACT and trial.reference is not None:
                    continue
                try:
                    CHECKS[kind][name].run(version, trial.fewer(2, at=None))
                except Skip:
                    continue
                except Refused:
                    return
                except Exception as error:
                    raise AssertionError(f"{name}: {failure_text(error)}") from error
                ran.append(name)

        trial.each([{"options": options} for options in ends_of(ranges)], holds)
        assert ran or trial.at is not None, (
            f"nothing was checked: all options within the ranges of {', '.join(ranges)} are refused"
        )

    check(kind)(holds_for_other_options)
