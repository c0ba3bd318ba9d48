"""Simulated logs of different kinds, with clicks whose probability is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Columns = dict[str, Numbers]
Field = str | dict[str, object]
_SHAPE_OF_CRITEO = (1000, 500, 20000, 8000, 200, 15, 5000, 300, 3, 9000, 2500, 12000, 1800)
_AND_MORE = (26, 4000, 9000, 10, 2000, 1000, 4, 12000, 10, 15, 5000, 60, 3500)


def many_fields(random: np.random.Generator) -> tuple[Columns, NDArray[np.float64]]:
    """8,000 rows of 13 numbers and 26 categories; single features count, and four pairs of fields."""
    rows, sizes = 8_000, _SHAPE_OF_CRITEO + _AND_MORE
    numbers = np.exp(random.normal(size=(rows, 13)) * 1.5 + random.normal(size=13)).astype(np.int64)
    values = np.stack([np.minimum(random.zipf(1.3, rows) - 1, size - 1) for size in sizes], axis=1)
    effects = [random.normal(size=size) * 0.21 for size in sizes]
    logit = sum(effect[column] for effect, column in zip(effects, values.T, strict=True))
    logit += (np.log1p(numbers) * random.normal(size=13) * 0.15).sum(axis=1)
    for a, b in ((0, 4), (5, 8), (16, 21), (4, 22)):
        left, right = random.normal(size=(sizes[a], 3)), random.normal(size=(sizes[b], 3))
        logit += 0.5 * (left[values[:, a]] * right[values[:, b]]).sum(axis=1)
    columns = {f"i{i + 1}": numbers[:, i] for i in range(13)} | {f"c{i + 1}": values[:, i] for i in range(26)}
    return columns, logit - np.quantile(logit, 0.74)


def popularity(random: np.random.Generator) -> tuple[Columns, NDArray[np.float64]]:
    """60,000 rows in which user, item, weekday and device count by themselves alone."""
    rows = 60_000
    columns = {
        "user": np.minimum(random.zipf(1.3, rows) - 1, 1_999),
        "item": np.minimum(random.zipf(1.2, rows) - 1, 2_999),
        "weekday": random.integers(0, 7, rows),
        "device": random.integers(0, 3, rows),
    }
    deviations = {"user": 0.6, "item": 1.0, "weekday": 0.2, "device": 0.3}
    effects = {name: random.normal(size=column.max() + 1) * deviations[name] for name, column in columns.items()}
    return columns, sum(effects[name][column] for name, column in columns.items()) - 0.8


def sparse_users(random: np.random.Generator) -> tuple[Columns, NDArray[np.float64]]:
    """80,000 rows of 40,000 users, whose age, country and job meet the item, its category and its brand."""
    rows, users, items = 80_000, 40_000, 800
    user, item = random.integers(0, users, rows), np.minimum(random.zipf(1.25, rows) - 1, items - 1)
    age, country, job = (
        random.integers(0, 8, users),
        np.minimum(random.zipf(1.5, users) - 1, 39),
        random.integers(0, 20, users),
    )
    category, brand = random.integers(0, 25, items), random.integers(0, 60, items)
    of_user = sum(
        weight * random.normal(size=(size, 4))[values]
        for weight, size, values in ((1.0, 8, age), (0.7, 40, country), (0.5, 20, job))
    )
    of_item = sum(
        weight * random.normal(size=(size, 4))[values]
        for weight, size, values in ((1.0, 25, category), (0.7, 60, brand), (0.5, items, np.arange(items)))
    )
    logit = 0.35 * (of_user[user] * of_item[item]).sum(axis=1) + 0.5 * random.normal(size=items)[item] - 1.0
    of_users = {"user": user, "age": age[user], "country": country[user], "job": job[user]}
    return {**of_users, "item": item, "category": category[item], "brand": brand[item]}, logit


SIMULATED: dict[str, Callable[[np.random.Generator], tuple[Columns, NDArray[np.float64]]]] = {
    "many_fields": many_fields,
    "popularity": popularity,
    "sparse_users": sparse_users,
}


def write_logs(folder: Path, kind: str) -> list[Field]:
    """Write the logs, with the column `clicked`. Returns the fields to declare."""
    random = np.random.default_rng(1)
    columns, logit = SIMULATED[kind](random)
    clicked = (random.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    folder.mkdir(parents=True)
    texts = {name: pa.array(column).cast(pa.string()) for name, column in columns.items()}
    pq.write_table(pa.table({**texts, "clicked": clicked}), folder / "part-0.parquet")
    numeric = [name for name in columns if kind == "many_fields" and name.startswith("i")]
    return [
        {"name": name, "kind": "numeric", "scale": "quantiles", "buckets": 16} if name in numeric else name
        for name in columns
    ]
