"""What goes to the scoring workers as text, and how they look it up."""

import numpy as np
import pyarrow as pa
import pytest

from afm_core.encoding.vocabulary import Vocabulary
from afm_core.features import Categorical, CoOccurrence, FeatureMap, Field, Frequency, Numeric, Time
from pipelines.encoding.vocabulary import HELD_VALUES
from pipelines.scoring.worker.input_rows import WorkerColumns


def laid_out(*fields: Field, sizes: dict[str, int] | None = None) -> FeatureMap:
    return FeatureMap.lay_out(fields, [(sizes or {}).get(field.name, 3) for field in fields])


def test_values_get_their_ids_and_the_rest_the_unknown_one() -> None:
    vocabulary = Vocabulary(pa.array(["b", "a", "é"]), np.array([7, 8, 20], dtype=np.int32))
    actual = vocabulary.look_up(pa.array(["a", None, "A", "é", "b", "", "a"]), 2)
    assert actual.tolist() == [8, 2, 2, 20, 7, 2, 8]
    assert actual.dtype == np.int32
    assert Vocabulary(pa.array([], pa.string()), np.array([], dtype=np.int32)).look_up(pa.array(["a"]), 2).tolist() == [
        2
    ]


def test_a_key_that_a_field_holds_as_it_stands_is_not_sent_twice() -> None:
    fields = (
        Categorical(name="user"),
        Categorical(name="item", ignore_case=True),
        Time(kind="time", name="hour", of="ts", part="hour"),
    )
    columns = WorkerColumns.of(laid_out(*fields), ["event", "user", "item", "ts"])
    assert columns.texts == ("user", "item", "hour")
    assert columns.keys == {"event": "_ key event", "user": "user", "item": "_ key item", "ts": "_ key ts"}
    assert columns.strings == ["_ key event", "_ key item", "_ key ts"]
    assert columns.flags == []


@pytest.mark.parametrize(
    "derived",
    [
        Frequency(kind="frequency", name="n", of=("user",)),
        CoOccurrence(kind="co_occurrence", name="goes", of=("user", "item"), aggregation="sum", scale="log1p"),
    ],
)
def test_what_another_field_follows_from_is_looked_up_by_spark(derived: Field) -> None:
    columns = WorkerColumns.of(
        laid_out(Categorical(name="user"), Categorical(name="item"), derived),
        ["user"],
    )
    assert "user" not in columns.texts
    assert columns.keys == {"user": "_ key user"}
    assert columns.unseen["user"] == "_ unseen user"


def test_what_a_worker_should_not_hold_is_looked_up_by_spark() -> None:
    fields = (Categorical(name="user"), Categorical(name="item"))
    held = WorkerColumns.of(laid_out(*fields, sizes={"user": HELD_VALUES}), [])
    large = WorkerColumns.of(laid_out(*fields, sizes={"user": HELD_VALUES + 1}), [])
    assert (held.texts, held.unseen) == (("user", "item"), {})
    assert (large.texts, large.unseen) == (("item",), {"user": "_ unseen user"})


def test_only_fields_that_fill_in_the_mean_say_whether_there_was_a_number() -> None:
    filled, other = Numeric(kind="numeric", name="age", missing="mean"), Numeric(kind="numeric", name="price")
    assert WorkerColumns.of(laid_out(filled, other), []).given == {"age": "_ given age"}
