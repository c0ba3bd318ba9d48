"""Nights of logs for tests, and somebody who reads what is published."""

import hashlib
import threading
import time
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.scoring.night import NightManifest
from pipelines.scoring.published.parquet_nights import MANIFEST_FILE, ParquetNights
from pipelines.scoring.published.publish import read_published
from tests.support.config import NIGHT
from tests.support.small import Small


def write_large_night(small: Small, folder: Path, copies: int, files: int = 12) -> None:
    """The last night of the small data set many times over, each event with an id of its own that does not compress."""
    header, *lines = (small.settings.nightly.logs / f"dt={NIGHT}" / "part-00000.csv").read_text().splitlines()
    whole = [line.partition(",") for line in lines if line.count(",") == header.count(",")]
    folder.mkdir(parents=True)
    for file in range(files):
        rows = [
            f"{hashlib.sha1(f'{event} {file} {copy}'.encode()).hexdigest()},{rest}"
            for copy in range(copies)
            for event, _, rest in whole
        ]
        (folder / f"part-{file:02}.csv").write_text("\n".join([header, *rows]) + "\n")


def read_manifest(scores: Path, night: date) -> NightManifest | None:
    """The manifest of a night that is published as Parquet."""
    return read_published(ParquetNights(scores), night, NightManifest)


def published_scores(scores: Path) -> dict[str, list]:
    """Keys and scores of every published night."""
    columns = ["event_id", "score"]
    nights = sorted(scores.glob("dt=*"))
    return {night.name: pq.read_table(night, columns=columns).sort_by("event_id").to_pylist() for night in nights}


def sorted_scores(night: Path) -> pa.Table:
    """The rows of a published night, or of one of its versions."""
    parts = [pq.read_table(file, partitioning=None) for file in sorted(night.resolve().glob("*.parquet"))]
    return pa.concat_tables(parts).sort_by("event_id").combine_chunks()


class Reader(threading.Thread):
    """Reads what is published, all the time, and counts partial nights."""

    def __init__(self, scores: Path) -> None:
        super().__init__(daemon=True)
        self.scores, self.done, self.partial, self.reads = scores, threading.Event(), list[str](), 0

    def run(self) -> None:
        while not self.done.is_set():
            for night in [link.resolve() for link in sorted(self.scores.glob("dt=*"))]:
                expected = NightManifest.model_validate_json((night / MANIFEST_FILE).read_text()).scored
                rows = sum(pq.read_metadata(file).num_rows for file in night.glob("*.parquet"))
                self.reads += 1
                if rows != expected:
                    self.partial.append(f"{night.name}: {rows} of {expected}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Raise AssertionError if a partial night was seen, or nothing."""
        self.done.set()
        self.join()
        assert self.reads > 20
        assert not self.partial
