"""How large the tiles of the Triton kernels are: as large as fits in registers without spills.

The limits are found with the compiler's report, which needs no card: `python -m tests.benchmarks.compile_report`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kernel = Literal[
    "prepare", "score", "pool", "backward_scores", "backward_embeddings", "backward_network", "backward_sums"
]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)
_SMALLEST = 16  # the smallest dimension of a tensor-core product
_WORD = 32
_REGISTERS, _SMALL, _SMALL_TILE = 255, 32, (32, 64)
_PAIRS = 16  # at a time, where kernels read scores alone
_SHARES = 16  # of the gradients of the network, at a time


@dataclass(frozen=True)
class Tiling:
    """Compile-time constants of one kernel; see `triton_tiles`."""

    M: int
    """Rows."""
    K_B: int
    """Columns of v at a time."""
    T_B: int
    """Rows of W at a time."""
    num_warps: int
    resident: bool = False
    """Whether a kernel that can hold its part of W on chip does so."""

    @property
    def registers(self) -> int | None:
        """Most registers of a thread. Left to itself, the assembler spills in small tiles, to run more of them."""
        return _REGISTERS if min(self.K_B, self.T_B) <= _SMALL else None


_NARROW = {
    80: {"score": Tiling(64, 32, 64, 4), "backward_embeddings": Tiling(64, 64, 64, 8)},
    90: {"score": Tiling(64, 64, 128, 8), "backward_embeddings": Tiling(64, 32, 256, 8, resident=True)},
}
_FLOAT32 = {
    80: {
        "score": Tiling(64, 16, 64, 4),
        "backward_embeddings": Tiling(64, 32, 32, 8),
        "backward_network": Tiling(64, 32, 32, 8),
    },
    90: {"score": Tiling(64, 32, 64, 4), "backward_embeddings": Tiling(64, 32, 64, 8)},
}
_OF_ALL = {
    "prepare": Tiling(64, 64, 16, 4),
    "backward_sums": Tiling(64, 64, 16, 4),
    "pool": Tiling(64, 64, 16, 4),
    "backward_scores": Tiling(64, 64, 16, 4),
    "backward_network": Tiling(64, 64, 128, 8),
}


def tiling(kernel: Kernel, k: int, t: int, *, bfloat16: bool, capability: int) -> Tiling:
    """The tiling of a kernel for embeddings of k factors and t rows of W, on a card of a compute capability (80: 8.0).

    An older card than 9.0 has less shared memory, and keeps the factors of products in registers.
    """
    of_card = (_NARROW if bfloat16 else _FLOAT32)[90 if capability >= 90 else 80]
    largest = of_card.get(kernel) or _OF_ALL[kernel]
    aligned = k % _SMALLEST == 0  # otherwise each number of v needs an address of its own, and with it registers
    most_columns, most_units = (largest.K_B, largest.T_B) if aligned and t > largest.T_B // 2 else _SMALL_TILE
    K_B = min(largest.K_B, most_columns, padded(k))
    T_B = min(largest.T_B, most_units, padded(t))
    return Tiling(largest.M, K_B, T_B, largest.num_warps, largest.resident and t <= T_B)


def constants(arguments: Collection[str], chosen: Tiling) -> dict[str, Any]:
    """What a kernel of these arguments is compiled with, besides its precision."""
    tile = {"M": chosen.M, "K_B": chosen.K_B, "T_B": chosen.T_B, "BITS": min(_WORD, chosen.T_B)}
    used = {**tile, "J": _PAIRS, "S": _SHARES, "RESIDENT": chosen.resident}
    found = {name: value for name, value in used.items() if name in arguments}
    return {**found, "num_warps": chosen.num_warps, "num_stages": 2, "maxnreg": chosen.registers}


def word_bits(t: int) -> int:
    """How many bits a word of `active` holds."""
    return min(_WORD, padded(t))


def padded(size: int) -> int:
    """`size`, rounded up to a power of two that tensor cores take."""
    return max(_SMALLEST, 1 << (size - 1).bit_length())
