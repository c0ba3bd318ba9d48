"""The best items for every user of a night: its logs and a bundle in, K items per user published as a whole."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from afm_core.bundle import Bundle
from afm_core.errors import EmptyLogsError
from afm_core.features.feature_table import values_by_id
from afm_core.inference.top_items import TopItemFinder
from afm_core.settings import Settings, write_settings
from afm_core.storage.provenance import Provenance
from afm_core.storage.publishing import staged
from pipelines import phases
from pipelines.contracts import Contract, best_items, check_batch, check_frame, encoded
from pipelines.encoding.encoder import Encoding, encode
from pipelines.logs.checking import check_logs
from pipelines.logs.columns import column
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.recommendation.items import candidate_items, items_digest, user_and_item
from pipelines.scoring.monitoring.ledger import NightFigures
from pipelines.scoring.night_dates import night_folder
from pipelines.scoring.night_task import Night
from pipelines.scoring.worker.task import load_bundle
from pipelines.scoring.worker.writer import write_empty
from pipelines.spark import Batches, url
from pipelines.spark_stages import Stages

MANIFEST_FILE, SETTINGS_FILE = "_manifest.json", "_settings.yaml"
_USER = "_key_user"


class RecommendationManifest(BaseModel):
    """Content of one night of recommendations."""

    model_config = ConfigDict(frozen=True)

    night: date
    model: str
    """Fingerprint of the bundle."""
    rows_in: int = 0
    rejected: dict[str, int] = {}
    """Number of rejected rows by reason."""
    users: int = 0
    items: int = 0
    """Number of items that were compared for each user."""
    k: int
    rows: int = 0
    """Number of rows written."""
    made_from: Provenance
    """Digests of the logs, the settings with the list of items, the software and the model."""
    seconds: dict[str, float]
    """Seconds of each stage."""

    @property
    def figures(self) -> NightFigures:
        """What the ledger records."""
        return NightFigures(self.rows_in, sum(self.rejected.values()), self.rows)


@dataclass(frozen=True)
class Recommending:
    """Finds the best items for the users of nights; a `pipelines.scoring.night_task.NightTask`."""

    settings: Settings
    k: int
    """Number of items per user."""

    @property
    def output(self) -> Path:
        """Folder of the recommendations."""
        return self.settings.recommendations_path

    @property
    def options(self) -> dict[str, Any]:
        """What decides the recommendations besides the settings of scoring."""
        return {
            "k": self.k,
            "items": items_digest(self.settings),
            "popular_items": self.settings.recommend.popular_items,
            "time": self.settings.split.time,
        }

    def check_bundle(self, bundle: Bundle) -> None:
        """Raise SettingsError or LogsError where there is no user, no item, or nothing to choose from."""
        _, item = user_and_item(self.settings)
        candidate_items(self.settings, bundle, item)

    def published(self, night: date) -> RecommendationManifest | None:
        """The manifest of a published night; None where there is none, or one of an incompatible version."""
        try:
            text = (night_folder(self.output, night) / MANIFEST_FILE).read_text(encoding="utf-8")
            return RecommendationManifest.model_validate_json(text)
        except (OSError, ValidationError):
            return None

    def process(self, spark: SparkSession, night: Night) -> RecommendationManifest:
        """Find the k best items for each user of a night, in the context of the user's latest event, and publish them.

        The latest event is the greatest by `split.time`, where that is set, and then by its values. Cost: users x items
        sums of F numbers for AFM and FM, one run of the model each for other models; memory for 64 users x items per
        task. A night without rows is published empty.

        Raises:
            LogsError: the logs cannot be used.
        """
        stages, (user, item) = Stages(spark), user_and_item(self.settings)
        try:
            with staged(night_folder(self.output, night.date)) as stage:
                try:
                    manifest = self._write(spark, night, user, item, stages, stage)
                except EmptyLogsError:
                    write_empty(best_items(user, item), stage)
                    manifest = self._manifest(night, stages)
                (stage / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
                write_settings(self.settings, stage / SETTINGS_FILE)
                phases.reached(phases.ABOUT_TO_PUBLISH, stage)
        finally:
            spark.catalog.clearCache()
        phases.reached(phases.PUBLISHED, self.output)
        return manifest

    def _write(
        self, spark: SparkSession, night: Night, user: str, item: str, stages: Stages, stage: Path
    ) -> RecommendationManifest:
        columns, items = (
            LogColumns.of(self.settings, labelled=False),
            candidate_items(self.settings, night.bundle, item),
        )
        with stages("read and check the logs") as report:
            raw = read_logs(spark, self.settings.logs, columns, night.logs)
            checked = check_logs(raw, self.settings, columns, night.logs)
            queries = _queries(checked.accepted, self.settings, night.bundle, user).persist()
            users = queries.count()
            report(f"{checked.rows_in:,} rows, {users:,} users")
        with stages(f"find the best of {len(items):,} items") as report:
            contract = best_items(user, item)
            find = finder(night.bundle, user, item, items, self.k)
            found = check_frame(queries.mapInArrow(find, contract.schema), contract)
            found.write.mode("append").parquet(url(stage), compression="zstd")
            rows = users * min(self.k, len(items))
            report(f"{rows:,} rows")
        return self._manifest(
            night,
            stages,
            rows_in=checked.rows_in,
            rejected=checked.rejected,
            users=users,
            items=len(items),
            rows=rows,
        )

    def _manifest(self, night: Night, stages: Stages, **content: Any) -> RecommendationManifest:
        return RecommendationManifest(
            night=night.date,
            model=night.bundle.fingerprint,
            k=self.k,
            made_from=night.made_from,
            seconds=stages.seconds,
            **content,
        )


def _query_contract(bundle: Bundle) -> Contract:
    """One encoded row per user and the user's own value."""
    user = StructField(_USER, StringType())
    ids = [field for field in encoded(bundle.feature_map).schema if field.name in bundle.feature_map.id_columns]
    return Contract("queries", StructType([user, *ids]), unique=(_USER,))


