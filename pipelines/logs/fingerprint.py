"""Whether logs are the same as before, without reading them."""

import hashlib

from afm_core.settings.data import LogsSettings
from pipelines.logs.files.tree import FileTree
from pipelines.logs.sources import find_logs


def logs_fingerprint(tree: FileTree, logs: LogsSettings, *, is_night: bool = False) -> str | None:
    """Digest of the names, sizes and times of change of all files of the logs, or of a night; None for a table.

    Cost: one listing; no file is opened.

    Raises:
        LogsError: as `find_logs`.
    """
    if logs.format == "table" and not is_night:
        return None
    lines = "".join(file.line for file in find_logs(tree, logs, is_night=is_night).files)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]
