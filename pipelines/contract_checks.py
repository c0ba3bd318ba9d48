"""A contract: the columns of a table that passes between stages, and the checks of them.

A stage checks the table that it gets and the one that it returns with `check_frame`, and a Python worker checks its
batches with `check_batch`. Both select down to the contract, so that nothing undeclared passes on.
"""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructField, StructType


class ContractError(AssertionError):
    """A table is not what its contract says. That is a defect of the stage that made it, not of the input."""


@dataclass(frozen=True)
class Contract:
    """The columns of a table, in order, and the columns that together are unique in it."""

    name: str
    schema: StructType
    unique: tuple[str, ...] = ()
    """Checked where the table is written sorted by these columns (`pipelines.parquet_files`); empty where nothing is
    unique."""

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return self.schema.names

    @cached_property
    def arrow(self) -> pa.Schema:
        """The same columns as pyarrow describes them."""
        return to_arrow_schema(self.schema)

    def with_columns(self, name: str, *fields: StructField) -> "Contract":
        """The same table with further columns."""
        return Contract(name, StructType([*self.schema.fields, *fields]), self.unique)


def check_frame(frame: DataFrame, contract: Contract) -> DataFrame:
    """Select exactly the columns of a contract, in its order, after checking names, types and nullability.

    Where the contract allows no nulls and Spark cannot rule them out, the query itself fails at the first null; no pass
    over the data is added.

    Raises:
        ContractError: a column is missing or has another type.
    """
    types = {field.name: field.dataType for field in frame.schema}
    nullable = {field.name: field.nullable for field in frame.schema}
    problems = [
        f"{field.name}: {types[field.name].simpleString()} instead of {field.dataType.simpleString()}"
        if field.name in types
        else f"{field.name}: missing"
        for field in contract.schema
        if types.get(field.name) != field.dataType
    ]
    if problems:
        raise ContractError(f"{contract.name}: {'; '.join(problems)}")
    return frame.select(
        *[
            _never_null(contract.name, field) if nullable[field.name] and not field.nullable else _exactly(field.name)
            for field in contract.schema
        ]
    )


def check_batch(batch: pa.RecordBatch, contract: Contract) -> pa.RecordBatch:
    """Select exactly the columns of a contract from a batch of a Python worker. Cost: microseconds per batch.

    Raises:
        ContractError: a column is missing, has another type, or contains a null where none is allowed.
    """
    problems = []
    for field in contract.arrow:
        position = batch.schema.get_field_index(field.name)
        if position < 0:
            problems.append(f"{field.name}: missing")
        elif batch.schema.field(position).type != field.type:
            problems.append(f"{field.name}: {batch.schema.field(position).type} instead of {field.type}")
        elif not field.nullable and batch.column(position).null_count:
            problems.append(f"{field.name}: {batch.column(position).null_count} nulls, none are allowed")
    if problems:
        raise ContractError(f"{contract.name}: {'; '.join(problems)}")
    return batch.select(contract.names)


def _exactly(name: str) -> Column:
    return F.col(f"`{name.replace('`', '``')}`")


def _never_null(table: str, field: StructField) -> Column:
    failure = F.raise_error(F.lit(f"{table}: null in column {field.name}")).cast(field.dataType)
    return F.coalesce(_exactly(field.name), failure).alias(field.name)
