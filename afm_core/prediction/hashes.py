"""Spark's `xxhash64`: XXH64 with seed 42 (https://github.com/Cyan4973/xxHash, specification), of text and of ints."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_SEED = 42
_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)
_STRIPE = 32

Words = NDArray[np.uint64]


def hash_of_texts(texts: pa.Array) -> NDArray[np.int64]:
    """(N,) the hashes of N texts without nulls. Cost: texts of the same length are hashed together."""
    size = pc.binary_length(texts).to_numpy(zero_copy_only=False)
    content = np.frombuffer(b"".join(texts.cast(pa.binary()).to_pylist()), dtype=np.uint8)
    first = np.cumsum(size, dtype=np.int64) - size
    hashes = np.empty(len(texts), dtype=np.uint64)
    for length in np.unique(size):
        rows = np.flatnonzero(size == length)
        hashes[rows] = _hash(content[first[rows, None] + np.arange(length)])
    return hashes.view(np.int64)


def hash_of_ids(columns: Sequence[NDArray[np.int32]]) -> NDArray[np.int64]:
    """(N,) the hashes of rows of ints, each hash being the seed of the next column's."""
    hashes: Words = np.full(len(columns[0]), _SEED, dtype=np.uint64)
    for ids in columns:
        word = ids.astype(np.int64).view(np.uint64) & np.uint64(0xFFFFFFFF)
        hashes = _avalanche(_add_4_bytes(hashes + _P5 + np.uint64(4), word))
    return hashes.view(np.int64)


def _hash(rows: NDArray[np.uint8]) -> Words:
    """The hashes of the rows of a matrix of bytes."""
    n, length = rows.shape
    seed = np.uint64(_SEED)
    with np.errstate(over="ignore"):
        if length >= _STRIPE:
            start = (seed + _P1 + _P2, seed + _P2, seed, seed - _P1)
            lanes = [np.full(n, value, dtype=np.uint64) for value in start]
            for stripe in range(0, length - _STRIPE + 1, _STRIPE):
                for lane in range(4):
                    word = _word(rows, stripe + 8 * lane, 8)
                    lanes[lane] = _round(lanes[lane], word)
            turns = (1, 7, 12, 18)
            hashes: Words = np.zeros(n, dtype=np.uint64)
            for lane_words, turn in zip(lanes, turns, strict=True):
                hashes = hashes + _rotate(lane_words, turn)
            for lane_words in lanes:
                hashes = (hashes ^ _round(np.uint64(0), lane_words)) * _P1 + _P4
        else:
            hashes = np.full(n, seed + _P5, dtype=np.uint64)
        hashes = hashes + np.uint64(length)
        at = length - length % _STRIPE
        while at + 8 <= length:
            hashes = _rotate(hashes ^ _round(np.uint64(0), _word(rows, at, 8)), 27) * _P1 + _P4
            at += 8
        if at + 4 <= length:
            hashes = _add_4_bytes(hashes, _word(rows, at, 4))
            at += 4
        for byte in range(at, length):
            hashes = _rotate(hashes ^ (_word(rows, byte, 1) * _P5), 11) * _P1
        return _avalanche(hashes)


def _word(rows: NDArray[np.uint8], at: int, size: int) -> Words:
    """Little-endian."""
    word = np.zeros(len(rows), dtype=np.uint64)
    for byte in range(size):
        word |= rows[:, at + byte].astype(np.uint64) << np.uint64(8 * byte)
    return word


def _round(lane: Words | np.uint64, word: Words) -> Words:
    return _rotate(lane + word * _P2, 31) * _P1


def _add_4_bytes(hashes: Words, word: Words) -> Words:
    return _rotate(hashes ^ (word * _P1), 23) * _P2 + _P3


def _rotate(words: Words, turn: int) -> Words:
    return (words << np.uint64(turn)) | (words >> np.uint64(64 - turn))


def _avalanche(hashes: Words) -> Words:
    hashes = (hashes ^ (hashes >> np.uint64(33))) * _P2
    hashes = (hashes ^ (hashes >> np.uint64(29))) * _P3
    return hashes ^ (hashes >> np.uint64(32))
