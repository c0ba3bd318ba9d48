"""Seconds of a night by where it is published: folders of Parquet, a Delta table on the disk, and one in a bucket.

`python -m tests.benchmarks.night_stores --rows 1000000 --repeats 3`: a night of ten fields, AFM with k = t = 64,
local[2], logs on the disk; the bucket is that of a SeaweedFS server on loopback, which shares the two cores. The
places take turns, so that a slow minute of the machine does not count for one of them alone; medians are compared.
Needs ../shared (cluster/s3, jars/s3a) and the program weed. Writes night_stores.json and .md below --out.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.report import Table, write_report
from tests.benchmarks.scoring import FIELDS, NIGHT, TRAINING, night_of, settings_for, timed
from tests.benchmarks.wide_logs import write_wide_logs
from tests.support.files import ROOT
from tests.support.publishable_stores import connected_to
from tests.support.remote_stores import let_spark_find_connectors, s3_store

SIZE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    let_spark_find_connectors()
    with tempfile.TemporaryDirectory() as made_folder, s3_store(Path(made_folder) / "s3") as store:
        folder = Path(made_folder)
        os.environ |= connected_to(store)
        write_wide_logs(folder / "logs", TRAINING, 1, FIELDS)
        first = settings_for(folder, 0, SIZE)
        for job in ("prepare", "train"):
            timed(ROOT / "jobs" / f"{job}.py", "--config", first)
        config = night_of(folder, arguments.rows, SIZE)
        places = {
            "folders of Parquet, on the disk": (f"score.path={folder / 'scores'}",),
            "Delta table, on the disk": (f"score.path={folder / 'delta'}", "score.format=delta"),
            "Delta table, in a bucket": (f"score.path={store.root}/scores",),
        }
        seconds: dict[str, list[float]] = {place: [] for place in places}
        for _ in range(arguments.repeats):
            for place, settings in places.items():
                options = [option for setting in settings for option in ("--set", setting)]
                job = (ROOT / "jobs" / "score.py", "--config", config, "--date", NIGHT, *options)
                seconds[place].append(timed(*job))
    local = statistics.median(next(iter(seconds.values())))
    rows = [
        [place, *[f"{run:.1f}" for run in runs], f"{statistics.median(runs) / local:.2f}"]
        for place, runs in seconds.items()
    ]
    header = ["published to", *[f"run {at + 1}, s" for at in range(arguments.repeats)], "x the disk (medians)"]
    title = f"A night of {arguments.rows:,} rows by where it is published: AFM, k = t = {SIZE}, local[2]"
    write_report(arguments.out, "night_stores", "Where a night is published", [Table(title, header, rows)])


if __name__ == "__main__":
    main()
