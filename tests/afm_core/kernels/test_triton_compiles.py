"""The Triton kernels compile for GPUs, which needs none: the interpreter takes what the compiler would refuse."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from afm_core.kernels import triton_kernels
from afm_core.kernels.triton import tiling

kernel = getattr(triton_kernels, sys.argv[1])
INTEGERS = dict.fromkeys(["rows", "fields", "pairs", "k", "t"], "i32")
BY_NAME = {"left": "*i32", "right": "*i32", "mask": "*u8", **INTEGERS}
for capability in (80, 90):
    for factors in ("float32", "bfloat16"):
        for fields, k in ((3, 16), (10, 64)):
            constants = {**tiling(fields, k, k, bfloat16=factors == "bfloat16"), "FACTORS": factors, "KEEP": True}
            constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
            types = {n: "constexpr" if n in constants else BY_NAME.get(n, "*fp32") for n in kernel.arg_names}
            source = ASTSource(kernel, types, {(kernel.arg_names.index(n),): v for n, v in constants.items()})
            options = {"num_warps": 8 if k > 64 else 4, "num_stages": 2}
            made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
            assert made.metadata.shared <= 160 << 10, (capability, factors, fields, k, made.metadata.shared)
"""


@pytest.mark.parametrize("kernel", ["forward", "backward_embeddings", "backward_network"])
def test_a_kernel_compiles_and_fits_the_shared_memory(kernel: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILE, kernel], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
