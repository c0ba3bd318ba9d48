"""What jobs must know of spark-submit, and of the YARN container in which the driver runs in cluster mode."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from afm_core.errors import SettingsError
from afm_core.settings import Settings
from afm_core.storage.locations import Location
from afm_core.storage.paths import is_local

_CONTAINER = re.compile(r"container_(?:e\d+_)?(?P<cluster>\d+)_(?P<number>\d+)_\d+_\d+")


def started_by_spark_submit() -> bool:
    """Whether spark-submit has started this process, and with it the JVM."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def yarn_application() -> str | None:
    """The application in one of whose containers this process runs; None on a machine of one's own."""
    container = _CONTAINER.fullmatch(os.environ.get("CONTAINER_ID", ""))  # which YARN sets in every container
    return f"application_{container['cluster']}_{container['number']}" if container else None


def place_of_spark_log(log: Path) -> str:
    """Where a user finds Spark's own messages; `log` is the file that they go to without spark-submit."""
    if not started_by_spark_submit():
        return str(log)
    application = yarn_application()
    return f"yarn logs -applicationId {application}" if application else "printed by spark-submit"


def require_lasting_paths(settings: Settings, *others: tuple[str, Location]) -> None:
    """Refuse relative paths in a YARN container: its working folder is new, on one node, and deleted at its end.

    Args:
        others: further paths of a job, with the options that name them.

    Raises:
        SettingsError: there are some; one line each.
    """
    if yarn_application() is None:
        return
    problems = [
        f"{key}: {path} is relative to the working folder of a YARN container, which is deleted when the job ends; "
        "name an absolute path that all nodes see, or a URL"
        for key, path in (*_paths(settings), *others)
        if is_local(path) and not Path(str(path)).is_absolute()
    ]
    if problems:
        raise SettingsError(problems)


def _paths(settings: Settings) -> Iterator[tuple[str, Location]]:
    """Logs and outputs. Not `recommend.items`, which only the driver reads: `--files` may bring it."""
    for key, table in (("logs.path", settings.logs), *(("logs.join", join) for join in settings.logs.join)):
        if table.format != "table":
            yield from ((key, path) for path in table.paths)
    yield "dataset.path", settings.dataset.path
    yield "run.path", settings.run.path
    if settings.score:
        yield "score.logs", settings.score.logs
        yield "score.path", settings.score.path
        if settings.score.bundle:
            yield "score.bundle", settings.score.bundle
    if settings.recommend.path:
        yield "recommend.path", settings.recommend.path
