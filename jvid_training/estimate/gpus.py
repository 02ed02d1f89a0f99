"""GPUs by name: their memory, and the peak rate of matrix products by precision.

Rates are TFLOPS of dense products, accumulated in float32 (datasheets often state the double, with sparsity). A recipe of
``training.precision = "no"`` is held against the rate of float32. torch computes convolutions of float32 in TF32 where a GPU has
it, and matrix products too after ``torch.set_float32_matmul_precision("high")``: such a run may go past this peak.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from jvid.errors import InputError

__all__ = ["GPUS", "Gpu", "gpus_named"]


@attrs.frozen
class Gpu:
    """A GPU; rates in TFLOPS, ``memory`` in bytes, ``source`` of the figures. A precision that it lacks is 0."""

    name: str
    memory: int
    fp32: float
    bf16: float
    fp16: float
    source: str

    def peak(self, precision: str) -> float:
        """Operations per second of matrix products in a recipe's ``training.precision``; 0 where the GPU has none."""
        return {"no": self.fp32, "bf16": self.bf16, "fp16": self.fp16}[precision] * 1e12


_GB = 10**9
GPUS = (
    Gpu("V100", 32 * _GB, 15.7, 0.0, 125.0, "NVIDIA V100 datasheet (SXM2)"),
    Gpu("A100", 80 * _GB, 19.5, 312.0, 312.0, "NVIDIA A100 datasheet (SXM, 80 GB)"),
    Gpu("A100-40GB", 40 * _GB, 19.5, 312.0, 312.0, "NVIDIA A100 datasheet (SXM, 40 GB)"),
    Gpu("A10", 24 * _GB, 31.2, 125.0, 125.0, "NVIDIA A10 datasheet"),
    Gpu("A6000", 48 * _GB, 38.7, 154.8, 154.8, "NVIDIA RTX A6000 datasheet; 309.7 with sparsity"),
    Gpu("L4", 24 * _GB, 30.3, 121.0, 121.0, "NVIDIA L4 datasheet; 242 with sparsity"),
    Gpu("L40S", 48 * _GB, 91.6, 362.0, 362.0, "NVIDIA L40S datasheet; 733 with sparsity"),
    Gpu("H100", 80 * _GB, 67.0, 989.0, 989.0, "NVIDIA H100 datasheet (SXM5); 1,979 with sparsity"),
    Gpu("H100-PCIe", 80 * _GB, 51.0, 756.0, 756.0, "NVIDIA H100 datasheet (PCIe); 1,513 with sparsity"),
    Gpu("H200", 141 * _GB, 67.0, 989.0, 989.0, "NVIDIA H200 datasheet (SXM); 1,979 with sparsity"),
    Gpu("B200", 180 * _GB, 75.0, 2250.0, 2250.0, "NVIDIA HGX B200 datasheet, an eighth; 4,500 with sparsity"),
    Gpu("RTX3090", 24 * _GB, 35.6, 71.0, 71.0, "NVIDIA GA102 whitepaper; FP32 accumulate"),
    Gpu("RTX4090", 24 * _GB, 82.6, 165.2, 165.2, "NVIDIA Ada GPU architecture whitepaper; FP32 accumulate"),
    Gpu("RTX5090", 32 * _GB, 104.8, 209.5, 209.5, "NVIDIA RTX Blackwell whitepaper; FP32 accumulate"),
    Gpu("MI300X", 192 * _GB, 163.4, 1307.4, 1307.4, "AMD Instinct MI300X datasheet"),
)
USUAL = ("A100", "H100", "H200", "L40S", "RTX4090")


def gpus_named(names: Sequence[str] = ()) -> tuple[Gpu, ...]:
    """GPUs by their names, whatever the case, spaces and hyphens; the usual ones for none.

    Raises:
        InputError: a name that is not in `GPUS`.
    """
    known = {_plain(gpu.name): gpu for gpu in GPUS}
    for name in names:
        if _plain(name) not in known:
            raise InputError(f"GPU {name!r}: expected one of {', '.join(gpu.name for gpu in GPUS)}")
    return tuple(known[_plain(name)] for name in names or USUAL)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
