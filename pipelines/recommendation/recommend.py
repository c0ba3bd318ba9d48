"""The best items for every user of a night: its logs and a bundle in, K items per user published as a whole."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.bundle import Bundle
from afm_core.settings import Settings
from afm_core.storage.provenance import Provenance
from pipelines.contract_checks import check_frame
from pipelines.contracts import best_items
from pipelines.encoding.encoder import Encoding, encode
from pipelines.logs.checking import check_logs
from pipelines.logs.columns import column
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import read_logs
from pipelines.recommendation.items import candidate_items, items_digest, user_and_item
from pipelines.recommendation.worker_task import USER_KEY, top_items_task, user_contexts
from pipelines.scoring.monitoring.ledger import NightFigures
from pipelines.scoring.night_task import Night
from pipelines.scoring.published.opening import night_store
from pipelines.scoring.published.publish import publish_night, read_published
from pipelines.scoring.published.store import NightStage, NightStore
from pipelines.scoring.usually_missing import usually_missing
from pipelines.scoring.worker.writer import write_parts
from pipelines.spark_on_demand import SparkOnDemand
from pipelines.spark_stages import Stages


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
    """Maximum number of items per user."""
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
    """Maximum number of items per user."""
    spark: SparkOnDemand
    """Reads the list of items where it is a URL."""

    @cached_property
    def store(self) -> NightStore:
        """Where recommendations are published."""
        return night_store(self.settings, self.settings.recommendations_path)

    @property
    def options(self) -> dict[str, Any]:
        """What decides the recommendations besides the settings of scoring."""
        user, item = user_and_item(self.settings)
        return {
            "k": self.k,
            "user": user,
            "item": item,
            "items": items_digest(self.settings, self.spark),
            "popular_items": self.settings.recommend.popular_items,
            "time": self.settings.split.time_source,
        }

    def check_bundle(self, bundle: Bundle) -> None:
        """Raise SettingsError or LogsError where there is no user, no item, or nothing to choose from."""
        _, item = user_and_item(self.settings)
        candidate_items(self.settings, self.spark, bundle, item)

    def published(self, night: date) -> RecommendationManifest | None:
        """The manifest of a published night; None where there is none, or one of an incompatible version."""
        return read_published(self.store, night, RecommendationManifest)

    def process(self, spark: SparkSession, night: Night) -> RecommendationManifest:
        """Find the k best items for each user of a night, in the context of the user's latest event, and publish them.

        The latest event is the greatest by `split.time`, where that is set, and then by its values. Cost: users x items
        sums of F numbers for AFM and FM, one run of the model each for other models; memory for 64 users x items per
        task. A night without rows is published empty.

        Raises:
            LogsError: the logs cannot be used.
        """
        stages, (user, item) = Stages(spark), user_and_item(self.settings)
        return publish_night(
            self.settings,
            self.store,
            night.date,
            night.inputs,
            best_items(user, item),
            write=lambda stage: self._write(spark, night, user, item, stages, stage),
            describe_empty=(lambda: self._manifest(night, stages)) if night.may_be_empty else None,
        )

    def _write(
        self, spark: SparkSession, night: Night, user: str, item: str, stages: Stages, stage: NightStage
    ) -> RecommendationManifest:
        columns = LogColumns.of(self.settings, labelled=False)
        items = candidate_items(self.settings, self.spark, night.bundle, item)
        with stages("read and check the logs") as report:
            raw = read_logs(spark, self.settings.logs, columns, night.logs)
            checked = check_logs(raw, self.settings, columns, night.logs, usually_missing(night.bundle))
            contexts = _latest_contexts(checked.accepted, self.settings, night.bundle, user).persist()
            users = contexts.count()
            report(f"{checked.rows_in:,} rows, {users:,} users")
        with stages(f"find the best of {len(items):,} items") as report:
            contract = best_items(user, item)
            task = top_items_task(night.bundle, user, item, items, self.k)
            rows = write_parts(contexts, task, contract, stage).rows
            assert rows == users * min(self.k, len(items)), f"{rows} rows written for {users} users"
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


def _latest_contexts(events: DataFrame, settings: Settings, bundle: Bundle, user: str) -> DataFrame:
    """Contract `user_contexts`: the latest event of each user, encoded."""
    order = [settings.split.time_source] if settings.split.time_source in events.columns else []
    names = list(dict.fromkeys([*order, *sorted(events.columns)]))
    latest = F.max(F.struct(*[column(name) for name in names])).alias("_latest")
    rows = events.groupBy(column(user).alias(USER_KEY)).agg(latest).select(USER_KEY, "_latest.*")
    return check_frame(encode(rows, Encoding(bundle.feature_map, bundle.location), [USER_KEY]), user_contexts(bundle))
