"""The samplers of other libraries on one problem: x = x_0 + sigma eps, from noise sigmas[0] to sigmas[-1].

Each entry of ``PEERS`` runs a library's own sampler on the closed-form denoiser ``x_0(x, sigma)``, with the noise
that is handed in, and returns the last x. The libraries are installed without what they declare; modules that their
samplers do not use (data sets, metrics, adaptive integrators) are stood in for at import.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import torch
from torch import Tensor

__all__ = ["PEERS", "Problem"]

Oracle = Callable[[Tensor, Tensor], Tensor]
"""``(x, sigma ()) -> x_0`` of x's shape."""


class Problem:
    """What every library is given.

    Attributes:
        oracle: the exact denoiser.
        sigmas: float64 ``(n + 1,)``, falling, above 0.
        x: ``(b, n)`` at ``sigmas[0]``.
        noises: one of x's shape for each step.
    """

    def __init__(self, oracle: Oracle, sigmas: Tensor, x: Tensor, noises: Sequence[Tensor]) -> None:
        self.oracle, self.sigmas, self.x, self.noises = oracle, sigmas, x, noises

    def draws(self) -> Callable[..., Tensor]:
        """The noises one after the other, whatever it is called with."""
        left = iter(self.noises)
        return lambda *args, **kwargs: next(left)


@contextmanager
def _standing_in(*names: str) -> Iterator[None]:
    """Modules that are not installed become mocks while the block imports."""
    absent = {}
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            mock = MagicMock(name=name)
            mock.__spec__ = importlib.machinery.ModuleSpec(name, None)
            mock.__path__ = []
            absent[name] = mock
    sys.modules.update(absent)
    try:
        yield
    finally:  # no other module must find them
        for name in absent:
            sys.modules.pop(name)


def _azula(name: str, **options: Any) -> Callable[[Problem], Tensor]:
    def run(problem: Problem) -> Tensor:
        from azula import denoise, noise, sample

        sigmas = problem.sigmas

        class Exact(denoise.Denoiser):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.schedule = noise.VESchedule(sigma_min=float(sigmas[-1]), sigma_max=float(sigmas[0]))

            def forward(self, x_t: Tensor, t: Tensor, **kwargs: Any) -> Any:
                return denoise.DiracPosterior(mean=problem.oracle(x_t, self.schedule(t)[1]))

        sampler = getattr(sample, name)(
            Exact(), steps=len(sigmas) - 1, silent=True, dtype=torch.float64, **options
        )
        with patch.object(torch, "randn_like", problem.draws()):
            return sampler(problem.x)

    return run


def _k_diffusion(name: str, **options: Any) -> Callable[[Problem], Tensor]:
    def run(problem: Problem) -> Tensor:
        if "k_diffusion" not in sys.modules:
            # Its package imports training and metrics; the samplers are in one module of it.
            spec = importlib.machinery.PathFinder.find_spec("k_diffusion")
            if spec is None or spec.origin is None:
                raise ImportError("k-diffusion is not installed")
            package = types.ModuleType("k_diffusion")
            package.__path__ = [str(Path(spec.origin).parent)]
            sys.modules["k_diffusion"] = package
        with _standing_in("torchdiffeq", "torchsde", "torchvision", "torchvision.transforms"):
            sampling = importlib.import_module("k_diffusion.sampling")

        def model(x: Tensor, sigma: Tensor) -> Tensor:
            return problem.oracle(x, sigma[0])

        draws = problem.draws()
        more = {"noise_sampler": draws} if "ancestral" in name or "sde" in name else {}
        run_it = getattr(sampling, name)
        with patch.object(torch, "randn_like", lambda x: torch.zeros_like(x)):
            return run_it(model, problem.x, problem.sigmas, disable=True, **more, **options)

    return run


def _smalldiffusion(gam: float, mu: float) -> Callable[[Problem], Tensor]:
    def run(problem: Problem) -> Tensor:
        with _standing_in("torchvision", "torchvision.transforms", "torchvision.datasets", "datasets"):
            diffusion = importlib.import_module("smalldiffusion.diffusion")
        draws = problem.draws()

        class Model(torch.nn.Module):
            def rand_input(self, batch: int) -> Tensor:
                return draws() if mu else torch.zeros_like(problem.x)

            def predict_eps_cfg(self, x: Tensor, sigma: Tensor, cond: object, scale: float) -> Tensor:
                return (x - problem.oracle(x, sigma)) / sigma

        x = problem.x
        place = types.SimpleNamespace(device=x.device)
        for x in diffusion.samples(Model(), problem.sigmas, gam=gam, mu=mu, xt=problem.x, accelerator=place):  # noqa: B007
            pass
        return x

    return run


PEERS: dict[str, dict[str, Callable[[Problem], Tensor]]] = {
    "azula 0.11.1": {
        "DDPMSampler": _azula("DDPMSampler"),
        "DDIMSampler": _azula("DDIMSampler"),
        "EulerSampler": _azula("EulerSampler"),
        "HeunSampler": _azula("HeunSampler"),
        "zABSampler(2)": _azula("zABSampler", order=2),
        "xEABSampler(2)": _azula("xEABSampler", order=2),
        "REABSampler(2)": _azula("REABSampler", order=2),
    },
    "k-diffusion 0.1.1": {
        "sample_euler": _k_diffusion("sample_euler"),
        "sample_euler_ancestral": _k_diffusion("sample_euler_ancestral"),
        "sample_heun": _k_diffusion("sample_heun"),
        "sample_lms(2)": _k_diffusion("sample_lms", order=2),
        "sample_dpmpp_2m": _k_diffusion("sample_dpmpp_2m"),
        "sample_dpmpp_2m_sde(midpoint)": _k_diffusion("sample_dpmpp_2m_sde"),
        "sample_dpmpp_2m_sde(heun)": _k_diffusion("sample_dpmpp_2m_sde", solver_type="heun"),
    },
    "smalldiffusion 0.5.0": {
        "samples(gam=1, mu=0.5), DDPM": _smalldiffusion(1.0, 0.5),
        "samples(gam=1, mu=0), DDIM": _smalldiffusion(1.0, 0.0),
        "samples(gam=2, mu=0), accelerated": _smalldiffusion(2.0, 0.0),
    },
}
"""Library and version, its sampler, and what runs it. Each raises ImportError where the library is absent."""
