"""Whether the files of a dataset are what its manifest says."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from afm_core.errors import DatasetError
from afm_core.storage.checksum import file_sha256
from afm_core.storage.paths import is_local, open_for_reading


def check_footer(file: Path, rows: int) -> None:
    """Check that a file is one row group of `rows` rows. Cost: one read of its footer.

    Raises:
        DatasetError: it is missing, unreadable, or has other rows.
    """
    try:
        with open_for_reading(file) as source:
            footer = pq.read_metadata(source)
    except (OSError, pa.ArrowInvalid) as error:
        raise incomplete(file) from error
    if (footer.num_row_groups, footer.num_rows) != (1, rows):
        raise DatasetError(
            f"{file}: {footer.num_rows} rows in {footer.num_row_groups} row groups, the manifest says {rows} in one; "
            "prepare the dataset again"
        )


def check_content(file: Path, checksum: str | None) -> None:
    """Check that a local file's content is what the preparation wrote. Cost: one read of the file.

    Nothing is checked without a checksum. Object stores and HDFS keep checksums of their own, which they compare
    whenever they read.

    Raises:
        DatasetError: it is missing, unreadable, or has changed.
    """
    if checksum is None or not is_local(file):
        return
    try:
        changed = file_sha256(file) != checksum
    except OSError as error:
        raise incomplete(file) from error
    if changed:
        raise DatasetError(f"{file}: changed since the dataset was prepared; prepare the dataset again")


def incomplete(file: Path) -> DatasetError:
    """The error for a file that cannot be read."""
    return DatasetError(f"{file}: not a complete Parquet file; prepare the dataset again")
