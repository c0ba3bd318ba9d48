"""Predictions without Spark: one row at a time, and rows in batches, on one core; beside the model's forward.

The model is an AFM with k = t = 64 of random weights over ten categorical fields with as many values as Frappe's.
`python -m tests.benchmarks.predictor`
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from afm_core.bundle import FrozenRows, write_bundle
from afm_core.features import Categorical, FeatureMap
from afm_core.learning.calibrated_model import CalibratedModel
from afm_core.models import EncodedBatch, Shape, build_model
from afm_core.prediction import Predictor
from afm_core.settings import Settings

VALUES = {
    "user": 957,
    "item": 4082,
    "daytime": 7,
    "weekday": 7,
    "isweekend": 2,
    "homework": 3,
    "cost": 2,
    "weather": 9,
    "country": 80,
    "city": 233,
}
ROWS, CALLS, REPEATS = 100_000, 200, 5
K = 64


def bundle_in(folder: Path) -> Path:
    feature_map = FeatureMap.lay_out([Categorical(name=name) for name in VALUES], list(VALUES.values()))
    rows = [(0, None, None, 0), *[(field.unknown_id, field.name, None, 0) for field in feature_map.fields]]
    rows += [
        (int(id_), field.name, f"{field.name} {number}", 1)
        for field in feature_map.fields
        for number, id_ in enumerate(field.ids(np.arange(field.size)))
    ]
    columns = dict(zip(("id", "field", "value", "count"), map(list, zip(*rows, strict=True)), strict=True))
    table = pa.table({**columns, "id": pa.array(columns["id"], pa.int32())})
    (folder / "map").mkdir()
    pq.write_table(table.replace_schema_metadata(feature_map.to_metadata()), folder / "map" / "features.parquet")
    settings = Settings.model_validate(
        {
            "name": "benchmark",
            "logs": {"path": "logs"},
            "fields": list(VALUES),
            "negatives": {"replace": "item", "never_seen_by": "user"},
            "dataset": {"path": str(folder / "dataset")},
            "model": {"name": "afm", "embedding_dim": K, "attention_dim": K},
            "run": {"path": str(folder / "run")},
        }
    )
    torch.manual_seed(1)
    model = CalibratedModel(build_model(settings.model, Shape.of(feature_map)), "regression")
    frozen = FrozenRows(np.ones((1, len(VALUES)), dtype=np.int32), np.empty((1, 0), dtype=np.float32))
    write_bundle(folder / "bundle", model, settings, folder / "map", frozen, {}, "")
    return folder / "bundle"


def main() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    rows = pd.DataFrame(
        {name: [f"{name} {number}" for number in random.integers(0, size, ROWS)] for name, size in VALUES.items()}
    )
    with tempfile.TemporaryDirectory() as folder:
        predictor = Predictor.from_bundle(bundle_in(Path(folder)))
        records = rows.head(CALLS).to_dict("records")
        predictor.predict(records[:1])
        first = _milliseconds(predictor, records)
        batches = max(ROWS / _seconds(lambda: predictor.predict(rows)) for _ in range(REPEATS))
        later = _milliseconds(predictor, records)
        model = predictor.bundle.model.eval()
        ids = torch.from_numpy(np.ones((ROWS, len(VALUES)), dtype=np.int64))
        with torch.inference_mode():
            parts = [EncodedBatch.of_ids(part) for part in ids.split(1024)]
            forward = max(ROWS / _seconds(lambda: list(map(model, parts))) for _ in range(REPEATS))
    cpu = Path("/proc/cpuinfo").read_text().split("model name\t: ")[1].split("\n")[0]
    print(f"{cpu}; one core, AFM, k = t = {K}, ten fields; best of {REPEATS}, medians of {CALLS} calls")
    print(f"one row, before any other rows   {first:.2f} ms")
    print(f"one row, after {ROWS:,} others   {later:.2f} ms")
    print(f"batches of {ROWS:,} raw rows     {batches:,.0f} rows/s")
    print(f"the model's forward, encoded     {forward:,.0f} rows/s; ratio {batches / forward:.2f}")


def _milliseconds(predictor: Predictor, records: list[dict[str, str]]) -> float:
    return 1e3 * statistics.median(_seconds(lambda row=row: predictor.predict([row])) for row in records)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
