"""`python -m tests.benchmarks.compile_report`: what the compiler says about the Triton kernels, without a GPU.

Registers, spilled bytes, shared memory and the kind of tensor-core product of every kernel, for each compute capability
and precision. Exit code 1 if a kernel spills, or wants more shared memory than the card has.
"""

import argparse
import itertools
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from afm_core.kernels import triton_rows
from afm_core.kernels.triton import kernel_function
from afm_core.kernels.triton_tilings import KERNELS, Kernel, Tiling, constants, tiling

SIZES = (16, 32, 64, 128, 256)
SHARED_MEMORY = {80: 163 << 10, 90: 227 << 10, 100: 227 << 10}
_ARCHITECTURES = {80: "sm_80", 90: "sm_90a", 100: "sm_100a"}
_PRODUCTS = ("tcgen05.mma", "wgmma.mma", "mma.sync")
_TYPES = {"left": "*i32", "right": "*i32", "mask": "*u8", "active": "*i32"}
_STEP_TYPES = {
    **dict.fromkeys(("ordered", "order"), "*i64"),
    **dict.fromkeys(("gradients", "partial", "weight", "mean", "squares"), "*fp32"),
    **dict.fromkeys(("lookups", "width", "stride"), "i32"),
}
_REPORTED = ("registers", "spilled bytes", "shared KiB", "product")
_INTEGERS = ("rows", "fields", "pairs", "k", "t", "words", "shares")


class Variant(NamedTuple):
    """What is compiled once: shapes with the same tiling share it."""

    kernel: Kernel
    capability: int
    bfloat16: bool
    tiling: Tiling
    aligned: bool
    """Whether k is a multiple of 16, which the compiler makes use of."""


class Compiled(NamedTuple):
    """What the compiler reports."""

    registers: int
    spilled: int
    """Bytes of stores and loads."""
    shared: int
    """Bytes."""
    product: str


def variants(kernels: tuple[Kernel, ...], sizes: tuple[int, ...], capabilities: tuple[int, ...]) -> list[Variant]:
    """Of all embedding and attention sizes, without repetitions."""
    found = {
        Variant(kernel, capability, bfloat16, of, aligned=k % 16 == 0)
        for kernel, capability, bfloat16 in itertools.product(kernels, capabilities, (True, False))
        for k, t in itertools.product(sizes, sizes)
        for of in [tiling(kernel, k, t, bfloat16=bfloat16, capability=capability)]
    }
    return sorted(found, key=str)


def compiled(variant: Variant) -> Compiled:
    """Compile one with dropout, in training: the larger code."""
    function = kernel_function(variant.kernel)
    factors = "bfloat16" if variant.bfloat16 else "float32"
    tuned = constants(function.arg_names, variant.tiling)
    options = {name: tuned.pop(name) for name in ("num_warps", "num_stages", "maxnreg")}
    fixed = {**tuned, "FACTORS": factors, "KEEP": True, "TRAINING": True}
    fixed = {name: value for name, value in fixed.items() if name in function.arg_names}
    narrow = dict.fromkeys(("W_factors", "hW_factors"), "*bf16" if variant.bfloat16 else "*fp32")
    types = {**dict.fromkeys(function.arg_names, "*fp32"), **_TYPES, **narrow, **dict.fromkeys(_INTEGERS, "i32")}
    signature = {name: "constexpr" if name in fixed else types[name] for name in function.arg_names}
    divisible = [name for name, kind in signature.items() if kind[0] == "*" or (variant.aligned and name == "k")]
    at = function.arg_names.index
    source = ASTSource(
        function,
        signature,
        {(at(name),): value for name, value in fixed.items()},
        {(at(name),): [["tt.divisibility", 16]] for name in divisible},
    )
    return _compiled(source, variant.capability, options)


def _compiled(source: ASTSource, capability: int, options: dict[str, Any]) -> Compiled:
    with warnings.catch_warnings(action="ignore"):
        made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    code = made.asm["ptx"]
    registers, spilled = _assembled(code, capability)
    product = next((name.partition(".")[0] for name in _PRODUCTS if name in code), "none")
    return Compiled(registers, spilled, made.metadata.shared, product)


