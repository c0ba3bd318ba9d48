"""The plan of an encoding grows with the number of fields, not with its square."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from afm_core.features import Categorical, Crossed, FeatureMap, Hashed, Tags
from pipelines.encoding.encoder import Encoding, encode_values
from pipelines.encoding.vocabulary import HELD_IN_ALL, HELD_VALUES, held_in_workers


def plan_of(spark: SparkSession, folder: Path, n: int) -> str:
    """The optimised plan of encoding n fields of each of several kinds."""
    fields = [
        field
        for number in range(n)
        for field in (
            Categorical(name=f"c{number}"),
            Hashed(kind="hashed", name=f"h{number}", buckets=8),
            Tags(kind="tags", name=f"t{number}", length=2),
        )
    ]
    feature_map = FeatureMap.lay_out(fields, [8] * len(fields))
    logs = spark.range(1).select(*[F.lit("a").alias(field.name) for field in fields]).persist()
    encoded = encode_values(logs, Encoding(feature_map, folder), [])
    return str(encoded._jdf.queryExecution().optimizedPlan().toString())


def test_ten_times_the_fields_make_a_plan_ten_times_as_large(spark: SparkSession, tmp_path: Path) -> None:
    small, large = (plan_of(spark, tmp_path, n) for n in (4, 40))
    assert len(large) < 12 * len(small)
    assert "Join" not in large


@pytest.mark.parametrize(("size", "fields", "held"), [(HELD_VALUES, 30, 20), (HELD_VALUES + 1, 2, 0), (10, 300, 300)])
def test_workers_hold_no_more_than_fits(size: int, fields: int, held: int) -> None:
    declared = [Categorical(name=f"c{number}") for number in range(fields)]
    names = held_in_workers(FeatureMap.lay_out(declared, [size] * fields))
    assert len(names) == held
    assert len(names) * size <= HELD_IN_ALL


def test_fields_that_follow_from_others_have_no_vocabulary() -> None:
    fields = (
        Categorical(name="a"),
        Categorical(name="b"),
        Crossed(kind="crossed", name="ab", of=("a", "b"), buckets=9),
    )
    assert held_in_workers(FeatureMap.lay_out(fields, [3, 3, 9])) == {"a", "b"}
