"""The Triton kernels of pair attention's forward pass; `triton.py` launches them, `triton_tiles.py` has the names.

`score` keeps one bit for each pair and row of W, whether ReLU was active, so that backward recomputes no activation.
"""

import triton
import triton.language as tl

from afm_core.kernels.triton_tiles import factor, term


@triton.jit
def prepare(
    W, h, W_factors, hW_factors,
    k, t,
    K_B: tl.constexpr, T_B: tl.constexpr, FACTORS: tl.constexpr,
):  # fmt: skip
    """Write W and h W as factors of products."""
    unit = tl.program_id(0) * T_B + tl.arange(0, T_B)
    column = tl.program_id(1) * K_B + tl.arange(0, K_B)
    inside = (unit[:, None] < t) & (column[None, :] < k)
    cell = unit[:, None] * k + column[None, :]
    tile = tl.load(W + cell, mask=inside, other=0.0)
    weight = tl.load(h + unit, mask=unit < t, other=0.0)
    tl.store(W_factors + cell, factor(tile, FACTORS), mask=inside)
    tl.store(hW_factors + cell, factor(weight[:, None] * tile, FACTORS), mask=inside)


@triton.jit
def score(
    v, gate, mask, W_factors, b, h, left, right, scores, active,
    rows, fields, pairs, k, t, words,
    M: tl.constexpr, K_B: tl.constexpr, T_B: tl.constexpr, BITS: tl.constexpr,
    FACTORS: tl.constexpr, TRAINING: tl.constexpr,
):  # fmt: skip
    """Write the scores a', -inf where masked, and in training the bits. `program_id(1)` shares the pairs out."""
    origin = tl.program_id(0).to(tl.int64) * M
    row, live = tl.arange(0, M), (rows - origin).to(tl.int32)
    v, gate, mask = v + origin * fields * k, gate + origin * fields, mask + origin * fields
    scores, active = scores + origin, active + origin
    stride = tl.zeros([], tl.int64) + rows
    for pair in range(tl.program_id(1), pairs, tl.num_programs(1)):
        i, j = tl.load(left + pair), tl.load(right + pair)
        result = tl.zeros([M], tl.float32)
        for start in range(0, t, T_B):
            unit = start + tl.arange(0, T_B)
            before = tl.zeros([M, T_B], tl.float32)
            for first in range(0, k, K_B):
                column = first + tl.arange(0, K_B)
                product = term(v, gate, i, row, column, live, fields, k)
                product *= term(v, gate, j, row, column, live, fields, k)
                inside = (unit[None, :] < t) & (column[:, None] < k)
                W_columns = tl.load(W_factors + unit[None, :] * k + column[:, None], mask=inside, other=0.0)
                before = tl.dot(factor(product, FACTORS), W_columns, before, input_precision="tf32x3")
            before += tl.load(b + unit, mask=unit < t, other=0.0)[None, :]
            weight = tl.load(h + unit, mask=unit < t, other=0.0)
            result += tl.sum(tl.maximum(before, 0.0) * weight[None, :], axis=1)
            if TRAINING:
                bits = tl.reshape((before > 0.0).to(tl.int32), [M, T_B // BITS, BITS])
                packed = tl.sum(bits << tl.arange(0, BITS)[None, None, :], axis=2)
                first_word, word = start // BITS, tl.arange(0, T_B // BITS)
                at = active + (pair * words + first_word) * stride + (word[None, :] * rows + row[:, None])
                tl.store(at, packed, mask=(first_word + word[None, :] < words) & (row[:, None] < live))
        both = tl.load(mask + row * fields + i, mask=row < live, other=0)
        both &= tl.load(mask + row * fields + j, mask=row < live, other=0)
        out = scores + pair * stride + row
        tl.store(out, tl.where(both != 0, result, float("-inf")), mask=row < live)


@triton.jit
def pool(
    v, gate, keep, scores, weights, pooled,
    rows, fields, pairs, k,
    M: tl.constexpr, K_B: tl.constexpr, J: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Write the weights a and the pooled vectors. `program_id(1)` is the number of the block of columns."""
    origin = tl.program_id(0).to(tl.int64) * M
    row, live = tl.arange(0, M), (rows - origin).to(tl.int32)
    column = tl.program_id(1) * K_B + tl.arange(0, K_B)
    v, gate = v + origin * fields * k, gate + origin * fields
    scores, weights, keep = scores + origin, weights + origin, keep + origin
    writing = tl.where(tl.program_id(1) == 0, live, 0)
    largest = tl.full([M], float("-inf"), tl.float32)
    total = tl.zeros([M], tl.float32)
    for first in range(0, pairs, J):
        pair = first + tl.arange(0, J)
        inside = (pair[:, None] < pairs) & (row[None, :] < live)
        at = scores + pair.to(tl.int64)[:, None] * rows + row[None, :]
        several = tl.load(at, mask=inside, other=float("-inf"))
        raised = tl.maximum(largest, tl.max(several, axis=0))
        finite = tl.where(raised == float("-inf"), 0.0, raised)
        total = total * tl.exp(largest - finite) + tl.sum(tl.exp(several - finite[None, :]), axis=0)
        largest = raised
    finite = tl.where(largest == float("-inf"), 0.0, largest)
    divisor = tl.where(total > 0.0, total, 1.0)
    summed = tl.zeros([M, K_B], tl.float32)
    for i in range(fields - 1):
        of_i = tl.zeros([M, K_B], tl.float32)
        for j in range(i + 1, fields):
            weight = tl.exp(tl.load(scores + row, mask=row < live, other=float("-inf")) - finite) / divisor
            tl.store(weights + row, weight, mask=row < writing)
            if KEEP:
                weight *= tl.load(keep + row, mask=row < live, other=0.0)
            of_i += weight[:, None] * term(v, gate, j, row, column, live, fields, k)
            scores, weights, keep = scores + rows, weights + rows, keep + rows
        summed += of_i * term(v, gate, i, row, column, live, fields, k)
    out = pooled + origin * k + (row[:, None] * k + column[None, :])
    tl.store(out, summed, mask=(row[:, None] < live) & (column[None, :] < k))
