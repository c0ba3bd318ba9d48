"""The rows of a night as Spark's Python workers receive them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from afm_core.bundle import Bundle
from afm_core.features import Categorical, FeatureMap, FieldIds, Numeric, Tags, has_vocabulary
from pipelines.contract_checks import Contract, check_frame
from pipelines.contracts import rows_to_score
from pipelines.encoding.encoder import Encoding, encode
from pipelines.encoding.values import text_value
from pipelines.encoding.worker_encoder import looked_up_in_workers
from pipelines.logs.columns import OURS, column
from pipelines.logs.rules import REJECT


@dataclass(frozen=True)
class WorkerColumns:
    """The names of a worker's columns, besides those of ids and x_i."""

    keys: dict[str, str]
    """For each key of the scores, the column with its text."""
    texts: tuple[str, ...]
    """The fields whose own column holds the text of their value, which the worker looks up."""
    unseen: dict[str, str]
    """For each other field with a vocabulary, a column with the text of a value without an id, null elsewhere."""
    given: dict[str, str]
    """For each field that replaces a missing number by the mean, a column that says whether there was a number."""

    @classmethod
    def of(cls, feature_map: FeatureMap, keys: Sequence[str]) -> "WorkerColumns":
        """The columns for a feature map. A key whose text a field's column holds anyway is not sent twice."""
        texts = looked_up_in_workers(feature_map)
        unchanged = {
            ids.declared.source: ids.name
            for ids in texts
            if isinstance(ids.declared, Categorical) and not ids.declared.ignore_case
        }
        others = [ids.name for ids in _with_vocabulary(feature_map) if ids not in texts]
        mean_filled = [ids.name for ids in feature_map.fields if _is_mean_filled(ids)]
        return cls(
            {name: unchanged.get(name, f"{OURS}key {name}") for name in keys},
            tuple(ids.name for ids in texts),
            {name: f"{OURS}unseen {name}" for name in others},
            {name: f"{OURS}given {name}" for name in mean_filled},
        )

    @property
    def strings(self) -> list[str]:
        """Text columns besides the fields' own, each once."""
        return [name for name in dict.fromkeys([*self.keys.values(), *self.unseen.values()]) if name not in self.texts]

    @property
    def flags(self) -> list[str]:
        """Boolean columns."""
        return list(self.given.values())

    def contract(self, feature_map: FeatureMap) -> Contract:
        """The rows that a worker receives."""
        return rows_to_score(feature_map, REJECT, self.texts, self.strings, self.flags)


def prepare_rows(judged: DataFrame, reject: Column, bundle: Bundle, columns: WorkerColumns) -> DataFrame:
    """Contract `rows_to_score`: encoded rows and the further columns that the workers need.

    Rejected rows are sent too, with the reason: a filter would make Spark read and judge each row twice.
    """
    feature_map = bundle.feature_map
    extra = {target: column(name) for name, target in columns.keys.items() if target not in columns.texts}
    extra |= {target: text_value(feature_map[name].declared) for name, target in columns.unseen.items()}
    extra |= {
        target: column(feature_map[name].declared.sources[0]).isNotNull() for name, target in columns.given.items()
    }
    extra[REJECT] = reject
    others = [column(name) for name in judged.columns if name != REJECT]
    with_extra = judged.select(*others, *[value.alias(name) for name, value in extra.items()])
    encoded = encode(with_extra, Encoding(feature_map, bundle.location), list(extra), columns.texts)
    is_unseen = {target: column(name) == feature_map[name].unknown_id for name, target in columns.unseen.items()}
    encoded = (
        encoded.withColumns({target: F.when(condition, column(target)) for target, condition in is_unseen.items()})
        if is_unseen
        else encoded
    )
    return check_frame(encoded, columns.contract(feature_map))


def _with_vocabulary(feature_map: FeatureMap) -> list[FieldIds]:
    """The fields whose features are values from the logs, one per event."""
    return [ids for ids in feature_map.fields if has_vocabulary(ids.declared) and not isinstance(ids.declared, Tags)]


def _is_mean_filled(ids: FieldIds) -> bool:
    return isinstance(ids.declared, Numeric) and ids.declared.missing == "mean"
