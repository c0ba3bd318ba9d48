"""Faults on a range of five nights. Two bundles take turns, so that every run publishes every night again."""

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa

from pipelines.scoring.monitoring.ledger import LEDGER, read_ledger
from pipelines.scoring.night_dates import nights_between
from tests.faults.campaign.faults import DAMAGE, ENDED, EXECUTOR, OF_ANY_JOB, OF_SPARK_JOBS, SECOND_RUN, Fault, Strike
from tests.faults.campaign.processes import Job, job_command, start
from tests.support.cluster import Cluster
from tests.support.files import staging
from tests.support.nights import read_manifest, sorted_scores, write_large_night
from tests.support.small import Small

NIGHTS = nights_between(date(2026, 3, 1), date(2026, 3, 5))
FAULTS = (*OF_ANY_JOB, *OF_SPARK_JOBS, SECOND_RUN, DAMAGE, EXECUTOR)
_RANGE = ("--from", NIGHTS[0], "--to", NIGHTS[-1])
_COLUMNS = ("event_id", "score", "model")


class Nights:
    """The nights, and the scores that each bundle gives them in an undisturbed run, here and on the cluster.

    The cluster's workers have no compiled kernels, so that their last bits may differ.
    """

    name = "nights"
    faults = FAULTS

    def __init__(self, small: Small, folder: Path, cluster: Cluster) -> None:
        self._folder, self._cluster, self._runs = folder, cluster, 0
        for night in NIGHTS:
            write_large_night(small, folder / "nights" / f"dt={night}", 1, files=2)
        self.root = folder / "scores"
        self.config = small.scoring_config(folder, folder / "nights")
        self._bundles = (small.settings.run.bundle, small.settings.run.warm_start_bundle)
        self._expected: dict[str, list[dict[date, pa.Table]]] = {}
        self.seconds = 0.0
        for _ in self._bundles:
            with self._submitting() as job:
                assert job.process.wait() == 0, job.printed
            self._expect()
        for _ in self._bundles:
            started = time.monotonic()
            job = start(self._command(), folder / "log")
            assert job.wait() == 0, job.printed
            self.seconds = time.monotonic() - started
            self._expect()
        assert [len(places) for places in self._expected.values()] == [2] * len(self._bundles)

    def _expect(self) -> None:
        """Of every later run of this bundle what the last one has published."""
        manifest = read_manifest(self.root, NIGHTS[0])
        assert manifest
        self._expected.setdefault(manifest.model, []).append({night: self._scores(night) for night in NIGHTS})
        self._runs += 1

    def run(self, fault: Fault, chance: random.Random, library: Path) -> Iterator[str]:
        """Run with a fault, then once more without. Yields what is wrong."""
        if fault is EXECUTOR:
            yield from self._on_the_cluster(chance)
        else:
            yield from self._here(fault, chance, library)
        yield from self._wrong_nights("after the fault", set(self._expected))
        again = start(self._command(), self._folder / "log")
        code = again.wait()
        if code not in ENDED or "Traceback" in again.printed:
            yield f"the rerun ended with {code}: {again.printed[-2000:]}"
        yield from self._wrong_nights("after the rerun", {list(self._expected)[self._runs % len(self._bundles)]})
        if left := staging(self.root):
            yield f"the rerun left {left}"
        unreadable = [path for path in (self.root / LEDGER).glob("*.parquet") if not path.stat().st_size]
        if unreadable or not read_ledger(self.root):
            yield f"the ledger holds {unreadable}"
        self._runs += 1

    def _here(self, fault: Fault, chance: random.Random, library: Path) -> Iterator[str]:
        if fault is DAMAGE:
            _damage(chance, self.root)
        jobs = [start(self._command(), self._folder / "log", fault.environment(chance, self.root, library))]
        if fault is SECOND_RUN:
            time.sleep(chance.uniform(0.0, self.seconds))
            jobs.append(start(self._command(), self._folder / "log-2"))
        fault.strike(Strike(jobs[0], self.seconds, chance))
        codes = [job.wait() for job in jobs]
        printed = "".join(job.printed for job in jobs)
        if not set(codes) <= fault.codes | ENDED or "Traceback" in printed:
            yield f"ended with {codes}: {printed[-2000:]}"

    def _on_the_cluster(self, chance: random.Random) -> Iterator[str]:
        with self._submitting() as job:
            job.until(lambda: len(self._cluster.executors()) == 2)
            time.sleep(chance.uniform(0.0, self.seconds))
            executors = self._cluster.executors()
            if executors:
                chance.choice(executors).kill()
            code, printed = job.process.wait(), job.printed
        if code not in ENDED or "Traceback" in printed:
            yield f"ended with {code}: {printed[-2000:]}"

    @contextmanager
    def _submitting(self) -> Iterator[Job]:
        """A run of the nights on the cluster."""
        arguments = [*map(str, _RANGE), *self._bundle_option()]
        with self._cluster.submitting("score", self.config, *arguments) as driver:
            yield Job(driver, self.config.parent / "driver" / "log")

    def _command(self) -> list[str]:
        return job_command("score", "--config", self.config, *_RANGE, *self._bundle_option())

    def _bundle_option(self) -> list[str]:
        return ["--set", f"score.bundle={self._bundles[self._runs % len(self._bundles)]}"]

    def _scores(self, night: date) -> pa.Table:
        return sorted_scores(self.root / f"dt={night}").select(_COLUMNS)

    def _wrong_nights(self, when: str, models: set[str]) -> Iterator[str]:
        """Nights that are not, as a whole, what the bundle in their manifest scores."""
        for night in NIGHTS:
            manifest = read_manifest(self.root, night)
            if manifest is None:
                yield f"{when}, {night} is not published"
            elif manifest.model not in models:
                yield f"{when}, {night} is of {manifest.model}"
            elif not any(self._scores(night).equals(expected[night]) for expected in self._expected[manifest.model]):
                yield f"{when}, {night} is not what {manifest.model} scores"


def _damage(chance: random.Random, root: Path) -> None:
    """Damage something that lies beside the nights."""
    files = [path for path in (*(root / LEDGER).iterdir(), root / "_lock") if path.is_file()]
    victim = chance.choice(files)
    content = victim.read_bytes()
    damages: dict[str, Callable[[], object]] = {
        "empty": lambda: victim.write_bytes(b""),
        "cut": lambda: victim.write_bytes(content[: len(content) // 2]),
        "noise": lambda: victim.write_bytes(chance.randbytes(1 + len(content))),
        "removed": lambda: victim.unlink(),
        "left over": lambda: shutil.copy(victim, victim.with_name(f".{victim.name}.0123.unfinished")),
    }
    damages[chance.choice(sorted(damages))]()
    os.sync()
