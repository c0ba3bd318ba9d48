"""Whether the logs of a night are complete: their writer has finished."""

import re
from itertools import chain

from afm_core.errors import UnfinishedLogsError
from afm_core.settings.score import ScoreSettings
from pipelines.logs.files.tree import FileTree

_UNFINISHED = re.compile(r"_temporary|.*\._COPYING_|.*\.(inprogress|tmp)(\..*)?")
"""Names that writers of Hadoop, Spark, Flink and `hdfs dfs -put` use until they are done."""
_FINISHED = "_SUCCESS"


def require_finished(night: FileTree, score: ScoreSettings) -> bool:
    """Check that nobody is writing the logs of a night any more. Cost: a listing of the night.

    Returns:
        whether a night without rows is one without events, rather than one that is not written yet.

    Raises:
        UnfinishedLogsError: it is being written, or lacks `score.wait_for`.
    """
    names = [file.path.parts[len(match.path.parts) :] for match in night.matches() for file in match.files]
    of_files = filter(_UNFINISHED.fullmatch, sorted({part for name in names for part in name}))
    # Folders may still be empty; some servers of buckets list those that were removed.
    folders = (name for name in filter(_UNFINISHED.fullmatch, night.folder_names()) if night.child(name).is_folder())
    writing = next(chain(of_files, folders), None)
    if writing is not None:
        raise UnfinishedLogsError(f"{night.path}: {writing} is there: the logs are still being written; score it later")
    if score.wait_for is not None and (score.wait_for,) not in names:
        raise UnfinishedLogsError(f"{night.path}: no {score.wait_for} yet, which score.wait_for names; score it later")
    return score.allow_empty or score.wait_for is not None or (_FINISHED,) in names
