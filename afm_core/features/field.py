"""The declaration of one field of the logs."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic import Field as Constrained


class Field(BaseModel):
    """One column of the logs that becomes one id a row."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Annotated[str, Constrained(min_length=1, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Column of the logs, and of the dataset."""

    kind: Literal["categorical"] = "categorical"
    """`categorical`: each distinct value is one feature."""

    type: Literal["string", "integer"] = "string"
    """What a value must look like; a row whose value does not is rejected."""

    ignore_case: bool = False
    """Values that differ in case only are one feature, kept in lower case."""

    min_count: Annotated[int, Constrained(ge=1)] = 1
    """Values that occur less often in the logs share the field's unknown id."""


def _from_short_form(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


FieldOrName = Annotated[Field, BeforeValidator(_from_short_form)]
"""A field in a settings file: a mapping, or just its name."""
