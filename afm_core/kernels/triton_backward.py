"""The Triton kernels of pair attention's backward pass; `triton.py` launches them, `triton_tiles.py` has the names.

The gradients are two products of which one factor is the matrix of bits that `score` kept. Zeros and ones are exact in
TF32, so that float32 takes two products of TF32 and not three.
"""

import triton
import triton.language as tl

from afm_core.kernels.triton_tiles import factor, term


@triton.jit
def _high(x):
    """What of a float32 TF32 keeps."""
    return (x.to(tl.int32, bitcast=True) & -0x2000).to(tl.float32, bitcast=True)


@triton.jit
def _dot_of_bits(bits, x, sums, FACTORS: tl.constexpr):
    """`sums` + bits @ x, where `bits` are zeros and ones."""
    if FACTORS == "bfloat16":
        sums = tl.dot(bits.to(tl.bfloat16), x, sums)
    else:
        ones = bits.to(tl.float32)
        high = _high(x)
        sums = tl.dot(ones, high, sums, input_precision="tf32")
        sums = tl.dot(ones, x - high, sums, input_precision="tf32")
    return sums


@triton.jit
def _words(active, pair, first, row, live, rows, words, W_B: tl.constexpr):
    """(W_B, M) int32, words of the bits of one pair, from the word `first` on."""
    word = tl.arange(0, W_B)
    at = active + (pair * words + first) * rows + (word[:, None] * rows + row[None, :])
    return tl.load(at, mask=(first + word[:, None] < words) & (row[None, :] < live), other=0)


@triton.jit
def _bits(words, M: tl.constexpr, T_B: tl.constexpr, BITS: tl.constexpr):
    """(T_B, M) int32 of zeros and ones."""
    shifted = words[:, None, :] >> tl.arange(0, BITS)[None, :, None]
    return tl.reshape(shifted & 1, [T_B, M])