def _queries(events: DataFrame, settings: Settings, bundle: Bundle, user: str) -> DataFrame:
    order = [settings.split.time] if settings.split.time in events.columns else []
    names = list(dict.fromkeys([*order, *sorted(name for name in events.columns if not name.startswith("_"))]))
    latest = F.max(F.struct(*[column(name) for name in names])).alias("_latest")
    rows = events.groupBy(column(user).alias(_USER)).agg(latest).select(_USER, "_latest.*")
    return check_frame(encode(rows, Encoding(bundle.feature_map, bundle.path)), _query_contract(bundle))


def finder(bundle: Bundle, user: str, item: str, items: NDArray[np.int64], k: int) -> Callable[[Batches], Batches]:
    """The function that `mapInArrow` runs: one query per row in, contract `best_items` out."""
    path, fingerprint, contract = str(bundle.path.absolute()), bundle.fingerprint, _query_contract(bundle)
    columns, item_column = bundle.feature_map.id_columns, bundle.feature_map.id_columns.index(item)

    def find(batches: Batches) -> Batches:
        torch.set_num_threads(1)  # a task slot is one core
        loaded = load_bundle(path, fingerprint)
        values = values_by_id(loaded.features_path).take(pa.array(items))
        top_items = TopItemFinder(loaded.model, item_column, torch.from_numpy(items))
        for batch in batches:
            queries = check_batch(batch, contract)
            ids = np.stack([queries.column(name).to_numpy() for name in columns], axis=1)
            positions, outputs = top_items.best(torch.from_numpy(ids.astype(np.int64)), k)
            rows, n_best = positions.shape
            yield pa.RecordBatch.from_pydict(
                {
                    user: queries.column(_USER).take(pa.array(np.repeat(np.arange(rows), n_best))),
                    "rank": pa.array(np.tile(np.arange(1, n_best + 1, dtype=np.int32), rows)),
                    item: values.take(pa.array(positions.reshape(-1).numpy())),
                    "score": pa.array(loaded.calibrated_model.to_score(outputs.reshape(-1)).numpy()),
                    "model": pa.array([fingerprint]).take(pa.array(np.zeros(rows * n_best, dtype=np.int32))),
                }
            )

    return find
