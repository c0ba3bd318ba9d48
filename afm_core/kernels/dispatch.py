"""Choosing the implementation of pair attention."""

from typing import Literal

import torch

from afm_core.errors import MachineError
from afm_core.kernels import native_cpu, triton
from afm_core.settings.model import Kernel, Precision

_FIELDS_WORTH_TRITON = 5
_LARGEST_FLOAT32 = 64
Chosen = Literal["reference", "tiled", "native", "triton"]


def choose(
    kernel: Kernel, device: torch.device, dtype: torch.dtype, n_fields: int, k: int, precision: Precision
) -> Chosen:
    """The implementation for tensors of this device and dtype and for rows of `n_fields` features of `k` factors.

    Raises:
        MachineError: `kernel` names an implementation that cannot run here.
    """
    if kernel == "reference" or dtype == torch.float64:
        return "reference"
    if kernel == "triton" and not triton.available():
        raise MachineError("model.kernel: triton needs the package triton and a GPU; use auto")
    if kernel == "cpu" and device.type != "cpu":
        raise MachineError(f"model.kernel: cpu cannot run on {device}; use auto")
    if kernel == "triton" or (device.type != "cpu" and triton.available() and _is_worth_triton(n_fields, k, precision)):
        return "triton"
    if device.type != "cpu":
        return "reference"
    return "native" if native_cpu.fits(n_fields) else "tiled"


def _is_worth_triton(n_fields: int, k: int, precision: Precision) -> bool:
    """Whether the Triton kernels are faster than plain torch.

    Measured on an H200 with torch 2.11 and Triton 3.6, with the kernels before these, which were slower in float32 at
    k = 256 and for three fields. These have not been measured, so the limits stay.
    """
    return n_fields >= _FIELDS_WORTH_TRITON and (precision == "bfloat16" or k <= _LARGEST_FLOAT32)


def describe(chosen: Chosen, precision: Precision) -> str:
    """The implementation in words, for log lines."""
    if chosen == "native":
        bfloat16 = precision == "bfloat16" and native_cpu.level() > 1
        return f"C++ tiles, {'AVX512-BF16' if bfloat16 else 'AVX-512, float32'}"
    if chosen == "triton":
        return f"Triton, {precision}"
    return "torch tiles, float32" if chosen == "tiled" else "plain torch"