@triton.jit
def backward_scores(
    v, gate, keep, weights, d_pooled, d_scores,
    rows, fields, pairs, k,
    M: tl.constexpr, K_B: tl.constexpr, J: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Write the gradients of the scores.

    The sum over pairs in a softmax's gradient equals d_pooled . pooled, but is added up from the same terms, as stored,
    that it is subtracted from, so that a row with one pair gets a gradient of exactly 0.
    """
    origin = tl.program_id(0).to(tl.int64) * M
    row, live = tl.arange(0, M), (rows - origin).to(tl.int32)
    v, gate, d_pooled = v + origin * fields * k, gate + origin * fields, d_pooled + origin * k
    weights, keep, d_scores = weights + origin, keep + origin, d_scores + origin
    expected = tl.zeros([M], tl.float32)
    pair = tl.zeros([], tl.int64)
    for i in range(fields - 1):
        for j in range(i + 1, fields):
            d_weight = tl.zeros([M], tl.float32)
            for first in range(0, k, K_B):
                column = first + tl.arange(0, K_B)
                inside = (row[:, None] < live) & (column[None, :] < k)
                upstream = tl.load(d_pooled + (row[:, None] * k + column[None, :]), mask=inside, other=0.0)
                product = upstream * term(v, gate, i, row, column, live, fields, k)
                d_weight += tl.sum(product * term(v, gate, j, row, column, live, fields, k), axis=1)
            if KEEP:
                d_weight *= tl.load(keep + pair * rows + row, mask=row < live, other=0.0)
            tl.store(d_scores + pair * rows + row, d_weight, mask=row < live)
            expected += tl.load(weights + pair * rows + row, mask=row < live, other=0.0) * d_weight
            pair += 1
    tl.debug_barrier()
    for first in range(0, pairs, J):
        several = first + tl.arange(0, J)
        inside = (several[:, None] < pairs) & (row[None, :] < live)
        at = several.to(tl.int64)[:, None] * rows + row[None, :]
        d_weights = tl.load(d_scores + at, mask=inside, other=0.0)
        weight = tl.load(weights + at, mask=inside, other=0.0)
        tl.store(d_scores + at, weight * (d_weights - expected[None, :]), mask=inside)


@triton.jit
def backward_embeddings(
    v, gate, keep, hW_factors, weights, active, d_pooled, d_scores, d_v,
    rows, fields, k, t, words,
    M: tl.constexpr, K_B: tl.constexpr, T_B: tl.constexpr, BITS: tl.constexpr,
    FACTORS: tl.constexpr, KEEP: tl.constexpr, RESIDENT: tl.constexpr,
):  # fmt: skip
    """Write d_v. `program_id(1)` is the number of the block of columns. RESIDENT: its part of h W stays on chip.

    While field i meets the fields j after it, the gradient of v_i x_i is summed on chip and that of v_j x_j in d_v,
    where it is complete when j's turn comes. No other program has these rows and columns, so the order is fixed.
    """
    origin = tl.program_id(0).to(tl.int64) * M
    row, live = tl.arange(0, M), (rows - origin).to(tl.int32)
    column = tl.program_id(1) * K_B + tl.arange(0, K_B)
    inside = (row[:, None] < live) & (column[None, :] < k)
    v, gate = v + origin * fields * k, gate + origin * fields
    weights, keep, d_scores, active = weights + origin, keep + origin, d_scores + origin, active + origin
    d_v, d_pooled = d_v + origin * fields * k, d_pooled + origin * k
    cell = row[:, None] * (fields * k) + column[None, :]
    unit = tl.arange(0, T_B)
    if RESIDENT:
        held = (unit[:, None] < t) & (column[None, :] < k)
        hW_rows = tl.load(hW_factors + (unit[:, None] * k + column[None, :]), mask=held, other=0.0)
    pair = tl.zeros([], tl.int64)
    summed = tl.zeros([], tl.int32)  # rows of which d_v holds sums already
    for i in range(fields):
        tl.debug_barrier()
        d_left = tl.load(d_v + i * k + cell, mask=inside & (row[:, None] < summed), other=0.0)
        for j in range(i + 1, fields):
            through = tl.zeros([M, K_B], tl.float32)
            if RESIDENT:
                packed = _words(active, pair, 0, row, live, rows, words, T_B // BITS)
                through = _dot_of_bits(tl.trans(_bits(packed, M, T_B, BITS)), hW_rows, through, FACTORS)
            else:
                for start in range(0, t, T_B):
                    held = (start + unit[:, None] < t) & (column[None, :] < k)
                    hW_rows = tl.load(
                        hW_factors + start * k + (unit[:, None] * k + column[None, :]), mask=held, other=0.0
                    )
                    packed = _words(active, pair, start // BITS, row, live, rows, words, T_B // BITS)
                    through = _dot_of_bits(tl.trans(_bits(packed, M, T_B, BITS)), hW_rows, through, FACTORS)
            used = tl.load(weights + pair * rows + row, mask=row < live, other=0.0)
            if KEEP:
                used *= tl.load(keep + pair * rows + row, mask=row < live, other=0.0)
            d_score = tl.load(d_scores + pair * rows + row, mask=row < live, other=0.0)
            upstream = tl.load(d_pooled + (row[:, None] * k + column[None, :]), mask=inside, other=0.0)
            d_product = d_score[:, None] * through + used[:, None] * upstream
            d_left += d_product * term(v, gate, j, row, column, live, fields, k)
            d_right = tl.load(d_v + j * k + cell, mask=inside & (row[:, None] < summed), other=0.0)
            d_right += d_product * term(v, gate, i, row, column, live, fields, k)
            tl.store(d_v + j * k + cell, d_right, mask=inside)
            pair += 1
        value = tl.load(gate + row * fields + i, mask=row < live, other=0.0)
        tl.store(d_v + i * k + cell, d_left * value[:, None], mask=inside)
        summed = live


@triton.jit
def backward_network(
    v, gate, left, right, active, d_scores, passed, counted,
    rows, fields, pairs, k, t, words,
    M: tl.constexpr, K_B: tl.constexpr, T_B: tl.constexpr, BITS: tl.constexpr, FACTORS: tl.constexpr,
):  # fmt: skip
    """Write one share of the sums over rows and pairs of d_score * [ReLU is active] * pair, and of the same without
    the factor pair. Together with h, W and b they give the gradients of all three.

    `program_id(0)` is the block of rows of W, `program_id(1)` that of columns, `program_id(2)` the share.
    """
    row = tl.arange(0, M)
    unit = tl.program_id(0) * T_B + tl.arange(0, T_B)
    column = tl.program_id(1) * K_B + tl.arange(0, K_B)
    sums = tl.zeros([T_B, K_B], tl.float32)
    counts = tl.zeros([T_B], tl.float32)
    for tile in range(tl.program_id(2), tl.cdiv(rows, M) * pairs, tl.num_programs(2)):
        pair, origin = tl.zeros([], tl.int64) + tile % pairs, (tl.zeros([], tl.int64) + tile // pairs) * M
        live = (rows - origin).to(tl.int32)
        tile_v, tile_gate = v + origin * fields * k, gate + origin * fields
        i, j = tl.load(left + pair), tl.load(right + pair)
        first_word = tl.program_id(0) * (T_B // BITS)
        packed = _words(active + origin, pair, first_word, row, live, rows, words, T_B // BITS)
        bits = _bits(packed, M, T_B, BITS)
        d_score = tl.load(d_scores + pair * rows + origin + row, mask=row < live, other=0.0)
        if tl.program_id(1) == 0:
            counts += tl.sum(bits.to(tl.float32) * d_score[None, :], axis=1)
        passing = d_score[:, None] * term(tile_v, tile_gate, i, row, column, live, fields, k)
        passing *= term(tile_v, tile_gate, j, row, column, live, fields, k)
        sums = _dot_of_bits(bits, factor(passing, FACTORS), sums, FACTORS)
    share = tl.program_id(2) * t + unit
    out = passed + tl.program_id(2).to(tl.int64) * t * k + (unit[:, None] * k + column[None, :])
    tl.store(out, sums, mask=(unit[:, None] < t) & (column[None, :] < k))
    if tl.program_id(1) == 0:
        tl.store(counted + share, counts, mask=unit < t)


@triton.jit
def backward_sums(
    passed, counted, W, b, h, d_W, d_b, d_h,
    k, t, shares,
    K_B: tl.constexpr, S: tl.constexpr,
):  # fmt: skip
    """Add up the shares, in a fixed order, and write the gradients of the network. `program_id(0)` is the row of W."""
    unit = tl.program_id(0)
    share = tl.arange(0, S)
    counts = tl.zeros([S], tl.float32)
    for first in range(0, shares, S):
        counts += tl.load(counted + (first + share) * t + unit, mask=first + share < shares, other=0.0)
    count, weight = tl.sum(counts, axis=0), tl.load(h + unit)
    of_h = tl.load(b + unit) * count
    tl.store(d_b + unit, weight * count)
    for start in range(0, k, K_B):
        column = start + tl.arange(0, K_B)
        sums = tl.zeros([S, K_B], tl.float32)
        for first in range(0, shares, S):
            inside = (first + share[:, None] < shares) & (column[None, :] < k)
            sums += tl.load(
                passed + (((first + share[:, None]) * t + unit) * k + column[None, :]), mask=inside, other=0.0
            )
        of_W = tl.sum(sums, axis=0)
        of_h += tl.sum(tl.load(W + unit * k + column, mask=column < k, other=0.0) * of_W, axis=0)
        tl.store(d_W + unit * k + column, weight * of_W, mask=column < k)
    tl.store(d_h + unit, of_h)
