"""Whether the files of a dataset are what its manifest says."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from afm_core.errors import DatasetError
from afm_core.storage.paths import open_for_reading


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


def incomplete(file: Path) -> DatasetError:
    """The error for a file that cannot be read."""
    return DatasetError(f"{file}: not a complete Parquet file; prepare the dataset again")
