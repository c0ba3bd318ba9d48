"""What one would write first: a pandas_udf over encoded rows. Run by scoring.py, to be compared with.

The same logs, feature map, encoding, checks of the input and output columns as jobs/score.py; no frozen rows, checks of
the night, ledger or lock. What the UDF does is the last argument:

    reference  the reference forward on each batch as Spark gives it, 10,000 rows by default
    pieces     the reference forward on 1,024 rows at a time, which a cache holds
    inference  the inference path of jobs/score.py, so that what is left is the pandas_udf itself
"""

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType

from afm_core.bundle import Bundle, read_bundle
from afm_core.models import EncodedBatch
from afm_core.settings import load_settings
from pipelines.encoding.encoder import Encoding, encode
from pipelines.logs.checking import check_logs
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.scoring.night_dates import night_folder
from pipelines.spark import spark_session, url

config, day, where, how = sys.argv[1:]
settings, night, out = load_settings(Path(config)), date.fromisoformat(day), Path(where)
folder, bundle_path = night_folder(settings.nightly.logs, night), str(settings.run.bundle.absolute())
rows_a_batch = 10_000 if how == "reference" else 65_536


def scores_of(bundle: Bundle, columns: tuple[pd.Series, ...]) -> NDArray[np.float32]:
    ids = np.stack([column.to_numpy() for column in columns], axis=1)
    if how == "inference":
        return bundle.scorer.columns(ids, np.empty((len(ids), 0), np.float32))
    whole = torch.from_numpy(ids.astype(np.int64))
    with torch.inference_mode():
        parts = [bundle.model(EncodedBatch.of_ids(part)).clamp(-1, 1) for part in whole.split(1024)]
        return (torch.cat(parts) if how == "pieces" else bundle.model(EncodedBatch.of_ids(whole)).clamp(-1, 1)).numpy()


with spark_session("plain", out.with_suffix(".log")) as spark:
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", rows_a_batch)
    bundle = read_bundle(settings.run.bundle)
    columns = list(bundle.feature_map.id_columns)

    @F.pandas_udf(FloatType())  # type: ignore[call-overload]
    def score(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        torch.set_num_threads(1)
        loaded = read_bundle(Path(bundle_path))
        if how != "inference":
            loaded.model.eval()
            loaded.model.kernel, loaded.model.precision = "reference", "float32"
        for batch in batches:
            yield pd.Series(scores_of(loaded, batch))

    log_columns = LogColumns.of(settings, labelled=False)
    logs = check_logs(read_logs(spark, settings.logs, log_columns, folder), settings, log_columns, folder).accepted
    kept = logs.select("*", *[F.col(name).alias(f"_key_{name}") for name in columns])
    encoded = encode(kept, Encoding(bundle.feature_map, bundle.path))
    keys = [F.col(f"_key_{name}").alias(name) for name in columns]
    encoded.select(*keys, score(*columns).alias("score")).write.parquet(url(out), compression="zstd")
