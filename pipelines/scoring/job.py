"""Scoring one night from end to end: logs and a bundle in, published scores out."""

from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from afm_core.bundle import Bundle, read_bundle
from afm_core.errors import BundleError
from afm_core.publish import staged
from afm_core.settings import Settings, write_settings
from pipelines.console import Stages
from pipelines.contracts import SCORE, conform, scores
from pipelines.encoding.encoder import Encoding, encode
from pipelines.logs.checking import check_logs
from pipelines.logs.columns import column
from pipelines.logs.reading import read_logs, wanted_columns
from pipelines.scoring.nights import find_night, night_folder
from pipelines.scoring.udf import scorer
from pipelines.spark import literal, url

MANIFEST, REJECTS, SETTINGS = "_manifest.json", "_rejects", "_settings.yaml"  # Spark reads past names that begin with _


class NightManifest(BaseModel):
    """What one night of scores holds: rows in = scored + rejected."""

    model_config = ConfigDict(frozen=True)

    night: date
    model: str
    """Fingerprint of the bundle."""
    feature_map: str
    rows_in: int
    rejected: dict[str, int]
    scored: int
    mean_score: float
    unknown: dict[str, float]
    """Share of the scored rows whose value is missing or was never seen, by field."""
    seconds: dict[str, float]


def score_night(spark: SparkSession, settings: Settings, night: date) -> NightManifest:
    """Score the logs of a night and replace whatever was published for it.

    Raises:
        LogsError: no such night, or logs that cannot be used.
        BundleError: no whole bundle, or one of other fields than the settings'.
    """
    folder = find_night(settings.score.logs, night)
    bundle = open_bundle(settings)
    keys = list(settings.logs.keys or wanted_columns(settings, labelled=False))
    stages = Stages(spark)
    with staged(night_folder(settings.score.path, night)) as stage:
        with stages("read and check the logs") as say:
            checked = check_logs(read_logs(spark, settings, folder), settings, folder)
            checked.rejects.write.parquet(url(stage / REJECTS), compression="zstd")
            say(f"{checked.rows_in:,} rows, {checked.rows_in - checked.rows_accepted:,} rejected")
        with stages("encode and score") as say:
            encoded = _encode_beside_keys(checked.accepted, bundle, keys).persist()
            score = scorer(bundle, keys, [_kept(name) for name in keys])
            scored = conform(encoded.mapInArrow(score, scores(keys)), scores(keys))
            scored.write.mode("append").parquet(url(stage), compression="zstd")
            say(f"{checked.rows_accepted:,} rows")
        with stages("check the night"):
            rows, mean = _read_back(spark, stage)
            assert rows == checked.rows_accepted, f"{rows} rows scored, {checked.rows_accepted} accepted"
            unknown = _unknown_shares(encoded, bundle, rows)
        manifest = NightManifest(
            night=night,
            model=bundle.fingerprint,
            feature_map=bundle.feature_map.fingerprint,
            rows_in=checked.rows_in,
            rejected=checked.rejected,
            scored=rows,
            mean_score=mean,
            unknown=unknown,
            seconds=stages.seconds,
        )
        (stage / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        write_settings(settings, stage / SETTINGS)
    spark.catalog.clearCache()
    return manifest


def open_bundle(settings: Settings) -> Bundle:
    """The run's bundle, its fields compared with the settings'.

    Raises:
        BundleError: no whole bundle there, or one of other fields.
    """
    bundle = read_bundle(settings.run.bundle)
    if bundle.feature_map.names != settings.field_names:
        raise BundleError(
            f"{settings.run.bundle}: its feature map has the fields {', '.join(bundle.feature_map.names)}, "
            f"the settings say {', '.join(settings.field_names)}; name the bundle's own settings with --config"
        )
    return bundle


def _kept(name: str) -> str:
    """Where the text of a key column stands while its field, of the same name, holds ids."""
    return f"_key_{name}"


def _encode_beside_keys(logs: DataFrame, bundle: Bundle, keys: list[str]) -> DataFrame:
    kept = logs.select("*", *[column(name).alias(_kept(name)) for name in keys])
    encoded = encode(kept, Encoding(bundle.feature_map, bundle.features_path, bundle.counts_path))
    columns = (*bundle.feature_map.id_columns, *bundle.feature_map.x_columns)
    return encoded.select(*[column(_kept(name)) for name in keys], *columns)


def _read_back(spark: SparkSession, stage: Path) -> tuple[int, float]:
    """Rows and mean score of what was written, from the files themselves."""
    found = spark.read.parquet(literal(stage)).agg(F.count(F.lit(1)), F.avg(SCORE)).first()
    assert found is not None
    return found[0], float(found[1] or 0.0)


def _unknown_shares(encoded: DataFrame, bundle: Bundle, rows: int) -> dict[str, float]:
    fields = bundle.feature_map.fields
    counts = encoded.agg(*[F.count_if(F.col(field.id_columns[0]) == field.unknown_id) for field in fields]).first()
    assert counts is not None
    return {field.name: round(count / max(1, rows), 6) for field, count in zip(fields, counts, strict=True)}
