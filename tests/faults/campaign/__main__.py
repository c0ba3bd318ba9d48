"""`python -m tests.faults.campaign --faults 200 --seed 1`: random faults, each followed by one rerun.

Three of five strike a range of five nights, the others a training. After every fault and every rerun, each night must
be wholly what the bundle of its manifest scores, and each training must end with the weights of an undisturbed one.
The seed and the number of a fault decide its kind and its delays; what a delay hits differs from run to run. So
`--first 101 --faults 100` is the second half of a campaign of 200, on another machine or at another time, and
`--only 58 66` strikes those two once more.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from afm_core.settings import load_settings
from pipelines.simulation.simulate import Simulation, simulate
from tests.faults.campaign.nights import Nights
from tests.faults.campaign.processes import job_command, start
from tests.faults.campaign.training import Training
from tests.support.cluster import standalone_cluster
from tests.support.config import DAYS, EVENTS, write_config
from tests.support.files import ROOT
from tests.support.small import Small

_SHARE_OF_NIGHTS = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--first", type=int, default=1, help="number of the first fault (default: 1)")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the faults, in place of a stretch")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    numbers = arguments.only or range(arguments.first, arguments.first + arguments.faults)
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        failures = campaign(Path(folder), numbers, arguments.seed)
    sys.exit(1 if failures else 0)


def campaign(folder: Path, numbers: Sequence[int], seed: int) -> int:
    """Run it, print what was found, and return the number of faults after which something was wrong."""
    library = folder / "failing_calls.so"
    source = ROOT / "tests" / "support" / "failing_calls.cpp"
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, "-shared", "-fPIC", "-std=c++17", "-o", library, source, "-ldl"], check=True)
    small = make_small(folder / "small")
    counts, failures, started = Counter[str](), Counter[str](), time.monotonic()
    (folder / "cluster").mkdir()
    with standalone_cluster(folder / "cluster") as cluster:
        nights, training = Nights(small, folder / "nights", cluster), Training(small, folder / "training")
        for done, number in enumerate(numbers, start=1):
            chance = random.Random(f"{seed}, {number}")
            target = nights if chance.random() < _SHARE_OF_NIGHTS else training
            fault = chance.choice(target.faults)
            what = f"{target.name}: {fault.name}"
            problems = list(target.run(fault, chance, library))
            counts[what] += 1
            failures[what] += bool(problems)
            left = f"{(time.monotonic() - started) / done * (len(numbers) - done) / 60:.0f} min left"
            print(
                f"{number:>4} {what}{''.join(f'{chr(10)}     {problem}' for problem in problems)}  {left}", flush=True
            )
    print(f"\n{'':<50} faults  failures")
    for what, count in sorted(counts.items()):
        print(f"{what:<50} {count:>6} {failures[what]:>9}")
    total = sum(failures.values())
    which = f"seed {seed}, {len(numbers)} faults between {numbers[0]} and {numbers[-1]}"
    print(f"{which:<50} {sum(counts.values()):>6} {total:>9}")
    return total


def make_small(folder: Path) -> Small:
    """The small data set that the other tests share: prepared and trained."""
    folder.mkdir()
    logs = folder / "logs"
    simulate(Simulation(logs, date(2026, 1, 1), DAYS, EVENTS, users=60, apps=40, seed=1))
    config = write_config(folder, logs)
    for name in ("prepare", "train"):
        job = start(job_command(name, "--config", config), folder / "log")
        assert job.wait() == 0, job.printed
    return Small(folder, config, load_settings(config))


if __name__ == "__main__":
    main()