def compiled_step(kernel: str, width: int, optimizer: str, capability: int) -> Compiled:
    """Compile a kernel of the optimisers' steps on rows, for a table of rows of this width."""
    function = getattr(triton_rows, kernel)
    fixed: dict[str, Any] = {**triton_rows.constants(width), "OPTIMIZER": optimizer}
    fixed |= {"width": 1, "stride": 1} if width == 1 else {}  # Triton makes a constant of an argument that is 1
    fixed = {name: value for name, value in fixed.items() if name in function.arg_names}
    signature = {name: "constexpr" if name in fixed else _STEP_TYPES.get(name, "fp32") for name in function.arg_names}
    at = function.arg_names.index
    source = ASTSource(function, signature, {(at(name),): value for name, value in fixed.items()})
    return _compiled(source, capability, {"num_warps": 4})


def _assembled(code: str, capability: int) -> tuple[int, int]:
    """Registers and spilled bytes, as the assembler reports them for the options that Triton 3.9 gives it."""
    assembler = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    assembler /= "ptxas-blackwell" if (assembler / "ptxas-blackwell").exists() else "ptxas"
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(code)
        file.flush()
        command = [
            assembler,
            "-v",
            "--regAllocOptLevel=2",
            f"--gpu-name={_ARCHITECTURES[capability]}",
            file.name,
            "-o",
            "/dev/null",
        ]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    (registers,) = re.findall(r"Used (\d+) registers", report)
    ((stores, loads),) = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", report)
    return int(registers), int(stores) + int(loads)


def step_lines(widths: Iterable[int], capabilities: Iterable[int]) -> Iterator[tuple[str, bool]]:
    """A row of the table of optimisers' steps for each kernel, and whether it is as it should be."""
    kernels = [("sum_chunks", ""), *(("step_rows", optimizer) for optimizer in ("sgd", "adagrad", "adam"))]
    for (kernel, optimizer), width, capability in itertools.product(kernels, widths, capabilities):
        found = compiled_step(kernel, width, optimizer, capability)
        yield (
            f"| {f'{kernel} {optimizer}'.rstrip()} | {capability / 10} | {width} | {found.registers} | {found.spilled} "
            f"| {found.shared / 1024:.0f} |",
            _is_good(found, capability),
        )


def _is_good(found: Compiled, capability: int) -> bool:
    return found.spilled == 0 and found.shared <= SHARED_MEMORY[capability]


def lines(chosen: list[Variant]) -> Iterator[tuple[str, bool]]:
    """A row of the table for each, and whether it is as it should be."""
    for variant in chosen:
        found, of = compiled(variant), variant.tiling
        good = _is_good(found, variant.capability)
        tile = f"{of.M} x {of.K_B} x {of.T_B}{', resident' if of.resident else ''}"
        precision = "bfloat16" if variant.bfloat16 else "float32"
        yield (
            f"| {variant.kernel} | {variant.capability / 10} | {precision} | {tile} | {of.num_warps} "
            f"| {'yes' if variant.aligned else 'no'} | {found.registers} | {found.spilled} "
            f"| {found.shared / 1024:.0f} | {found.product} |",
            good,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", choices=KERNELS, nargs="+", default=KERNELS)
    parser.add_argument("--size", type=int, nargs="+", default=(*SIZES, 10), help="of embeddings and attention")
    parser.add_argument("--capability", type=int, choices=SHARED_MEMORY, nargs="+", default=tuple(SHARED_MEMORY))
    arguments = parser.parse_args()
    columns = ("kernel", "card", "precision", "rows x k x t", "warps", "k / 16", *_REPORTED)
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    all_good = True
    for line, good in lines(variants(tuple(arguments.kernel), tuple(arguments.size), tuple(arguments.capability))):
        print(line, flush=True)
        all_good &= good
    print("\n| step on rows | card | width | registers | spilled bytes | shared KiB |\n|---|---|---|---|---|---|")
    for line, good in step_lines((1, *arguments.size), arguments.capability):
        print(line, flush=True)
        all_good &= good
    sys.exit(0 if all_good else 1)


if __name__ == "__main__":
    main()
