"""The rows of a night as Spark's Python workers get them."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.bundle import Bundle
from afm_core.features import Categorical, FeatureMap, FieldIds, Numeric
from pipelines.encoding.encoder import Encoding, encode, may_stay_text
from pipelines.encoding.values import has_vocabulary, text_value
from pipelines.logs.columns import column
from pipelines.logs.rules import REJECT

IS_REJECTED = "_is_rejected"


@dataclass(frozen=True)
class WorkerColumns:
    """What stands where, beside ids and x_i."""

    keys: dict[str, str]
    """For each key of the output, where its text is."""
    texts: tuple[str, ...]
    """The fields whose column holds the text of their value: the workers look it up."""
    new: dict[str, str]
    """For each other field of values, where the text of one without an id is, null elsewhere."""
    given: dict[str, str]
    """For each field that fills in the mean, where it says whether there was a number."""

    @classmethod
    def of(cls, feature_map: FeatureMap, keys: list[str]) -> "WorkerColumns":
        """Of a map. A key that a field holds as it stands in the logs is not sent twice."""
        texts = may_stay_text(feature_map)
        as_they_stand = {
            ids.declared.source: ids.name
            for ids in texts
            if isinstance(ids.declared, Categorical) and not ids.declared.ignore_case
        }
        others = [ids.name for ids in _with_values(feature_map) if ids not in texts]
        filled = [ids.name for ids in feature_map.fields if _is_filled(ids)]
        return cls(
            {name: as_they_stand.get(name, f"_key_{name}") for name in keys},
            tuple(ids.name for ids in texts),
            {name: f"_new_{name}" for name in others},
            {name: f"_given_{name}" for name in filled},
        )

    @property
    def names(self) -> list[str]:
        """All but the fields' own."""
        own = [*self.keys.values(), *self.new.values(), *self.given.values(), IS_REJECTED]
        return [name for name in dict.fromkeys(own) if name not in self.texts]


def rows_to_score(judged: DataFrame, bundle: Bundle, columns: WorkerColumns) -> DataFrame:
    """Encoded rows and what `columns` says beside them.

    Rejected rows go with the others, marked: a filter would judge each row twice, and the workers count both kinds.
    """
    feature_map = bundle.feature_map
    beside = {at: column(name) for name, at in columns.keys.items() if at not in columns.texts}
    beside |= {at: text_value(feature_map[name].declared) for name, at in columns.new.items()}
    beside |= {at: column(feature_map[name].declared.sources[0]).isNotNull() for name, at in columns.given.items()}
    beside[IS_REJECTED] = F.col(REJECT).isNotNull()
    kept = judged.select("*", *[found.alias(at) for at, found in beside.items()])
    encoded = encode(kept, Encoding(feature_map, bundle.path), columns.texts)
    is_new = {at: column(name) == feature_map[name].unknown_id for name, at in columns.new.items()}
    found = [F.when(is_new[at], column(at)).alias(at) if at in is_new else column(at) for at in columns.names]
    return encoded.select(*found, *feature_map.id_columns, *feature_map.x_columns)


def _with_values(feature_map: FeatureMap) -> list[FieldIds]:
    """The fields whose features are values, one a row."""
    return [ids for ids in feature_map.fields if has_vocabulary(ids.declared) and ids.declared.width == 1]


def _is_filled(ids: FieldIds) -> bool:
    return isinstance(ids.declared, Numeric) and ids.declared.missing == "mean"
