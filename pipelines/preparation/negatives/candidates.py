"""What negatives are drawn from: the values of the replaced fields, and how often each occurs, also by context."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StructField, StructType

from afm_core.features import FeatureMap
from afm_core.settings.data import NegativesSettings
from afm_core.storage.paths import make_folder
from pipelines.contract_checks import Contract
from pipelines.logs.columns import OURS
from pipelines.parquet_files import read_whole, write_sorted_table
from pipelines.preparation.negatives.sampler import Contexts, popularity_weights
from pipelines.spark import literal

_CONTEXT, _ITEM, _COUNT = f"{OURS}context", f"{OURS}item", f"{OURS}count"
_ITEMS, _CONTEXTS = "items.parquet", "contexts.parquet"
_CONTEXT_TABLE = Contract(
    "negative candidates by context",
    StructType([StructField(name, LongType()) for name in (_CONTEXT, _ITEM, _COUNT)]),
    unique=(_CONTEXT, _ITEM),
)


def _item_table(names: Sequence[str], attributes: Sequence[StructField]) -> Contract:
    ids = [StructField(name, IntegerType()) for name in names]
    schema = StructType([*ids, StructField(_COUNT, LongType()), *attributes])
    return Contract("negative candidates", schema, unique=tuple(names))


def context_key(negatives: NegativesSettings) -> Column:
    """Hash of the ids of `negatives.within`."""
    return F.xxhash64(*[F.col(name) for name in negatives.within or ()])


def write_candidates(
    positives: DataFrame,
    features: DataFrame,
    feature_map: FeatureMap,
    negatives: NegativesSettings,
    folder: Path,
    attributes: Mapping[str, DataFrame],
) -> "NegativeCandidates":
    """Write the tables that every Python worker of the sampler reads, one file each.

    A single field is replaced by any value of its vocabulary, several fields by a combination that occurs. Size: one
    row per candidate, and for `draw: hard` one row per candidate and context.

    Args:
        positives: encoded events.
        features: contract `FEATURE_TABLE`.
        folder: is created.
        attributes: by replaced field, the encoded fields that belong to each of its ids, besides the id itself.
    """
    make_folder(folder)
    names = list(negatives.replace)
    if len(names) == 1:
        known = features.where((F.col("field") == names[0]) & F.col("value").isNotNull())
        table = known.select(F.col("id").alias(names[0]), F.col("count").alias(_COUNT))
    else:
        known = positives
        for name in names:
            known = known.where(F.col(name) != feature_map[name].unknown_id)
        table = known.groupBy(*names).agg(F.count(F.lit(1)).alias(_COUNT))
    added = []
    for name, of_ids in attributes.items():
        added += [StructField(each.name, each.dataType) for each in of_ids.schema if each.name != name]
        table = table.join(of_ids, name)
    write_sorted_table(table, _item_table(names, added), folder / _ITEMS)
    exponent = negatives.popularity_exponent if negatives.draw != "uniform" else None
    candidates = NegativeCandidates(folder, tuple(names), exponent)
    if negatives.within:
        items = positives.sparkSession.read.parquet(literal(folder / _ITEMS)).select(*names)
        number = F.monotonically_increasing_id()  # 0, 1, ... within a single partition
        numbered = items.coalesce(1).sortWithinPartitions(*names).withColumn(_ITEM, number)
        inside = positives.withColumn(_CONTEXT, context_key(negatives)).join(numbered, names)
        counted = inside.groupBy(_CONTEXT, _ITEM).agg(F.count(F.lit(1)).alias(_COUNT))
        write_sorted_table(counted, _CONTEXT_TABLE, folder / _CONTEXTS)
    return candidates


@dataclass(frozen=True)
class NegativeCandidates:
    """A handle on the tables that is sent to the workers, which read them when they first need them."""

    folder: Path
    names: tuple[str, ...]
    """The replaced fields."""
    exponent: float | None
    """Exponent of the count; None where all candidates are equally likely."""

    def load(self) -> "LoadedNegativeCandidates":
        """Read the tables, once per Python worker."""
        return _load(self)

    @property
    def contexts(self) -> Path:
        """The table of candidates by context."""
        return self.folder / _CONTEXTS


@lru_cache(maxsize=2)
def _load(candidates: NegativeCandidates) -> "LoadedNegativeCandidates":
    return LoadedNegativeCandidates(candidates)


class LoadedNegativeCandidates:
    """Candidates as arrays, numbered from 0 in the order of their ids."""

    def __init__(self, candidates: NegativeCandidates) -> None:
        """Read the table of candidates; that of the contexts is read when it is first needed."""
        table = read_whole(candidates.folder / _ITEMS)
        self.ids = {name: table[name].to_numpy() for name in candidates.names}
        if len(self.ids) == 1:
            self._index: pd.Index = pd.Index(self.ids[candidates.names[0]])
        else:
            self._index = pd.MultiIndex.from_arrays(list(self.ids.values()))
        others = [name for name in table.column_names if name not in (*candidates.names, _COUNT)]
        self.attributes = {name: table[name].to_numpy() for name in others}
        """By column, what belongs to each candidate besides its ids, encoded."""
        self.weights = np.ones(table.num_rows, dtype=np.int64)
        if candidates.exponent is not None:
            self.weights = popularity_weights(table[_COUNT].to_numpy(), candidates.exponent)
        self._contexts = candidates.contexts

    def numbers(self, ids: list[NDArray[np.int32]]) -> NDArray[np.int64]:
        """(N,) the number of the candidate that each row holds, -1 where it holds none.

        Args:
            ids: (N,) ids of each replaced field.
        """
        values = pd.Index(ids[0]) if len(ids) == 1 else pd.MultiIndex.from_arrays(ids)
        return self._index.get_indexer(values).astype(np.int64)

    @cached_property
    def contexts(self) -> Contexts | None:
        """How often each candidate occurs in each context; None unless `draw` is `hard`."""
        if not self._contexts.exists():
            return None
        table = read_whole(self._contexts)
        return Contexts(*[table[name].to_numpy() for name in _CONTEXT_TABLE.names])
