"""Solvers: one transition of the reverse process each, one a file."""

from __future__ import annotations

from jvid.solvers.ddim import DDIM
from jvid.solvers.ddpm import DDPM
from jvid.solvers.dpmpp import DPMPP2M, DPMPP2MSDE
from jvid.solvers.euler import Euler
from jvid.solvers.euler_ancestral import EulerAncestral
from jvid.solvers.heun import Heun
from jvid.solvers.pndm import PNDM
from jvid.solvers.unipc import UniPC

__all__ = ["DDIM", "DDPM", "DPMPP2M", "DPMPP2MSDE", "PNDM", "Euler", "EulerAncestral", "Heun", "UniPC"]
