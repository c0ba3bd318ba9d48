"""What one would write first: a pandas_udf that runs the reference forward. Run by scoring.py, to be compared with.

The same logs, feature map, encoding, checks of the input and output columns as jobs/score.py; no frozen rows, checks of
the night, ledger or lock.
"""

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType

from afm_core.bundle import read_bundle
from afm_core.models import EncodedBatch
from afm_core.settings import load_settings
from pipelines.encoding.encoder import Encoding, encode
from pipelines.logs.checking import check_logs
from pipelines.logs.reading import read_logs
from pipelines.scoring.nights import night_folder
from pipelines.spark import spark_session, url

settings, night, out = load_settings(Path(sys.argv[1])), date.fromisoformat(sys.argv[2]), Path(sys.argv[3])
folder, bundle_path = night_folder(settings.score.logs, night), str(settings.run.bundle.absolute())
with spark_session("plain", out.with_suffix(".log")) as spark:
    bundle = read_bundle(settings.run.bundle)
    columns = list(bundle.feature_map.id_columns)

    @F.pandas_udf(FloatType())  # type: ignore[call-overload]
    def score(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        torch.set_num_threads(1)
        model = read_bundle(Path(bundle_path)).model.eval()
        model.kernel, model.precision = "reference", "float32"
        for batch in batches:
            ids = torch.from_numpy(np.stack([column.to_numpy() for column in batch], axis=1).astype(np.int64))
            with torch.inference_mode():
                parts = [model(EncodedBatch.of_ids(part)).clamp(-1, 1) for part in ids.split(1024)]
            yield pd.Series(torch.cat(parts).numpy())

    logs = check_logs(read_logs(spark, settings, folder), settings, folder).accepted
    kept = logs.select("*", *[F.col(name).alias(f"_key_{name}") for name in columns])
    encoded = encode(kept, Encoding(bundle.feature_map, bundle.path))
    keys = [F.col(f"_key_{name}").alias(name) for name in columns]
    encoded.select(*keys, score(*columns).alias("score")).write.parquet(url(out), compression="zstd")
