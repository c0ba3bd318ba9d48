"""The columns of the logs that a job reads, worked out once from the settings."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from afm_core.errors import LogsError
from afm_core.features import Tags
from afm_core.settings import Settings
from pipelines.logs.columns import OURS, require_once


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
    labelled: bool
    """Whether events must have a label and a weight, where the settings name columns for them."""

    @classmethod
    def of(cls, settings: Settings, *, labelled: bool) -> Self:
        """The columns for preparing a dataset (`labelled`), or for scoring.

        Raises:
            LogsError: two of them differ in case alone, or one has a name of ours.
        """
        sources = [source for field in settings.fields for source in field.sources]
        label = (settings.label.column, settings.label.weight, settings.split.time) if labelled else ()
        columns = cls(
            keys=settings.logs.keys,
            field_sources=tuple(dict.fromkeys(sources)),
            tag_sources=frozenset(field.source for field in settings.fields if isinstance(field, Tags)),
            label_sources=tuple(filter(None, label)),
            labelled=labelled,
        )
        require_once(columns.names, f"{settings.name}: the settings")
        for name in columns.names:
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

    @property
    def score_keys(self) -> tuple[str, ...]:
        """Columns that identify a row of scores: the keys, or all columns that fields read where there are none."""
        return self.keys or self.names
