"""The Hadoop configuration that the driver lists files with."""

from typing import Any

from pyspark.sql import SparkSession

# S3A alone asks a dead port for 146 s. These hold for listings only: what reads rows waits as the user's settings say.
_IMPATIENT = {"fs.s3a.attempts.maximum": "2", "fs.s3a.retry.limit": "2", "fs.s3a.retry.interval": "500ms"}
_DEFAULTS = ["core-default.xml"]


def impatient_configuration(spark: SparkSession) -> Any:
    """The session's Hadoop configuration, with fewer tries where the user has not said how many."""
    configuration = spark._jsparkSession.sessionState().newHadoopConf()
    for key, value in _IMPATIENT.items():
        sources = configuration.getPropertySources(key)
        if sources is None or list(sources) == _DEFAULTS:
            configuration.set(key, value)
    return configuration
