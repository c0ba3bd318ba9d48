"""Reading a split once, in the order of its files, with pyarrow alone.

Evaluation uses it, because it runs where no training can. Training streams its rows through Petastorm instead, see
`pipelines.feeding.feed`; without a seed and on one rank both give the same batches.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from afm_core.errors import DatasetError
from afm_core.storage.paths import open_for_reading
from pipelines.dataset import Dataset
from pipelines.dataset_integrity import check_content, check_footer, incomplete
from pipelines.feeding.batch import Batch
from pipelines.feeding.rows import RowLayout, Rows, cut


def read_split(dataset: Dataset, split: str, batch_rows: int, with_row_keys: bool = False) -> Iterator[Batch]:
    """Every row of a split, in the order in which it is stored. Memory: the rows of one file.

    Every file's footer is checked against the manifest before the first batch, and its checksum when it is read.

    Args:
        batch_rows: rows of a batch; the last one may have fewer.
        with_row_keys: whether the batches have `row_key`.

    Raises:
        DatasetError: the split has no rows, or a file is missing, unreadable, changed, or not one row group with the
            number of rows in the manifest.
    """
    manifest, files = dataset.manifest, dataset.files(split)
    rows = manifest.splits[split].rows
    if rows == 0:
        raise DatasetError(f"{dataset.path}: its {split} split has no rows; prepare it with more logs or another split")
    for number, file in enumerate(files):
        check_footer(file, min(manifest.rows_per_file, rows - number * manifest.rows_per_file))
    layout = RowLayout(dataset, with_row_keys)
    read = (_read(file, checksum, layout) for file, checksum in zip(files, dataset.checksums(split), strict=True))
    return map(layout.batch, cut(read, batch_rows))


def _read(file: Path, checksum: str | None, layout: RowLayout) -> Rows:
    check_content(file, checksum)
    try:
        with open_for_reading(file) as source:
            table = pq.ParquetFile(source).read(layout.columns)
    except (OSError, pa.ArrowException) as error:
        raise incomplete(file) from error
    return layout.rows({name: table[name].to_numpy() for name in layout.columns})
