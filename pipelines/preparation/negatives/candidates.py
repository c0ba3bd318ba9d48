"""What negatives are drawn from: the values of the replaced fields, and how often each occurs, also by context."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.features import FeatureMap
from afm_core.settings.data import NegativesSettings
from pipelines.encoding.feature_table import write_one_file
from pipelines.preparation.negatives.sampler import Contexts, popularity_weights
from pipelines.spark import literal

_CONTEXTS = pa.schema([(name, pa.int64()) for name in ("_context", "_item", "_count")])


def context_key(negatives: NegativesSettings) -> Column:
    """Hash of the ids of `negatives.within`."""
    return F.xxhash64(*[F.col(name) for name in negatives.within or ()])


def write_candidates(
    positives: DataFrame, features: DataFrame, feature_map: FeatureMap, negatives: NegativesSettings, folder: Path
) -> "NegativeCandidates":
    """Write the tables that the sampler reads in every Python worker, one file each: V rows, and for `hard` one for
    each item of each context.

    A single field is replaced by any value of its vocabulary, several that belong together by combinations that occur.

    Args:
        positives: encoded logs.
        features: contract `FEATURE_TABLE`.
    """
    folder.mkdir()
    names = list(negatives.replace)
    if len(names) == 1:
        known = features.where((F.col("field") == names[0]) & F.col("value").isNotNull())
        table = known.select(F.col("id").alias(names[0]), "count")
    else:
        known = positives
        for name in names:
            known = known.where(F.col(name) != feature_map[name].unknown_id)
        table = known.groupBy(*names).agg(F.count(F.lit(1)).alias("count"))
    schema = pa.schema([*[(name, pa.int32()) for name in names], ("count", pa.int64())])
    write_one_file(table, names, schema, folder / "items.parquet")
    candidates = NegativeCandidates(
        folder, tuple(names), negatives.popularity_exponent if negatives.draw != "uniform" else None
    )
    if negatives.within:
        items = positives.sparkSession.read.parquet(literal(folder / "items.parquet")).drop("count")
        number = F.monotonically_increasing_id()  # of one partition: 0, 1, ...
        numbered = items.coalesce(1).sortWithinPartitions(*names).withColumn("_item", number)
        inside = positives.withColumn("_context", context_key(negatives)).join(numbered, names)
        counted = inside.groupBy("_context", "_item").agg(F.count(F.lit(1)).alias("_count"))
        write_one_file(counted, ["_context", "_item"], _CONTEXTS, folder / "contexts.parquet")
    return candidates


@dataclass(frozen=True)
class NegativeCandidates:
    """The tables, read when they are first needed; travels to the workers as a path."""

    folder: Path
    names: tuple[str, ...]
    alpha: float | None
    """Power of the count; None where each is equally likely."""

    def load(self) -> "LoadedNegativeCandidates":
        """Once a Python worker."""
        return _load(self)

    @property
    def contexts(self) -> Path:
        """The table of the contexts."""
        return self.folder / "contexts.parquet"


@lru_cache(maxsize=2)
def _load(candidates: NegativeCandidates) -> "LoadedNegativeCandidates":
    return LoadedNegativeCandidates(candidates)


class LoadedNegativeCandidates:
    """Candidates as arrays."""

    def __init__(self, candidates: NegativeCandidates) -> None:
        table = pq.read_table(candidates.folder / "items.parquet")
        self.ids = {name: table[name].to_numpy() for name in candidates.names}
        if len(self.ids) == 1:
            self._index: pd.Index = pd.Index(self.ids[candidates.names[0]])
        else:
            self._index = pd.MultiIndex.from_arrays(list(self.ids.values()))
        self.weights = np.ones(table.num_rows, dtype=np.int64)
        if candidates.alpha is not None:
            self.weights = popularity_weights(table["count"].to_numpy(), candidates.alpha)
        self._contexts = candidates.contexts

    def numbers(self, ids: list[NDArray[np.int32]]) -> NDArray[np.int64]:
        """The number of each row's candidate, -1 where the row holds none of them."""
        sought = pd.Index(ids[0]) if len(ids) == 1 else pd.MultiIndex.from_arrays(ids)
        return self._index.get_indexer(sought).astype(np.int64)

    @cached_property
    def contexts(self) -> Contexts | None:
        """How often each occurs in each context."""
        if not self._contexts.exists():
            return None
        table = pq.read_table(self._contexts)
        return Contexts(*[table[name].to_numpy() for name in _CONTEXTS.names])
