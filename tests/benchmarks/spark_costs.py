"""What a Spark job in another process costs: from its event log, and from watching its processes and files."""

import json
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1 << 20
_WRAPPERS = ("WholeStageCodegen", "mapPartitionsInternal", "AQEShuffleRead")


@dataclass
class StageCosts:
    """One Spark stage, all its tasks together."""

    id: int
    name: str
    """The line of Python, or of Spark, that asked for it."""
    does: str
    """Its operators."""
    tasks: int = 0
    seconds: float = 0.0
    jvm_cpu_seconds: float = 0.0
    """Without Python's; much less than `seconds` where a task waits for Python, the disk or a busy machine."""
    longest_seconds: float = 0.0
    gc_seconds: float = 0.0
    shuffle_bytes: int = 0
    spilled_bytes: int = 0

    def add(self, metrics: dict[str, Any]) -> None:
        """Count a task."""
        seconds = metrics["Executor Run Time"] / 1e3
        self.tasks += 1
        self.seconds += seconds
        self.jvm_cpu_seconds += metrics["Executor CPU Time"] / 1e9
        self.longest_seconds = max(self.longest_seconds, seconds)
        self.gc_seconds += metrics["JVM GC Time"] / 1e3
        self.shuffle_bytes += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
        self.spilled_bytes += metrics["Disk Bytes Spilled"]


@dataclass(frozen=True)
class SparkCosts:
    """A whole application."""

    heap_bytes: int
    """Peak used; garbage that is not yet collected counts, so it nears the limit long before memory is short."""
    stages: list[StageCosts]
    """By falling task time."""

    @property
    def gc_seconds(self) -> float:
        return sum(stage.gc_seconds for stage in self.stages)

    @property
    def shuffle_bytes(self) -> int:
        return sum(stage.shuffle_bytes for stage in self.stages)

    @property
    def spilled_bytes(self) -> int:
        return sum(stage.spilled_bytes for stage in self.stages)


def read_event_log(path: Path) -> SparkCosts:
    """Add up an uncompressed event log, a line at a time: plans make single lines long and the whole large."""
    stages: dict[int, StageCosts] = {}
    heap = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            kind = line[:60]
            if "SparkListenerStageSubmitted" in kind:
                info = json.loads(line)["Stage Info"]
                stages.setdefault(info["Stage ID"], _stage(info))
            elif "SparkListenerTaskEnd" in kind:
                event = json.loads(line)
                stages[event["Stage ID"]].add(event["Task Metrics"])
                heap = max(heap, event["Task Executor Metrics"]["JVMHeapMemory"])
            elif "SparkListenerStageExecutorMetrics" in kind:
                heap = max(heap, json.loads(line)["Executor Metrics"]["JVMHeapMemory"])
    return SparkCosts(heap, sorted(stages.values(), key=lambda stage: -stage.seconds))


def _stage(info: dict[str, Any]) -> StageCosts:
    rdds = sorted(info["RDD Info"], key=lambda rdd: rdd["RDD ID"])
    scopes = [json.loads(rdd["Scope"])["name"] for rdd in rdds if "Scope" in rdd]
    operators = dict.fromkeys(scope.strip() for scope in scopes if not scope.startswith(_WRAPPERS))
    name = re.sub(r"/\S*/(\w+/\w+\.py)", r"\1", info["Stage Name"])  # the last folder tells enough
    return StageCosts(info["Stage ID"], name, ", ".join(operators))


class Watch:
    """Samples a driver process, its Python workers and its local folder for their peaks, until stopped."""

    jvm_bytes = python_bytes = local_bytes = 0

    def __init__(self, driver: int, local: Path, interval: float = 0.5) -> None:
        self._driver, self._local, self._interval = driver, local, interval
        self._cpu_seconds: dict[int, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def jvm_cpu_seconds(self) -> float:
        """Of the driver as last seen: tasks, planning, compilers, garbage collection."""
        return self._cpu_seconds.get(self._driver, 0.0)

    @property
    def python_cpu_seconds(self) -> float:
        """Of all other processes, each as last seen."""
        return sum(self._cpu_seconds.values()) - self.jvm_cpu_seconds

    def stop(self) -> None:
        """Sample no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            pids = _family(self._driver)
            self._cpu_seconds.update((pid, _cpu_seconds(stat)) for pid in pids if (stat := _stat(pid)))
            self.jvm_bytes = max(self.jvm_bytes, _memory(self._driver, "status", "VmHWM"))
            workers = [pid for pid in pids if "pyspark.daemon" in _text(pid, "cmdline")]
            # Forked workers share pages: Pss divides those by their users, so that the sum counts each page once.
            self.python_bytes = max(self.python_bytes, sum(_memory(pid, "smaps_rollup", "Pss") for pid in workers))
            self.local_bytes = max(self.local_bytes, size_of(self._local))


def size_of(folder: Path) -> int:
    """Bytes of the files below `folder`, while others may be deleting them."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


def cpu_seconds(pid: int) -> float:
    """Of a process and its descendants, with those that have ended and been waited for."""
    stats = [stat for member in _family(pid) if (stat := _stat(member))]
    return sum(int(ticks) for stat in stats for ticks in stat[11:15]) / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    family = [pid]
    for parent in family:
        family += children.get(parent, [])
    return family


def _stat(pid: int) -> list[str]:
    """The fields from `state` on; before it stands the command, which may hold blanks and brackets."""
    return _text(pid, "stat").rpartition(")")[2].split()


def _cpu_seconds(stat: list[str]) -> float:
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def _text(pid: int, name: str) -> str:
    try:
        return (Path("/proc") / str(pid) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:  # it ended
        return ""


def _memory(pid: int, file: str, key: str) -> int:
    values = [line.split()[1] for line in _text(pid, file).splitlines() if line.startswith(f"{key}:")]
    return int(values[0]) * 1024 if values else 0
