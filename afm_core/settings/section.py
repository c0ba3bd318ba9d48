"""The base of all sections of the settings, and the types that several of them use."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
ColumnName = Annotated[str, Field(min_length=1)]


def _names_short_form(value: Any) -> Any:
    return (value,) if isinstance(value, str) and value not in ("context", "nothing") else value


Names = Annotated[
    tuple[ColumnName, ...],
    Field(min_length=1),
    BeforeValidator(_names_short_form, json_schema_input_type=ColumnName | tuple[ColumnName, ...]),
]
"""One or more names; a single one may be given as text."""


class Section(BaseModel):
    """A section of the settings: immutable, and refuses keys that it does not declare."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
