"""The Triton kernels of optimiser steps on the rows of a table; `row_steps.py` launches them.

Equal ids lie side by side in the sorted ids. Where an id occurs in several chunks of C of them, the row is the sum of
one partial sum for each chunk, so that an id of a whole batch does not make one program add up all of its rows. Sums
have a fixed order, and nothing is added by atomics.

Names in capitals are compile-time constants.
"""

import triton
import triton.language as tl

_CHUNK, _COLUMNS, _TILE, _MOST_ROWS = 64, 128, 256, 64
_CHUNKS_AT_ONCE = tl.constexpr(8)


def constants(width: int) -> dict[str, int]:
    """The sizes of tiles for a table of rows of this width: C ids, K_B columns, and R rows at a time."""
    K_B = min(_COLUMNS, triton.next_power_of_2(width))
    return {"C": _CHUNK, "K_B": K_B, "R": min(_MOST_ROWS, _TILE // K_B)}


@triton.jit
def sum_chunks(
    ordered, order, gradients, partial,
    lookups, width, stride,
    C: tl.constexpr, K_B: tl.constexpr,
):  # fmt: skip
    """Write each chunk's sum of an id to where it occurs first in the chunk. `program_id(0)` is the chunk."""
    first = tl.program_id(0).to(tl.int64) * C
    column = tl.program_id(1) * K_B + tl.arange(0, K_B)
    total = tl.zeros([K_B], tl.float32)
    start, previous = first, tl.full([], -1, tl.int64)
    for at in range(0, C):
        here = first + at
        exists = here < lookups
        row = tl.load(ordered + here, mask=exists, other=-1)
        source = tl.load(order + here, mask=exists, other=0)
        inside = column < tl.where(exists, width, 0)
        values = tl.load(gradients + source * stride + column, mask=inside, other=0.0)
        total = tl.where(row == previous, total, 0.0) + values
        start = tl.where(row == previous, start, here)
        tl.store(partial + start * width + column, total, mask=inside)
        previous = row


@triton.jit
def step_rows(
    ordered, partial, weight, mean, squares,
    lookups, width, rate, epsilon, mean_share, square_share, l2, decay,
    C: tl.constexpr, K_B: tl.constexpr, R: tl.constexpr, OPTIMIZER: tl.constexpr,
):  # fmt: skip
    """Add up the partial sums of each row, and step. Of a row's places in `ordered`, the first one does it."""
    here = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    column = tl.program_id(1) * K_B + tl.arange(0, K_B)
    row = tl.load(ordered + here, mask=here < lookups, other=-1)
    before = tl.load(ordered + here - 1, mask=(here > 0) & (here < lookups), other=-1)
    columns = tl.where(row == before, 0, width)  # nothing is loaded or stored for the other places
    inside = column[None, :] < columns[:, None]
    total = tl.load(partial + here[:, None] * width + column[None, :], mask=inside, other=0.0)
    chunk = ((here // C + 1) * C)[:, None] + (tl.arange(0, _CHUNKS_AT_ONCE) * C)[None, :]
    end = tl.where(row == before, 0, lookups)
    more = 1
    while more == 1:
        same = tl.load(ordered + chunk, mask=chunk < end[:, None], other=-2) == row[:, None]
        at = partial + chunk[:, :, None] * width + column[None, None, :]
        several = column[None, None, :] < tl.where(same, width, 0)[:, :, None]
        total += tl.sum(tl.load(at, mask=several, other=0.0), axis=1)
        more = tl.max(tl.min(same.to(tl.int32), axis=1), axis=0)
        chunk += _CHUNKS_AT_ONCE * C
    at_row = row[:, None] * width + column[None, :]
    old = tl.load(weight + at_row, mask=inside, other=0.0)
    total += l2 * old
    if OPTIMIZER == "sgd":
        change = rate * total
    elif OPTIMIZER == "adagrad":
        accumulated = tl.load(squares + at_row, mask=inside, other=0.0) + total * total
        tl.store(squares + at_row, accumulated, mask=inside)
        change = rate * total / (tl.sqrt_rn(accumulated) + epsilon)
    else:
        first = tl.load(mean + at_row, mask=inside, other=0.0)
        first += mean_share * (total - first)
        second = tl.load(squares + at_row, mask=inside, other=0.0)
        second += square_share * (total * total - second)
        tl.store(mean + at_row, first, mask=inside)
        tl.store(squares + at_row, second, mask=inside)
        change = rate * first / (tl.sqrt_rn(second) + epsilon)
    tl.store(weight + at_row, (1.0 - decay) * old - change, mask=inside)
