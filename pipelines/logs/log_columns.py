"""The columns of the logs that a job reads, worked out once from the settings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from afm_core.errors import LogsError
from afm_core.features import Categorical, Hashed, Numeric, Tags, Time
from afm_core.features.declaration_types import joined_name
from afm_core.settings import Settings
from afm_core.settings.data import JoinSettings
from pipelines.logs.columns import OURS, require_once


@dataclass(frozen=True)
class DerivedColumn:
    """A column that the reader makes of the columns of the logs, before anything judges or encodes it."""

    name: str
    sources: tuple[str, ...]
    """Joined with blanks."""
    pattern: str | None = None
    """Regular expression of the part that is the value."""

    @classmethod
    def of(cls, settings: Settings, *, labelled: bool) -> tuple[Self, ...]:
        """Those of the settings, each once."""
        parts = [
            field for field in settings.fields if isinstance(field, Categorical | Hashed | Numeric) and field.extract
        ]
        derived = [cls(field.source, (field.column or field.name,), field.extract) for field in parts]
        times = [field.of for field in settings.fields if isinstance(field, Time)]
        times += [settings.split.time] if labelled and settings.split.time else []
        derived += [cls(joined_name(columns), columns) for columns in times if not isinstance(columns, str)]
        return tuple(dict.fromkeys(derived))


@dataclass(frozen=True)
class LogColumns:
    """Names of columns of the logs, by what they are read for."""

    keys: tuple[str, ...]
    """Columns that identify an event."""
    field_sources: tuple[str, ...]
    """Columns that fields read, each once."""
    tag_sources: frozenset[str]
    """Those of them that hold several values per event."""
    label_sources: tuple[str, ...]
    """Label, weight and time of the split; empty where only scores are wanted."""
    derived: tuple[DerivedColumn, ...]
    """Those of all these columns that the reader makes of others."""
    joins: tuple[tuple[JoinSettings, tuple[str, ...]], ...]
    """Tables to join, and the columns that are read of each."""
    missing: tuple[str, ...]
    """Values that mean that there is none, beside empty text."""
    labelled: bool
    """Whether events must have a label and a weight, where the settings name columns for them."""

    @classmethod
    def of(cls, settings: Settings, *, labelled: bool) -> Self:
        """The columns for preparing a dataset (`labelled`), or for scoring.

        Raises:
            LogsError: two of them differ in case alone, or one has a name of ours.
        """
        sources = [source for field in settings.fields for source in field.sources]
        split = settings.split
        label = (settings.label.column, settings.label.weight, split.time_source, split.column) if labelled else ()
        columns = cls(
            keys=settings.logs.keys,
            field_sources=tuple(dict.fromkeys(sources)),
            tag_sources=frozenset(field.source for field in settings.fields if isinstance(field, Tags)),
            label_sources=tuple(filter(None, label)),
            derived=DerivedColumn.of(settings, labelled=labelled),
            joins=(),
            missing=settings.logs.missing,
            labelled=labelled,
        )
        columns = replace(columns, joins=columns._used_of(settings.logs.join))
        require_once(columns.names, f"{settings.name}: the settings")
        columns._require_free_names(settings)
        for name in (*columns.names, *columns.in_files):
            if name.startswith(OURS):
                raise LogsError(
                    f"{settings.name}: the settings name column {name!r}; names that begin with an underscore and a "
                    "blank are kept for the pipeline; rename the column"
                )
        return columns

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All columns to read, each once: keys, then those of the fields, then those of the label."""
        return tuple(dict.fromkeys([*self.keys, *self.field_sources, *self.label_sources]))

    @cached_property
    def in_files(self) -> tuple[str, ...]:
        """The columns of the logs themselves, each once."""
        joined = {name for _, names in self.joins for name in names}
        own = [name for name in self._underived if name not in joined]
        return tuple(dict.fromkeys([*own, *(join.on for join, _ in self.joins)]))

    @cached_property
    def _underived(self) -> tuple[str, ...]:
        sources = {each.name: each.sources for each in self.derived}
        return tuple(dict.fromkeys(source for name in self.names for source in sources.get(name, (name,))))

    def _used_of(self, joins: Sequence[JoinSettings]) -> tuple[tuple[JoinSettings, tuple[str, ...]], ...]:
        used = [(join, tuple(name for name in join.columns if name in self._underived)) for join in joins]
        return tuple((join, names) for join, names in used if names)

    def _require_free_names(self, settings: Settings) -> None:
        """What a field extracts is a column with the name of the field: nothing else may read a column of that name."""
        extracted = {each.name: each for each in self.derived if each.pattern}
        for field in settings.fields:
            for source in field.sources:
                if source in extracted and field.name != source:
                    raise LogsError(
                        f"{settings.name}: field {field.name} reads column {source}, which is the name of a field that "
                        "extracts its values; rename that field"
                    )
        for name in (*self.keys, *self.label_sources):
            if name in extracted:
                raise LogsError(
                    f"{settings.name}: column {name} is read by itself, and is the name of a field that extracts its "
                    "values; rename that field"
                )

    @property
    def score_keys(self) -> tuple[str, ...]:
        """Columns that identify a row of scores: the keys, or all columns that fields read where there are none."""
        return self.keys or self.names
