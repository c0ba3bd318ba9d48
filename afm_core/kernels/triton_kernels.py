"""The Triton kernels of pair attention; `triton.py` launches them.

A program holds E examples x J pairs on chip, as E * J rows of k floats, and walks over the pairs J at a time. A softmax
that runs along keeps only its maximum and its sum, so neither the pairs nor the activations ever reach memory. The
incidence of pairs and fields is a matrix of zeros and ones, made on chip, which turns the scattered additions of
backward into a product.

Names in capitals are constants of a compilation: E, J, FIELDS_P and K_P (fields and k, up to a power of two), T_B (rows
of W at a time), FACTORS of the products, whose sums are float32 (`rounded`: the nearest bfloat16 held in float32;
Triton's interpreter cuts instead of rounding, and multiplies bfloat16 by their bits).
"""

import triton
import triton.language as tl


@triton.jit
def _side(v, gate, field, example, live, fields, k, E: tl.constexpr, J: tl.constexpr, K_P: tl.constexpr):
    """(E, J, K_P) float32: the embeddings of one side of J pairs, times their values."""
    at = example[:, None] * fields + field[None, :]
    value = tl.load(gate + at, mask=live, other=0.0)
    column = tl.arange(0, K_P)
    inside = live[:, :, None] & (column[None, None, :] < k)
    embedding = tl.load(v + at.to(tl.int64)[:, :, None] * k + column[None, None, :], mask=inside, other=0.0)
    return embedding.to(tl.float32) * value[:, :, None]


@triton.jit
def _fields_of(left, right, pair, pairs):
    return tl.load(left + pair, mask=pair < pairs, other=0), tl.load(right + pair, mask=pair < pairs, other=0)


@triton.jit
def _factor(x, FACTORS: tl.constexpr):
    if FACTORS == "bfloat16":
        x = x.to(tl.bfloat16)
    elif FACTORS == "rounded":
        bits = x.to(tl.int32, bitcast=True)
        x = ((bits + 0x7FFF + ((bits >> 16) & 1)) & -0x10000).to(tl.float32, bitcast=True)
    return x


@triton.jit
def _row_of_network(W, b, h, unit, k, t, column, FACTORS: tl.constexpr):
    """T_B rows of W, (T_B, K_P), with their b and h."""
    inside = (unit[:, None] < t) & (column[None, :] < k)
    rows = tl.load(W + unit[:, None] * k + column[None, :], mask=inside, other=0.0)
    bias = tl.load(b + unit, mask=unit < t, other=0.0)
    weight = tl.load(h + unit, mask=unit < t, other=0.0)
    return _factor(rows, FACTORS), bias, weight


