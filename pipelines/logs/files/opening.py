"""Which storage a path lies in."""

from afm_core.storage.locations import Location
from afm_core.storage.urls import Url
from pipelines.logs.files.hadoop import HadoopTree
from pipelines.logs.files.local import LocalTree
from pipelines.logs.files.tree import FileTree
from pipelines.spark_on_demand import SparkOnDemand


def file_tree(path: Location, spark: SparkOnDemand) -> FileTree:
    """The files at a path. Opens nothing yet; Spark is needed, and then started, only for a URL."""
    return HadoopTree(path, spark) if isinstance(path, Url) else LocalTree(path)
