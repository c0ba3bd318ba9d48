"""Bayesian factorization machines by Gibbs sampling (Freudenthaler, Schmidt-Thieme and Rendle 2011; Rendle 2012).

Every weight of an FM is drawn from its distribution given all others, sweep after sweep. The weights of a field, and
each element of its vectors, have a mean and a precision of their own, drawn too: nothing is left to tune. Labels are
regressed on directly, with normal noise, or classified by a probit with latent normal numbers (Albert and Chib 1993).

The mean of the outputs over all draws is itself the output of an FM, with the vectors of the draws side by side. Its
best approximation with vectors of length k keeps the largest singular values, so that averaging over the posterior
costs nothing when rows are scored.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from afm_core.errors import MachineError
from afm_core.features import FeatureMap
from afm_core.features.feature_map import PADDING_ID
from afm_core.kernels.native_library import native_library

Floats = NDArray[np.float64]
_PRIOR_SHAPE, _PRIOR_RATE, _PRIOR_ROWS = 1.0, 1e-3, 1.0
"""Of the gamma distribution of a precision, and how many weights of 0 the prior of a mean counts as. libFM's rate is 1,
with which the weights of a field of few values cannot all be small: forty such fields add up to noise."""
_FIRST_PRECISION = 100.0  # of the v_i
_LEAST_COUNT = 1.0


@dataclass(frozen=True)
class TrainingRows:
    """The rows that are sampled from: N of them, with F columns."""

    ids: NDArray[np.int32]
    """(N, F)."""
    x: NDArray[np.float32]
    """(N, F) x_i, 0 for padding."""
    label: NDArray[np.float32]
    """(N,)."""


class _Features(ctypes.Structure):
    """`Features` of native/gibbs.cpp."""

    _fields_ = (
        ("fields", ctypes.c_int64),
        ("first", ctypes.c_void_p),
        ("exclusive", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("row", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
    )


class GibbsSampler:
    """Draws from the posterior of an FM. The same rows and seed give the same draws, with any number of threads.

    Cost of a sweep: time linear in the N F numbers x_i, times k; some 10 ns each on one thread. Memory: 8 bytes for
    each x_i, 28 for each row, and 8 for each weight.
    """

    def __init__(self, features: FeatureMap, rows: TrainingRows, *, length: int, probit: bool, seed: int) -> None:
        """All weights begin at 0.

        Args:
            length: k, of each v_i.
            probit: whether labels are the signs of latent numbers; otherwise they are regressed on.

        Raises:
            MachineError: the kernels are not compiled.
        """
        library = native_library()
        if library is None:
            raise MachineError("train.fit: gibbs needs the compiled kernels; install a C++ compiler and run make setup")
        self._library, self._seed, self._probit, self.sweeps = library, seed, probit, 0
        self._ids, self._first = _by_field(features)
        position = np.zeros(features.n_ids, np.int64)
        position[self._ids] = np.arange(len(self._ids))
        present = rows.x.reshape(-1) != 0.0
        feature = position[rows.ids.reshape(-1)[present]]
        order = np.argsort(feature, kind="stable")
        self._row = (np.flatnonzero(present)[order] // rows.x.shape[1]).astype(np.int32)
        self._x = np.ascontiguousarray(rows.x.reshape(-1)[present][order])
        self.counts = np.bincount(feature, minlength=len(self._ids))
        self._start = np.concatenate(([0], np.cumsum(self.counts))).astype(np.int64)
        self._exclusive = np.array([len(field.id_columns) == 1 for field in features.fields], np.uint8)
        arrays = self._first, self._exclusive, self._start, self._row, self._x
        self._structure = _Features(len(features.fields), *(_pointer(array) for array in arrays))
        self._label = np.ascontiguousarray(rows.label, np.float32)
        self.bias, self.noise = 0.0, 1.0
        self.weights = np.zeros((1 + length, len(self._ids)))
        """(1 + k, features): w_i, then each element of v_i."""
        shape = (1 + length, len(features.fields))
        self._mean, self._precision = np.zeros(shape), np.full(shape, _FIRST_PRECISION)
        self._latent = np.zeros(len(rows.label)) if probit else rows.label.astype(np.float64)
        self.residual = self._latent.copy()
        self._sums = np.empty(len(rows.label))

    @property
    def ids(self) -> NDArray[np.int64]:
        """The id of each feature, in the order of `weights`: every one but padding."""
        return self._ids

    @property
    def label(self) -> torch.Tensor:
        """(N,) float32."""
        return torch.from_numpy(self._label)

    @property
    def output(self) -> Floats:
        """(N,) the output of the current weights for each row."""
        return self._latent - self.residual

    def sweep(self) -> None:
        """Draw every latent number, mean, precision and weight once."""
        self.sweeps += 1
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([self._seed, self.sweeps])))
        threads = ctypes.c_int(torch.get_num_threads())
        if self._probit:
            self._library.afm_gibbs_latents(
                _pointer(self._label),
                ctypes.c_int64(len(self._label)),
                _key(random),
                threads,
                _pointer(self._latent),
                _pointer(self.residual),
            )
        else:
            squares = float(self.residual @ self.residual)
            self.noise = random.gamma(0.5 * (_PRIOR_SHAPE + len(self.residual)), 2.0 / (_PRIOR_RATE + squares))
        self._draw_means_and_precisions(random)
        if self.sweeps == 1:
            # From weights of 0 come large precisions. The v_i would be too slow to leave 0; the w_i shall leave it
            # slowly, for what they explain first the v_i take over only in hundreds of sweeps.
            self._mean[1:], self._precision[1:] = 0.0, _FIRST_PRECISION
        self._draw_bias(random)
        for number, weight in enumerate(self.weights):
            self._sums.fill(0.0)
            self._library.afm_gibbs_weights(
                ctypes.byref(self._structure),
                _pointer(self._mean[number]),
                _pointer(self._precision[number]),
                ctypes.c_double(self.noise),
                _key(random),
                threads,
                _pointer(weight),
                _pointer(self.residual),
                _pointer(self._sums) if number else None,
            )

    def _draw_means_and_precisions(self, random: np.random.Generator) -> None:
        """Of the weights of each field; features without rows, which follow from them, do not count."""
        seen = self.counts > 0
        starts = self._first[:-1]
        n = np.add.reduceat(seen.astype(np.float64), starts)
        total = np.add.reduceat(self.weights * seen, starts, axis=1)
        counted = n + _PRIOR_ROWS
        deviation = 1.0 / np.sqrt(counted * self._precision)
        self._mean[:] = total / counted + random.standard_normal(self._mean.shape) * deviation
        around = self.weights - np.repeat(self._mean, np.diff(self._first), axis=1)
        squares = np.add.reduceat(around * around * seen, starts, axis=1) + _PRIOR_ROWS * self._mean**2
        self._precision[:] = random.gamma(0.5 * (_PRIOR_SHAPE + n + 1.0), 2.0 / (_PRIOR_RATE + squares))

    def _draw_bias(self, random: np.random.Generator) -> None:
        total = self.noise * len(self.residual) + _PRIOR_ROWS
        expected = self.noise * (self.residual.sum() + self.bias * len(self.residual)) / total
        drawn = expected + random.standard_normal() / np.sqrt(total)
        self.residual -= drawn - self.bias
        self.bias = float(drawn)


class PosteriorMean:
    """The FM with vectors of length k whose outputs are nearest to the mean of those of all draws.

    Vectors of the draws are kept side by side, and reduced to 2 k columns whenever there are more than 4 k: memory for
    4 k numbers per feature. Each feature counts by the square root of its rows, so that what is lost is lost where few
    rows are.
    """

    def __init__(self, sampler: GibbsSampler, length: int) -> None:
        self._length, self._ids = length, sampler.ids
        self._scale = np.sqrt(np.maximum(sampler.counts, _LEAST_COUNT))
        self._bias, self._linear, self.draws = 0.0, np.zeros(len(sampler.ids)), 0
        self._vectors = torch.empty(len(sampler.ids), 0)

    def add(self, sampler: GibbsSampler) -> None:
        """Add the current weights as one more draw."""
        self.draws += 1
        self._bias += sampler.bias
        self._linear += sampler.weights[0]
        scaled = torch.from_numpy((sampler.weights[1:] * self._scale).astype(np.float32).T)
        self._vectors = torch.cat([self._vectors, scaled], dim=1)
        if self._vectors.shape[1] > 4 * self._length:
            self._vectors = _reduced(self._vectors, 2 * self._length)

    def write_to(self, bias: torch.Tensor, linear: torch.Tensor, embedding: torch.Tensor) -> None:
        """Write w_0, the w_i (n_ids, 1) and the v_i (n_ids, k) of the mean; padding becomes 0."""
        ids = torch.from_numpy(self._ids)
        vectors = _reduced(self._vectors, self._length) / torch.from_numpy(self._scale * np.sqrt(self.draws))[:, None]
        bias.fill_(self._bias / self.draws)
        linear.zero_()[ids, 0] = torch.from_numpy(self._linear / self.draws).to(linear)
        embedding.zero_()[ids, : vectors.shape[1]] = vectors.to(embedding)


def _by_field(features: FeatureMap) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All ids but padding, field by field, and where those of each field begin, with the end of the last one."""
    of_fields = [
        np.concatenate([[field.unknown_id], *(np.arange(ids.first, ids.first + ids.size) for ids in field.ranges)])
        for field in features.fields
    ]
    ids = np.concatenate(of_fields).astype(np.int64)
    assert PADDING_ID not in ids
    return ids, np.concatenate(([0], np.cumsum([len(of_field) for of_field in of_fields]))).astype(np.int64)


def _reduced(vectors: torch.Tensor, columns: int) -> torch.Tensor:
    """The matrix of `columns` columns whose rows have nearly the same inner products with each other."""
    if vectors.shape[1] <= columns:
        return vectors
    _, directions = torch.linalg.eigh((vectors.T @ vectors).double())  # the largest ones are last
    reduced: torch.Tensor = vectors @ directions[:, -columns:].flip(1).float()
    return reduced


def _key(random: np.random.Generator) -> ctypes.c_uint64:
    return ctypes.c_uint64(int(random.integers(0, 2**64, dtype=np.uint64)))


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
