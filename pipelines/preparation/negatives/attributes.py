"""What joined tables say about the candidates of negatives, encoded as it is for events."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from afm_core.features.field import columns_read
from afm_core.settings import Settings
from pipelines.encoding.encoder import Encoding, encode_values
from pipelines.logs.columns import CORRUPT, FILE, OURS, cleaned, column
from pipelines.logs.log_columns import LogColumns
from pipelines.logs.reading import with_added_columns

_ID = f"{OURS}id"


def attributes_of_candidates(
    features: DataFrame, settings: Settings, columns: LogColumns, encoding: Encoding
) -> dict[str, DataFrame]:
    """For each replaced field about which a join says something, its ids and the encoded columns that belong to them.

    The values of an id are joined and encoded like a row of the logs in which all other columns are missing.

    Args:
        features: contract `FEATURE_TABLE`.
    """
    return {
        name: encoded
        for name in settings.negatives.replace
        if (encoded := _attributes(name, features, settings, columns, encoding)) is not None
    }


def _attributes(
    name: str, features: DataFrame, settings: Settings, columns: LogColumns, encoding: Encoding
) -> DataFrame | None:
    (source,) = settings.field(name).sources
    added = {each for join, names in columns.joins if join.on == source for each in names}
    fields = [ids for ids in encoding.feature_map.fields if added & set(columns_read(ids.declared))]
    if not fields:
        return None
    values = features.where((F.col("field") == name) & F.col("value").isNotNull())
    missing = [other for other in (*columns.in_files, CORRUPT, FILE) if other != source]
    rows = values.select(
        F.col("id").alias(_ID),
        F.col("value").alias(source),
        *[F.lit(None).cast("string").alias(one) for one in missing],
    )
    texts = with_added_columns(rows, columns)
    texts = texts.select(_ID, *[cleaned(column(each), columns.missing).alias(each) for each in columns.names])
    encoded = encode_values(texts, encoding, [_ID])
    own = [each for ids in fields for each in (*ids.id_columns, *([ids.x_column] if ids.x_column else []))]
    return encoded.select(column(_ID).alias(name), *map(column, own))
