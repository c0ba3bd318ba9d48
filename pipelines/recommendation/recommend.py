"""The best items for every user of a night: its logs and a bundle in, K items a user published whole."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.bundle import Bundle
from afm_core.errors import LogsError, SettingsError
from afm_core.inference.top_items import TopItemFinder
from afm_core.settings import Settings
from afm_core.storage.publishing import staged
from pipelines.console import Stages
from pipelines.contracts import best_items, conform
from pipelines.encoding.encoder import Encoding, encode
from pipelines.logs.checking import check_logs
from pipelines.logs.columns import column
from pipelines.logs.reading import read_logs
from pipelines.scoring.lock import locked
from pipelines.scoring.night_dates import find_night, night_folder
from pipelines.scoring.run import open_bundle
from pipelines.scoring.worker.task import load_bundle
from pipelines.spark import Batches, url

MANIFEST = "_manifest.json"
_USER = "_key_user"


class BestItemsManifest(BaseModel):
    """What one night of best items holds."""

    model_config = ConfigDict(frozen=True)

    night: date
    model: str
    """Fingerprint of the bundle."""
    users: int
    items: int
    """That were compared for each user."""
    k: int
    rejected: dict[str, int]
    seconds: dict[str, float]


def recommend(spark: SparkSession, settings: Settings, night: date, k: int) -> BestItemsManifest:
    """Find the k best items for each user of a night, in the context of the user's greatest log, and publish them.

    The greatest log is the last one by `split.time`, where that is set, and then by its values. Cost: users x items
    sums of F numbers for AFM and FM, a run of the model each for other models; memory for 64 users x items a task.

    Raises:
        LogsError: no such night, or logs that cannot be used.
        BundleError: no whole bundle, or one of other fields.
        SettingsError: fields that depend on the item, so that exchanging it is not enough; or no items.
        BusyError: another run writes there.
    """
    user, item = user_and_item(settings)
    folder, target = find_night(settings.nightly.logs, night), settings.recommendations_path
    stages = Stages(spark)
    with locked(target):
        bundle = open_bundle(settings)
        items = item_ids(settings, bundle, item)
        with staged(night_folder(target, night)) as stage:
            with stages("read and check the logs") as say:
                checked = check_logs(read_logs(spark, settings, folder), settings, folder)
                queries = _queries(checked.accepted, settings, bundle, user).persist()
                users = queries.count()
                say(f"{checked.rows_in:,} rows, {users:,} users")
            with stages(f"find the best of {len(items):,} items") as say:
                contract = best_items(user, item)
                find = finder(bundle, user, item, items, k)
                found = conform(queries.mapInArrow(find, contract), contract)
                found.write.mode("append").parquet(url(stage), compression="zstd")
                say(f"{users * min(k, len(items)):,} rows")
            manifest = BestItemsManifest(
                night=night,
                model=bundle.fingerprint,
                users=users,
                items=len(items),
                k=k,
                rejected=checked.rejected,
                seconds=stages.seconds,
            )
            (stage / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    spark.catalog.clearCache()
    return manifest


def user_and_item(settings: Settings) -> tuple[str, str]:
    """The field that has seen items, and the one that negatives exchange.

    Raises:
        SettingsError: there is not one of each, or another field is computed from the item.
    """
    replaced, seen_by = settings.negatives.replace, settings.seen_by
    if len(replaced) != 1 or len(seen_by) != 1:
        raise SettingsError(["--candidates needs one field in negatives.replace, the item, and one in never_seen_by"])
    (item,) = replaced
    dependent = [field.name for field in settings.fields if item in (getattr(field, "of", None) or ())]
    several = [field.name for field in settings.fields if field.width > 1 or field.carries_x]
    if dependent or several:
        names = ", ".join(dependent or several)
        why = f"are computed from {item}" if dependent else "have several ids a row, or an x_i"
        raise SettingsError([f"--candidates exchanges the id of {item} alone, but {names} {why}; leave them out"])
    return seen_by[0], item


def item_ids(settings: Settings, bundle: Bundle, item: str) -> NDArray[np.int64]:
    """The ids of `score.items`, one value a line, or of the `score.popular_items` most frequent in training, by count.

    Raises:
        LogsError: the list cannot be read, or the model knows none of it.
    """
    features = pq.read_table(bundle.features_path)
    known = features.filter(pc.equal(features["field"], item)).drop_null()
    ids, values, counts = (known[name].to_numpy() for name in ("id", "value", "count"))
    listed = settings.recommend.items
    if listed:
        try:
            wanted = listed.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LogsError(f"{listed}: cannot be read; write one value of {item} a line") from error
        chosen = np.isin(values.astype(str), wanted)
        if not chosen.any():
            raise LogsError(f"{listed}: the model knows none of its {len(wanted):,} values of {item}")
        ids, counts = ids[chosen], counts[chosen]
    by_count = np.lexsort((ids, -counts))
    found: NDArray[np.int64] = ids[by_count[: settings.recommend.popular_items]].astype(np.int64)
    return found


def _queries(logs: DataFrame, settings: Settings, bundle: Bundle, user: str) -> DataFrame:
    """One encoded row a user, beside the user's own value."""
    order = [settings.split.time] if settings.split.time in logs.columns else []
    names = list(dict.fromkeys([*order, *sorted(name for name in logs.columns if not name.startswith("_"))]))
    greatest = F.max(F.struct(*[column(name) for name in names])).alias("_greatest")
    rows = logs.groupBy(column(user).alias(_USER)).agg(greatest).select(_USER, "_greatest.*")
    encoded = encode(rows, Encoding(bundle.feature_map, bundle.path))
    return encoded.select(_USER, *bundle.feature_map.id_columns)


def finder(bundle: Bundle, user: str, item: str, items: NDArray[np.int64], k: int) -> Callable[[Batches], Batches]:
    """What `mapInArrow` runs: a query a row in, contract `best_items` out."""
    path, fingerprint = str(bundle.path.absolute()), bundle.fingerprint
    columns, slot = bundle.feature_map.id_columns, bundle.feature_map.id_columns.index(item)

    def find(batches: Batches) -> Batches:
        torch.set_num_threads(1)  # a task slot is one core
        loaded = load_bundle(path, fingerprint)
        values = _values(loaded.features_path, items)
        candidates = TopItemFinder(loaded.model, slot, torch.from_numpy(items))
        for batch in batches:
            ids = np.stack([batch.column(name).to_numpy() for name in columns], axis=1)
            places, outputs = candidates.best(torch.from_numpy(ids.astype(np.int64)), k)
            rows, found = places.shape
            yield pa.RecordBatch.from_pydict(
                {
                    user: batch.column(_USER).take(pa.array(np.repeat(np.arange(rows), found))),
                    "rank": pa.array(np.tile(np.arange(1, found + 1, dtype=np.int32), rows)),
                    item: values.take(pa.array(places.reshape(-1).numpy())),
                    "score": pa.array(loaded.predictor.of_output(outputs.reshape(-1)).numpy()),
                    "model": pa.array([fingerprint]).take(pa.array(np.zeros(rows * found, dtype=np.int32))),
                }
            )

    return find


def _values(features: Path, items: NDArray[np.int64]) -> pa.Array:
    table = pq.read_table(features, columns=["id", "value"]).sort_by("id")
    return table["value"].combine_chunks().take(pa.array(items))
