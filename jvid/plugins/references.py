"""The references of the built-ins: equations of their papers in ``jvid.testing.references``, and options to check them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jvid.plugins.registrar import Registrar

__all__ = ["declare_references"]

_AT = "jvid.testing.references"


def declare_references(register: Registrar) -> None:
    """Targets are lazy: nothing is imported before a component is checked."""
    _wrappers(register)
    _selectors(register)
    _solvers(register)
    _grids(register)
    _schedules(register)
    _noise(register)
    _others(register)


def _wrappers(register: Registrar) -> None:
    at = f"{_AT}.wrappers"
    ranges = {
        "scale": (-1.0, 8.0), "low": [0.0, 0.25], "high": [1.0, 0.75], "rescale": (0.0, 1.0)
    }  # fmt: skip
    register.reference("wrapper", "guided", f"{at}:guided", ranges=ranges)
    register.reference("wrapper", "framewise", f"{at}:framewise")
    register.reference("wrapper", "bridged", f"{at}:bridged")
    register.reference("wrapper", "windowed", f"{at}:windowed", ranges={"size": (3, 6), "stride": (1, 6)})
    register.reference("wrapper", "known", f"{at}:known")
    register.reference("wrapper", "corrected", f"{at}:corrected", ranges={"interval": [None, (0.2, 0.6)]})
    register.reference("wrapper", "first-frame", f"{at}:first_frame")
    register.reference("wrapper", "cached", f"{at}:cached", ranges={"size": (1, 5)})


def _selectors(register: Registrar) -> None:
    at = f"{_AT}.selectors"
    unit = (0.0, 1.0)
    register.reference(
        "selector",
        "piecewise-affine",
        f"{at}:piecewise_affine",
        ranges={"t_v": (0.0, 0.5), "t_e": (0.5, 1.0), "p_e": unit, "p_f": unit},
    )
    for name in ("always", "random", "boundary", "cycle", "table", "blend"):
        register.reference("selector", name, f"{at}:{name}")


def _solvers(register: Registrar) -> None:
    one, more = f"{_AT}.solvers", f"{_AT}.multistep"
    unit = (0.0, 1.0)
    churn = {"s_churn": (0.0, 4.0), "s_tmin": [0.0, 0.05], "s_noise": (0.9, 1.1)}
    forms = {"form": ["midpoint", "heun"], "history": ["per-expert", "restart"]}
    register.reference("solver", "ddpm", f"{one}:ddpm")
    register.reference("solver", "ddim", f"{one}:ddim", ranges={"eta": unit})
    register.reference("solver", "euler", f"{one}:euler", ranges=churn)
    register.reference(
        "solver", "euler-ancestral", f"{one}:euler_ancestral", ranges={"eta": unit, "s_noise": (0.5, 1.5)}
    )
    register.reference("solver", "heun", f"{one}:heun", ranges=churn)
    register.reference("solver", "pndm", f"{more}:pndm", ranges={"start": ["plms", "runge-kutta"]})
    register.reference("solver", "dpmpp-2m", f"{more}:dpmpp_2m", ranges=forms)
    register.reference("solver", "dpmpp-2m-sde", f"{more}:dpmpp_2m_sde", ranges={"eta": unit, **forms})
    register.reference(
        "solver",
        "unipc",
        f"{more}:unipc",
        ranges={"solver_order": (1, 3), "variant": ["bh1", "bh2"], "lower_order_final": [True, False]},
    )


def _grids(register: Registrar) -> None:
    at = f"{_AT}.grids"
    steps, clean = (1, 1000), [True, False]
    register.reference(
        "grid", "leading", f"{at}:leading", ranges={"steps": steps, "offset": [0, 1], "clean": clean}
    )
    register.reference("grid", "trailing", f"{at}:trailing", ranges={"steps": steps, "clean": clean})
    register.reference(
        "grid", "linspace", f"{at}:linspace", ranges={"steps": steps, "clean": clean, "rounded": clean}
    )
    register.reference(
        "grid",
        "karras",
        f"{at}:karras",
        ranges={"steps": (2, 60), "rho": (1.0, 9.0), "sigma_max": [None, 5.0]},
    )
    register.reference("grid", "by-angle", f"{at}:by_angle", ranges={"steps": (1, 60)})
    register.reference(
        "grid", "zigzag", f"{at}:zigzag", ranges={"steps": (10, 60), "back": (1, 3), "repeats": (0, 3)}
    )
    register.reference("grid", "native", f"{at}:native")
    register.reference("grid", "explicit", f"{at}:explicit")


def _schedules(register: Registrar) -> None:
    at = f"{_AT}.schedules"
    sizes = {"T": (2, 1000)}
    betas = {"start": (1e-4, 1e-3), "end": (0.01, 0.03), **sizes}
    register.reference("schedule", "linear", f"{at}:linear", ranges=betas)
    register.reference("schedule", "scaled-linear", f"{at}:scaled_linear", ranges=betas)
    register.reference("schedule", "cosine", f"{at}:cosine", ranges=sizes)
    register.reference(
        "schedule",
        "zero-terminal-snr",
        f"{at}:zero_terminal_snr",
        ranges={"of": ["linear", "scaled-linear", "cosine"], **sizes},
    )
    register.reference(
        "schedule",
        "variance-exploding",
        f"{at}:variance_exploding",
        ranges={"sigma_min": (0.001, 0.1), "sigma_max": (1.0, 200.0), "t_min": (0.001, 0.2)},
    )
    register.reference("schedule", "flow-matching", f"{at}:flow_matching", ranges={"shift": (0.2, 12.0)})


def _noise(register: Registrar) -> None:
    at = f"{_AT}.noise"
    register.reference("noise", "independent", f"{at}:independent")
    register.reference("noise", "shared", f"{at}:shared", ranges={"ratio": (0.0, 1.0)})
    register.reference("noise", "scaled", f"{at}:scaled", ranges={"gamma": (0.0, 2.0), "ratio": (0.0, 1.0)})
    register.reference("noise", "mixed", f"{at}:mixed", ranges={"alpha": (0.0, 3.0)})
    register.reference("noise", "progressive", f"{at}:progressive", ranges={"alpha": (0.0, 3.0)})
    register.reference(
        "noise", "offset", f"{at}:offset", ranges={"strength": (0.0, 1.0), "frames": ["shared", "own"]}
    )


def _others(register: Registrar) -> None:
    deviation = {"mean": (-1.0, 1.0), "std": (0.1, 2.0)}
    register.reference("denoiser", "gaussian", f"{_AT}.denoisers:gaussian", ranges=deviation)
    register.reference(
        "denoiser", "two-modes", f"{_AT}.denoisers:two_modes", ranges={"offset": (0.3, 2.0), **deviation}
    )
    at = f"{_AT}.postprocessors"
    register.reference("postprocessor", "temporal", f"{at}:temporal", ranges={"threshold": (0.0, 10.0)})
    register.reference("postprocessor", "gaussian", f"{at}:gaussian", ranges={"std": (0.0, 3.0)})
    register.reference("postprocessor", "uniform", f"{at}:uniform", ranges={"size": [1, 3, 5, 7, 21]})
