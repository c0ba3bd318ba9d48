"""Whether logs are the same as before, without reading them."""

import hashlib
from dataclasses import dataclass
from typing import Self

from afm_core.errors import EmptyLogsError, LogsError, ReplacedLogsError
from afm_core.settings.data import LogsSettings
from afm_core.storage.locations import Location
from afm_core.storage.provenance import text_digest
from pipelines.logs.files.opening import file_tree
from pipelines.logs.files.tree import FileTree
from pipelines.logs.sources import find_all_logs
from pipelines.spark_on_demand import SparkOnDemand


@dataclass(frozen=True)
class ListedLogs:
    """The files of logs, of a night or of a joined table, as they were when a job began."""

    trees: tuple[FileTree, ...]
    logs: LogsSettings
    is_night: bool
    files: dict[str, Location]
    """Paths by a line that also names size and time of change."""

    @classmethod
    def of(cls, logs: LogsSettings, *trees: FileTree, is_night: bool = False) -> Self:
        """List the files; a night may be empty. Cost: one listing; no file is opened.

        Raises:
            LogsError: as `find_all_logs`.
        """
        try:
            found = find_all_logs(trees, logs, is_night=is_night)
        except EmptyLogsError:
            if not is_night:
                raise
            found = []
        files = {file.line: file.path for _, sources in found for file in sources.files}
        return cls(trees, logs, is_night, files)

    @property
    def fingerprint(self) -> str:
        """Digest of the names, sizes and times of change of all files."""
        return hashlib.sha256("".join(self.files).encode()).hexdigest()[:16] if self.files else "empty"

    def require_unchanged(self, *, may_grow: bool) -> None:
        """List the files again, and compare. Cost: one listing.

        Args:
            may_grow: whether files that were not there are left to a later run.

        Raises:
            ReplacedLogsError: a file was written, replaced or removed since.
            LogsError: as `find_all_logs`.
        """
        now = self._files_now()
        changed = self.files.keys() - now.keys() if may_grow else self.files.keys() ^ now.keys()
        if changed:
            example = (self.files | now)[min(changed)]
            raise ReplacedLogsError(
                f"{example}: was written or removed while the job read it; nothing was published; run the job again "
                "when its writer is done"
            )

    def _files_now(self) -> dict[str, Location]:
        try:
            return ListedLogs.of(self.logs, *self.trees, is_night=self.is_night).files
        except LogsError:
            left = tuple(tree for tree in self.trees if tree.matches())
            if left == self.trees:
                raise
            return ListedLogs.of(self.logs, *left, is_night=self.is_night).files if left else {}


@dataclass(frozen=True)
class Inputs:
    """The logs that a job reads, and the tables that are joined to them, as they were when it began.

    They are read more than once: first the headers of files and then their rows, joined tables for events and again for
    candidates of negatives. What is written in between would be mixed without an error.
    """

    logs: ListedLogs | None
    """None for a table of the catalogue, which has no files to compare."""
    joined: tuple[ListedLogs | None, ...]

    @classmethod
    def of(cls, logs: LogsSettings, spark: SparkOnDemand, night: ListedLogs | None = None) -> Self:
        """List the files.

        Args:
            night: what is read instead of `logs.path`.

        Raises:
            LogsError: as `find_all_logs`.
        """
        joined = tuple(_unless_table(join.table, spark) for join in logs.join)
        return cls(night or _unless_table(logs, spark), joined)

    @property
    def fingerprint(self) -> str | None:
        """Digest of the files of all of them; None if one is a table."""
        digests = [each.fingerprint for each in (self.logs, *self.joined) if each is not None]
        if len(digests) <= len(self.joined):
            return None
        return text_digest(*digests) if self.joined else digests[0]

    def require_unchanged(self) -> None:
        """Raise ReplacedLogsError where a file that was read has changed, or a joined table has got another one.

        Files that arrive beside those of the logs are no error: each job lists its logs once.
        """
        for each in (self.logs, *self.joined):
            if each is not None:
                each.require_unchanged(may_grow=each is self.logs)


def _unless_table(logs: LogsSettings, spark: SparkOnDemand) -> ListedLogs | None:
    return None if logs.format == "table" else ListedLogs.of(logs, *(file_tree(path, spark) for path in logs.paths))
