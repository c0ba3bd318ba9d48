"""The Triton kernels of pair attention; `triton.py` launches them.

A program holds E examples x J pairs on chip, as E * J rows of k floats, and processes the pairs J at a time. An online
softmax keeps only its running maximum and sum, so neither pairs nor activations ever reach memory. In backward, the
incidence of pairs and fields is a matrix of zeros and ones, built on chip, which turns scattered additions into a
matrix product.

Names in capitals are compile-time constants: E, J, FIELDS_P and K_P (fields and k, rounded up to a power of two), T_B
(rows of W at a time), and FACTORS, the precision of the factors of products, whose sums are float32. `rounded` means
the nearest bfloat16 stored in float32: Triton's interpreter truncates instead of rounding, and multiplies the bit
patterns of bfloat16.
"""

import triton
import triton.language as tl


@triton.jit
def _side(v, gate, field, example, live, fields, k, E: tl.constexpr, J: tl.constexpr, K_P: tl.constexpr):
    """(E, J, K_P) float32, the embeddings of one side of J pairs times their values."""
    offset = example[:, None] * fields + field[None, :]
    value = tl.load(gate + offset, mask=live, other=0.0)
    column = tl.arange(0, K_P)
    inside = live[:, :, None] & (column[None, None, :] < k)
    embedding = tl.load(v + offset.to(tl.int64)[:, :, None] * k + column[None, None, :], mask=inside, other=0.0)
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
    """Write pooled vectors, scores a' (-inf where masked) and the logarithm of the softmax's denominator."""
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
        offset = example[:, None] * pairs + pair[None, :]
        tl.store(scores + offset, score_EJ, mask=live)

        raised = tl.maximum(largest, tl.max(score_EJ, axis=1))
        finite = tl.where(raised == float("-inf"), 0.0, raised)
        shrink = tl.exp(largest - finite)
        weight_EJ = tl.exp(score_EJ - finite[:, None])
        total = total * shrink + tl.sum(weight_EJ, axis=1)
        if KEEP:
            weight_EJ *= tl.load(keep + offset, mask=live, other=0.0)
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
    """Write d_v, and the gradients of the scores, which `backward_network` reads.

    The sum over pairs in a softmax's gradient equals d_pooled . pooled, but is added up from the same terms that it is
    subtracted from, so that a row with one pair gets a gradient of exactly 0.
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
        offset = example[:, None] * pairs + pair[None, :]
        product = _side(v, gate, i, example, live, fields, k, E, J, K_P) * _side(
            v, gate, j, example, live, fields, k, E, J, K_P
        )
        used = tl.exp(tl.load(scores + offset, mask=live, other=float("-inf")) - log_sum[:, None])
        if KEEP:
            used *= tl.load(keep + offset, mask=live, other=0.0)
        expected += tl.sum(used * tl.sum(upstream[:, None, :] * product, axis=2), axis=1)
    d_terms = tl.zeros([E * FIELDS_P, K_P], tl.float32)
    for first in range(0, pairs, J):
        pair = first + tl.arange(0, J)
        i, j = _fields_of(left, right, pair, pairs)
        live = (example[:, None] < rows) & (pair[None, :] < pairs)
        offset = example[:, None] * pairs + pair[None, :]
        product = _side(v, gate, i, example, live, fields, k, E, J, K_P) * _side(
            v, gate, j, example, live, fields, k, E, J, K_P
        )
        used = tl.exp(tl.load(scores + offset, mask=live, other=float("-inf")) - log_sum[:, None])
        d_used = tl.sum(upstream[:, None, :] * product, axis=2)
        d_score = -used * expected[:, None]
        if KEEP:
            used *= tl.load(keep + offset, mask=live, other=0.0)
        d_score += used * d_used
        tl.store(d_scores + offset, d_score, mask=live)

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
        right_side = _side(v, gate, j, example, live, fields, k, E, J, K_P)  # from the cache, to save registers
        to_left = _factor(tl.reshape(d_product * right_side, [E * J, K_P]), FACTORS)
        d_terms = tl.dot(_factor(of_left, FACTORS), to_left, d_terms, input_precision="tf32x3")
        left_side = _side(v, gate, i, example, live, fields, k, E, J, K_P)
        to_right = _factor(tl.reshape(d_product * left_side, [E * J, K_P]), FACTORS)
        d_terms = tl.dot(_factor(of_right, FACTORS), to_right, d_terms, input_precision="tf32x3")
    owner = tl.program_id(0) * E + slot // FIELDS_P
    present = (owner < rows) & (slot % FIELDS_P < fields)
    field_offset = owner * fields + slot % FIELDS_P
    d_terms *= tl.load(gate + field_offset, mask=present, other=0.0)[:, None]
    out = d_v + field_offset.to(tl.int64)[:, None] * k + column[None, :]
    tl.store(out, d_terms, mask=present[:, None] & (column[None, :] < k))


@triton.jit
def backward_network(
    v, gate, W, b, h, left, right, d_scores, passed, counted,
    rows, fields, pairs, k, t,
    E: tl.constexpr, J: tl.constexpr, K_P: tl.constexpr, T_B: tl.constexpr, FACTORS: tl.constexpr,
):  # fmt: skip
    """Write one share of the sums over rows and pairs of d_score * [ReLU is active] * pair, and of the same without
    the factor pair. Together with h, W and b they give the gradients of all three.

    `program_id(1)` is the number of the share. T_B rows of W stay on chip while the program iterates over its tiles.
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
