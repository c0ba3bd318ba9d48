"""What the declarations of all kinds of fields have in common."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from afm_core.features.declaration_types import FieldName, Share

_LATER = {"extract", "format", "counted"}
"""Attributes that earlier releases did not have."""


class Declaration(BaseModel):
    """A field: what becomes of columns of the logs, or of the ids of other fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: FieldName
    """Name of the field and of its columns in the dataset."""
    max_missing: Share | None = None
    """Largest share of events without a value; above it the preparation stops."""
    max_unknown: Share | None = None
    """Largest share of events whose value has no id of its own; above it the preparation stops."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Leaves out later attributes at their defaults, so that the fingerprint of an older map stays the same."""
        for name, value in super().__repr_args__():
            if name not in _LATER or value != type(self).model_fields[name].default:
                yield name, value

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the logs that the field reads."""
        return ()

    @property
    def width(self) -> int:
        """Number of columns of a batch that the field fills."""
        return 1

    @property
    def carries_x(self) -> bool:
        """Whether its x_i may differ from 1."""
        return False
