"""Local files with a colon in their names, such as those that are named after a time.

For each local file that it opens, Hadoop looks for checksums in a hidden file beside it, and it cannot form the path of
that one from a name with a colon. Its raw file system looks for none.
"""

from collections.abc import Sequence

from afm_core.errors import LogsError
from pipelines.logs.files.tree import LogFile

_OF_PATTERNS = "*?[]{}\\"
_RAW = {"fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem", "fs.file.impl.disable.cache": "true"}


def options_for(files: Sequence[LogFile]) -> dict[str, str]:
    """Options with which Spark reads these files. Where no name has a colon there are none, and checksums count.

    Raises:
        LogsError: the path of such a file also has characters of patterns, with which Hadoop would expand it.
    """
    with_colons = [file.path for file in files if ":" in file.path.name]
    for path in with_colons:
        if set(_OF_PATTERNS) & set(str(path)):
            raise LogsError(
                f"{path}: Hadoop cannot read a path with a colon in the file's name and one of {_OF_PATTERNS}; rename "
                "the file"
            )
    return _RAW if with_colons else {}
