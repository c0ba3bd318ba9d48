"""How a field is written in a settings file."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from afm_core.features.declaration_types import FieldName
from afm_core.features.derived_field import CoOccurrence, Crossed, Frequency, TargetRate
from afm_core.features.field import Categorical, Hashed, Numeric, Tags, Time

_KINDS = ("categorical", "hashed", "numeric", "tags", "time", "crossed", "frequency", "co_occurrence", "target_rate")


def _kind(value: Any) -> Any:
    return value.get("kind", "categorical") if isinstance(value, dict) else getattr(value, "kind", None)


def _from_short_form(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


_Declared = Annotated[
    Annotated[Categorical, Tag("categorical")]
    | Annotated[Hashed, Tag("hashed")]
    | Annotated[Numeric, Tag("numeric")]
    | Annotated[Tags, Tag("tags")]
    | Annotated[Time, Tag("time")]
    | Annotated[Crossed, Tag("crossed")]
    | Annotated[Frequency, Tag("frequency")]
    | Annotated[CoOccurrence, Tag("co_occurrence")]
    | Annotated[TargetRate, Tag("target_rate")],
    Discriminator(_kind, custom_error_type="kind", custom_error_message=f"kind must be one of {', '.join(_KINDS)}"),
]
FieldOrName = Annotated[_Declared, BeforeValidator(_from_short_form, json_schema_input_type=FieldName | _Declared)]
"""A field in a settings file: a mapping, or just the name of a categorical field."""
