"""What the Triton kernels of pair attention share: their tiles.

A tile is one pair (i, j) of M rows: nothing is gathered, a field's embeddings serve all pairs that follow it, and any
number of fields fills the tensor cores. What has an axis of pairs is stored as (P, B), so that the rows of a tile lie
side by side. k is processed K_B columns at a time and t T_B at a time: registers never hold more than that of a tile.

Names in capitals are compile-time constants. FACTORS is the precision of the factors of products, whose sums are
float32: "bfloat16", "rounded" (the nearest bfloat16 stored in float32, because Triton's interpreter truncates instead
of rounding), or "float32", by TF32x3.
"""

import triton
import triton.language as tl


@triton.jit
def term(v, gate, field, row, column, live, fields, k):
    """(M, K_B) float32, v_i x_i of one field. `v` and `gate` point to the tile's first row; `live` of them exist."""
    value = tl.load(gate + row * fields + field, mask=row < live, other=0.0)
    inside = (row[:, None] < live) & (column[None, :] < k)
    at = v + field * k + (row[:, None] * (fields * k) + column[None, :])
    return tl.load(at, mask=inside, other=0.0) * value[:, None]


@triton.jit
def factor(x, FACTORS: tl.constexpr):
    """`x` as a factor of a product."""
    if FACTORS == "bfloat16":
        x = x.to(tl.bfloat16)
    elif FACTORS == "rounded":
        bits = x.to(tl.int32, bitcast=True)
        x = ((bits + 0x7FFF + ((bits >> 16) & 1)) & -0x10000).to(tl.float32, bitcast=True)
    return x
