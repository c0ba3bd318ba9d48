"""Logs with every kind of field, in which some columns hold odd values."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

FIELDS: list[Any] = [
    "user",
    {"name": "item", "ignore_case": True, "min_count": 2},
    {"name": "shop", "type": "integer"},
    {"name": "year", "column": "title", "extract": r"\((\d{4})\)"},
    {"name": "price", "kind": "numeric"},
    {"name": "log_price", "kind": "numeric", "column": "price", "scale": "log1p", "missing": "mean"},
    {"name": "price_range", "kind": "numeric", "column": "price", "scale": "quantiles", "buckets": 5},
    {"name": "genres", "kind": "tags", "length": 3, "ignore_case": True},
    {"name": "ip", "kind": "hashed", "buckets": 50, "ignore_case": True},
    {"name": "hour", "kind": "time", "of": "at", "part": "hour", "timezone": "Europe/Berlin"},
    {"name": "weekday", "kind": "time", "of": "at", "part": "weekday", "timezone": "America/New_York"},
    {"name": "weekend", "kind": "time", "of": "seen", "part": "weekend", "format": "epoch_ms"},
    {"name": "month", "kind": "time", "of": ["day", "clock"], "part": "month", "format": "d/M/yyyy hh:mm a"},
    {"name": "user_item", "kind": "crossed", "of": ["user", "item"], "buckets": 40},
    {"name": "often", "kind": "frequency", "of": ["user", "hour"]},
    {"name": "popular", "kind": "frequency", "of": ["item"], "scale": "buckets", "counted": "all"},
    {"name": "goes_with", "kind": "co_occurrence", "of": ["user", "item"], "scale": "log1p", "aggregation": "sum"},
    {"name": "best_with", "kind": "co_occurrence", "of": ["user", "item"]},
    {"name": "rate", "kind": "target_rate", "of": ["item"]},
    {"name": "rate_range", "kind": "target_rate", "of": ["user", "weekday"], "scale": "buckets", "smoothing": 2.0},
]
ODD: dict[str, list[Any]] = {
    "user": ["\\N", "", " u1 ", "u1", "NULL", "n\u00e4", "x" * 40_000, "bell\x07", "bad\ufffd", "\U0001f600"],
    "item": ["I3", "i3", "\u0130x", "\u03a3\u03c2", "\u0391\u03a3", "  ", "nan", "\u212a"],
    "shop": ["1.0", "-7", "07", "1e3", "x", "+1", None],
    "title": ["Heat (1995)", "no year", "(12) (2001) (1999)", "\u0663 (\u0661\u0669\u0669\u0669)", None],
    "price": ["1e3", "+5", ".5", "5.", "-0", "1e-300", "1e151", "NaN", "Infinity", "1,5", "0x10", "1e5d", None],
    "genres": [
        "a|B|a",
        "[27, 9]",
        "['x', \"y's\"]",
        "[]",
        "|",
        "[1.5, null, true]",
        "[broken",
        " a | b ",
        "\u0130",
        None,
    ],
    "ip": ["10.0.0.1", "A" * 31, "a" * 32, "B" * 33, "c" * 70, "\u00fc" * 9, "", None],
    "at": [
        *("2026-03-29 02:30:00", "2026-10-25T00:30:00.123456789Z", "2026-1-2", "2026-01-02 03", "2026-01-02 3:4:5"),
        *("2026-02-30", "2026-01-02T03:04:05 Europe/Berlin", "2026-01-02T03:04:05+0530", "2026-01-02T24:00:00"),
        *(
            "1767323045",
            "1767323045.5",
            "2026010203",
            "12:30",
            "20260102",
            "0099-01-02",
            "2026-01-02T03:04:05CST",
            None,
        ),
    ],
    "seen": ["1767323045123", "-1", "1767323045123.4567", "x", "1e12", None],
    "day": ["1/2/2026", "31/2/2026", "007/08/2026", "1/2/26", None],
    "clock": ["12:04 am", "12:04 PM", "13:00 PM", "1:04 pm", "01:04 pm", None],
}


def odd_logs(rows: int, seed: int, oddness: float) -> pd.DataFrame:
    """Usual rows, in which a share `oddness` of the values of each column is replaced by odd ones."""
    random = np.random.default_rng(seed)
    time = datetime(2026, 1, 1)
    minutes = random.integers(0, 500_000, rows)
    usual: dict[str, list[Any]] = {
        "user": [f"u{number}" for number in random.integers(0, 12, rows)],
        "item": [f"i{number}" for number in np.minimum(random.geometric(0.15, rows), 20)],
        "shop": [str(number) for number in random.integers(0, 9, rows)],
        "title": [f"Film ({number})" for number in random.integers(1990, 2010, rows)],
        "price": [str(number) for number in np.round(random.lognormal(1, 1, rows), 2)],
        "genres": ["|".join(random.choice(["a", "b", "c", "Drama"], 3)) for _ in range(rows)],
        "ip": [f"10.0.{number % 7}.{number}" for number in random.integers(0, 200, rows)],
        "at": [str(time + timedelta(minutes=int(minute))) for minute in minutes],
        "seen": [str(1_767_323_045_123 + 60_000 * int(minute)) for minute in minutes],
        "day": [f"{number % 28 + 1}/{number % 12 + 1}/2026" for number in minutes],
        "clock": [f"{number % 12 + 1:02}:{number % 60:02} {'am' if number % 2 else 'PM'}" for number in minutes],
    }
    for name, values in usual.items():
        for row in np.flatnonzero(random.random(rows) < oddness):
            values[row] = ODD[name][int(random.integers(len(ODD[name])))]
    return pd.DataFrame({"key": [f"k{row}" for row in range(rows)], **usual, "label": random.integers(0, 2, rows)})


def typed_rows(rows: pd.DataFrame) -> pa.Table:
    """The same columns with types that a warehouse would give them."""
    random = np.random.default_rng(4)
    prices = random.choice([0.1, 1e-5, 3.0, 1e7 + 0.25, 123456789.123, 2.0**53 + 2, 1e37, float("nan")], len(rows))
    at = pd.to_datetime(rows["at"]).astype("datetime64[ns]") + pd.to_timedelta(random.integers(0, 10**9, len(rows)))
    lists = [list(random.choice(["a", " b ", "C", "", "x|y"], 4)) for _ in range(len(rows))]
    return pa.table(
        {
            "key": rows["key"],
            "user": pa.array(rows["user"]).dictionary_encode(),
            "item": pa.array(rows["item"], pa.large_string()),
            "shop": pa.array(rows["shop"].astype(int), pa.int16()),
            "title": rows["title"],
            "price": pa.array(prices),
            "genres": pa.array(lists),
            "ip": pa.array([Decimal(row).scaleb(-3) for row in range(1000, 1000 + len(rows))], pa.decimal128(9, 3)),
            "at": pa.array(at),
            "seen": pa.array(rows["seen"].astype(int)),
            "day": rows["day"],
            "clock": rows["clock"],
            "label": rows["label"],
        }
    )
