"""A table that breaks its contract is refused: as a DataFrame, as a batch of a worker, and when it is written."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.types import ShortType, StructField, StructType

from afm_core.features import Categorical, FeatureMap, Numeric, Scaling
from pipelines import contracts
from pipelines.contract_checks import Contract, ContractError, check_batch, check_frame
from pipelines.parquet_files import write_sorted_table

FEATURE_MAP = FeatureMap.lay_out(
    [Categorical(name="user"), Numeric(name="price", kind="numeric")], [3, 1], [None, Scaling()], None
)
ALL = {
    contract.name: contract
    for contract in (
        contracts.FEATURE_TABLE,
        contracts.COUNT_TABLE,
        contracts.PAIR_TABLE,
        contracts.RATE_TABLE,
        contracts.REJECT_TABLE,
        contracts.events(["user", "a.b"]),
        contracts.encoded(FEATURE_MAP),
        contracts.instances(FEATURE_MAP, weighted=True),
        contracts.rows_to_score(FEATURE_MAP, "reject", ["user"], ["event_id"], ["is_accepted"]),
        contracts.scores(["event_id"], explained=True),
        contracts.best_items("user", "app"),
    )
}
each_contract = pytest.mark.parametrize("contract", ALL.values(), ids=ALL.keys())
REJECT = {"rule": "missing", "column": "user", "raw": "{}", "file": "a.csv"}
VALUES = {
    **{"string": "1", "int": 1, "bigint": 1, "float": 1.0, "double": 1.0, "boolean": True},
    contracts.REJECT_STRUCT.simpleString(): REJECT,
}


def rows_of(contract: Contract) -> Iterator[Row]:
    """One row that keeps the contract, with a further column."""
    values = [VALUES.get(field.dataType.simpleString(), []) for field in contract.schema]
    yield Row(*values, 5)


def frame_of(spark: SparkSession, contract: Contract) -> DataFrame:
    schema = StructType([*contract.schema.fields, StructField("further", ShortType())])
    return spark.createDataFrame(list(rows_of(contract)), schema)


def batch_of(contract: Contract) -> pa.RecordBatch:
    columns = [
        pa.array([VALUES.get(field.dataType.simpleString(), [])], arrow.type)
        for field, arrow in zip(contract.schema, contract.arrow, strict=True)
    ]
    return pa.RecordBatch.from_arrays([*columns, pa.array([5], pa.int16())], [*contract.names, "further"])


def with_column(batch: pa.RecordBatch, position: int, column: pa.Array) -> pa.RecordBatch:
    columns = [column if index == position else other for index, other in enumerate(batch.columns)]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def without_nulls(contract: Contract) -> list[str]:
    return [field.name for field in contract.schema if not field.nullable]


def quoted(name: str) -> str:
    return f"`{name}`"


@each_contract
def test_a_frame_is_selected_down_to_its_contract(spark: SparkSession, contract: Contract) -> None:
    checked = check_frame(frame_of(spark, contract), contract)
    assert checked.columns == contract.names
    assert len(checked.collect()) == 1


@each_contract
def test_a_frame_that_breaks_its_contract_is_refused(spark: SparkSession, contract: Contract) -> None:
    frame = frame_of(spark, contract)
    for name in contract.names:
        with pytest.raises(ContractError, match=f"{contract.name}: .*missing"):
            check_frame(frame.select(*[quoted(other) for other in frame.columns if other != name]), contract)
        other_type = frame.withColumn(name, frame["further"])
        with pytest.raises(ContractError, match="smallint instead of"):
            check_frame(other_type, contract)


@each_contract
def test_a_null_fails_the_query(spark: SparkSession, contract: Contract) -> None:
    for name in without_nulls(contract):
        values = next(rows_of(contract))
        fields = [
            StructField(field.name, field.dataType) if field.name == name else field for field in contract.schema.fields
        ]
        position = contract.names.index(name)
        row = Row(*[None if index == position else value for index, value in enumerate(values[:-1])])
        frame = check_frame(spark.createDataFrame([row], StructType(fields)), contract)
        with pytest.raises(Exception, match=f"{contract.name}: null in column {name}"):
            frame.collect()


@each_contract
def test_a_batch_is_selected_down_to_its_contract_or_refused(contract: Contract) -> None:
    batch = batch_of(contract)
    assert check_batch(batch, contract).schema.names == contract.names
    for name in contract.names:
        position = batch.schema.get_field_index(name)
        with pytest.raises(ContractError, match="missing"):
            check_batch(batch.select([other for other in batch.schema.names if other != name]), contract)
        with pytest.raises(ContractError, match="int16 instead of"):
            check_batch(with_column(batch, position, pa.array([5], pa.int16())), contract)
        if name in without_nulls(contract):
            nulls = pa.nulls(1, batch.schema.field(position).type)
            with pytest.raises(ContractError, match="1 nulls, none are allowed"):
                check_batch(with_column(batch, position, nulls), contract)


@pytest.mark.parametrize("name", [name for name, contract in ALL.items() if contract.unique])
def test_a_table_with_a_key_twice_is_not_written(spark: SparkSession, tmp_path: Path, name: str) -> None:
    contract, path = ALL[name], tmp_path / "table.parquet"
    frame = frame_of(spark, contract)
    assert write_sorted_table(frame, contract, path) == 1
    before = path.read_bytes()
    with pytest.raises(Exception, match=f"two rows with the same {', '.join(contract.unique)}"):
        write_sorted_table(frame.unionAll(frame), contract, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_every_contract_is_broken_here() -> None:
    """Constants and functions of the module that are or return a contract."""
    declared = {name for name, value in vars(contracts).items() if isinstance(value, Contract)}
    returning = {
        name
        for name, value in vars(contracts).items()
        if callable(value) and getattr(value, "__annotations__", {}).get("return") is Contract
    }
    assert len(declared) + len(returning) == len(ALL)