@triton.jit
def forward(
    v, gate, mask, W, b, h, keep, left, right, pooled, scores, log_sums,
    rows, fields, pairs, k, t,
    E: tl.constexpr, J: tl.constexpr, K_P: tl.constexpr, T_B: tl.constexpr,
    FACTORS: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Pooled vectors, the scores a' (-inf where masked) and the logarithm of the softmax's denominator."""
    example = tl.program_id(0) * E + tl.arange(0, E)
    column = tl.arange(0, K_P)
    largest = tl.full([E], float("-inf"), tl.float32)
    total = tl.zeros([E], tl.float32)
    summed = tl.zeros([E, K_P], tl.float32)
    for first in range(0, pairs, J):
        pair = first + tl.arange(0, J)
        i, j = _fields_of(left, right, pair, pairs)
        live = (example[:, None] < rows) & (pair[None, :] < pairs)
        product = _side(v, gate, i, example, live, fields, k, E, J, K_P) * _side(
            v, gate, j, example, live, fields, k, E, J, K_P
        )
        factor = _factor(tl.reshape(product, [E * J, K_P]), FACTORS)
        score = tl.zeros([E * J], tl.float32)
        for start in range(0, t, T_B):
            W_rows, bias, weight = _row_of_network(W, b, h, start + tl.arange(0, T_B), k, t, column, FACTORS)
            before = tl.dot(factor, tl.trans(W_rows), input_precision="tf32x3") + bias[None, :]
            score += tl.sum(tl.maximum(before, 0.0) * weight[None, :], axis=1)
        both = tl.load(mask + example[:, None] * fields + i[None, :], mask=live, other=0)
        both &= tl.load(mask + example[:, None] * fields + j[None, :], mask=live, other=0)
        score_EJ = tl.where(both != 0, tl.reshape(score, [E, J]), float("-inf"))
        at = example[:, None] * pairs + pair[None, :]
        tl.store(scores + at, score_EJ, mask=live)

        raised = tl.maximum(largest, tl.max(score_EJ, axis=1))
        finite = tl.where(raised == float("-inf"), 0.0, raised)
        shrink = tl.exp(largest - finite)
        weight_EJ = tl.exp(score_EJ - finite[:, None])
        total = total * shrink + tl.sum(weight_EJ, axis=1)
        if KEEP:
            weight_EJ *= tl.load(keep + at, mask=live, other=0.0)
        summed = summed * shrink[:, None] + tl.sum(weight_EJ[:, :, None] * product, axis=1)
        largest = raised
    some = total > 0.0
    divisor = tl.where(some, total, 1.0)
    out = pooled + example[:, None] * k + column[None, :]
    tl.store(out, summed / divisor[:, None], mask=(example[:, None] < rows) & (column[None, :] < k))
    tl.store(log_sums + example, tl.where(some, largest + tl.log(divisor), 0.0), mask=example < rows)


@triton.jit
def backward_embeddings(
    v, gate, W, b, h, keep, left, right, scores, log_sums, d_pooled, d_scores, d_v,
    rows, fields, pairs, k, t,
    E: tl.constexpr, J: tl.constexpr, FIELDS_P: tl.constexpr, K_P: tl.constexpr, T_B: tl.constexpr,
    FACTORS: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """d_v, and the gradients of the scores, which `backward_network` needs.

    The sum over pairs that a softmax's gradient subtracts equals d_pooled . pooled, but is added up from the very terms
    it is subtracted from: a row with one pair then has a gradient of exactly 0.
    """
    example = tl.program_id(0) * E + tl.arange(0, E)
    column = tl.arange(0, K_P)
    here = (example[:, None] < rows) & (column[None, :] < k)
    upstream = tl.load(d_pooled + example[:, None] * k + column[None, :], mask=here, other=0.0)
    log_sum = tl.load(log_sums + example, mask=example < rows, other=0.0)
    slot = tl.arange(0, E * FIELDS_P)
    cell = tl.arange(0, E * J)
    expected = tl.zeros([E], tl.float32)
    for first in range(0, pairs, J):
        pair = first + tl.arange(0, J)
        i, j = _fields_of(left, right, pair, pairs)
        live = (example[:, None] < rows) & (pair[None, :] < pairs)
        at = example[:, None] * pairs + pair[None, :]
        product = _side(v, gate, i, example, live, fields, k, E, J, K_P) * _side(
            v, gate, j, example, live, fields, k, E, J, K_P
        )
        used = tl.exp(tl.load(scores + at, mask=live, other=float("-inf")) - log_sum[:, None])
        if KEEP:
            used *= tl.load(keep + at, mask=live, other=0.0)
        expected += tl.sum(used * tl.sum(upstream[:, None, :] * product, axis=2), axis=1)
    d_terms = tl.zeros([E * FIELDS_P, K_P], tl.float32)
    for first in range(0, pairs, J):
        pair = first + tl.arange(0, J)
        i, j = _fields_of(left, right, pair, pairs)
        live = (example[:, None] < rows) & (pair[None, :] < pairs)
        at = example[:, None] * pairs + pair[None, :]
        product = _side(v, gate, i, example, live, fields, k, E, J, K_P) * _side(
            v, gate, j, example, live, fields, k, E, J, K_P
        )
        used = tl.exp(tl.load(scores + at, mask=live, other=float("-inf")) - log_sum[:, None])
        d_used = tl.sum(upstream[:, None, :] * product, axis=2)
        d_score = -used * expected[:, None]
        if KEEP:
            used *= tl.load(keep + at, mask=live, other=0.0)
        d_score += used * d_used
        tl.store(d_scores + at, d_score, mask=live)

        factor = _factor(tl.reshape(product, [E * J, K_P]), FACTORS)
        through = tl.zeros([E * J, K_P], tl.float32)
        for start in range(0, t, T_B):
            W_rows, bias, weight = _row_of_network(W, b, h, start + tl.arange(0, T_B), k, t, column, FACTORS)
            before = tl.dot(factor, tl.trans(W_rows), input_precision="tf32x3") + bias[None, :]
            active = _factor(tl.where(before > 0.0, weight[None, :], 0.0), FACTORS)
            through = tl.dot(active, W_rows, through, input_precision="tf32x3")
        d_product = d_score[:, :, None] * tl.reshape(through, [E, J, K_P]) + used[:, :, None] * upstream[:, None, :]

        mine = (slot // FIELDS_P)[:, None] == (cell // J)[None, :]
        i_cell = tl.load(left + first + cell % J, mask=first + cell % J < pairs, other=-1)
        j_cell = tl.load(right + first + cell % J, mask=first + cell % J < pairs, other=-1)
        of_left = (mine & ((slot % FIELDS_P)[:, None] == i_cell[None, :])).to(tl.float32)
        of_right = (mine & ((slot % FIELDS_P)[:, None] == j_cell[None, :])).to(tl.float32)
        right_side = _side(v, gate, j, example, live, fields, k, E, J, K_P)  # from the cache: registers are scarcer
        to_left = _factor(tl.reshape(d_product * right_side, [E * J, K_P]), FACTORS)
        d_terms = tl.dot(_factor(of_left, FACTORS), to_left, d_terms, input_precision="tf32x3")
        left_side = _side(v, gate, i, example, live, fields, k, E, J, K_P)
        to_right = _factor(tl.reshape(d_product * left_side, [E * J, K_P]), FACTORS)
        d_terms = tl.dot(_factor(of_right, FACTORS), to_right, d_terms, input_precision="tf32x3")
    owner = tl.program_id(0) * E + slot // FIELDS_P
    present = (owner < rows) & (slot % FIELDS_P < fields)
    field_at = owner * fields + slot % FIELDS_P
    d_terms *= tl.load(gate + field_at, mask=present, other=0.0)[:, None]
    out = d_v + field_at.to(tl.int64)[:, None] * k + column[None, :]
    tl.store(out, d_terms, mask=present[:, None] & (column[None, :] < k))


@triton.jit
def backward_network(
    v, gate, W, b, h, left, right, d_scores, passed, counted,
    rows, fields, pairs, k, t,
    E: tl.constexpr, J: tl.constexpr, K_P: tl.constexpr, T_B: tl.constexpr, FACTORS: tl.constexpr,
):  # fmt: skip
    """Share `program_id(1)` of the sums over rows and pairs of d_score * [ReLU passes] * pair, and of the same without
    pair. With h, W and b they give the gradients of all three.

    T_B rows of W stay on chip while every tile of the share passes by.
    """
    unit = tl.program_id(0) * T_B + tl.arange(0, T_B)
    column = tl.arange(0, K_P)
    W_rows, bias, _ = _row_of_network(W, b, h, unit, k, t, column, FACTORS)
    W_columns = tl.trans(W_rows)
    sums = tl.zeros([T_B, K_P], tl.float32)
    counts = tl.zeros([T_B], tl.float32)
    for tile in range(tl.program_id(1), tl.cdiv(rows, E), tl.num_programs(1)):
        example = tile * E + tl.arange(0, E)
        for first in range(0, pairs, J):
            pair = first + tl.arange(0, J)
            i, j = _fields_of(left, right, pair, pairs)
            live = (example[:, None] < rows) & (pair[None, :] < pairs)
            product = _side(v, gate, i, example, live, fields, k, E, J, K_P) * _side(
                v, gate, j, example, live, fields, k, E, J, K_P
            )
            factor = _factor(tl.reshape(product, [E * J, K_P]), FACTORS)
            before = tl.dot(factor, W_columns, input_precision="tf32x3") + bias[None, :]
            d_score = tl.load(d_scores + example[:, None] * pairs + pair[None, :], mask=live, other=0.0)
            passing = tl.where(before > 0.0, tl.reshape(d_score, [E * J])[:, None], 0.0)
            sums = tl.dot(tl.trans(_factor(passing, FACTORS)), factor, sums, input_precision="tf32x3")
            counts += tl.sum(passing, axis=0)
    share = tl.program_id(1) * t + unit
    out = passed + share[:, None] * k + column[None, :]
    tl.store(out, sums, mask=(unit[:, None] < t) & (column[None, :] < k))
    tl.store(counted + share, counts, mask=unit < t)
