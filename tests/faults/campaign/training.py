"""Faults on a training of two models: after the rerun, its weights are those of an undisturbed one.

Bit for bit on one rank, to 1e-6 on two, where the sums of a resumed epoch are in another order.
"""

import random
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from tests.faults.campaign.faults import DAMAGE, ENDED, OF_ANY_JOB, SECOND_RUN, Fault, Strike
from tests.faults.campaign.processes import Job, job_command, start
from tests.support.ranks import TRAIN
from tests.support.small import Small

_RANK = Fault("one of two ranks killed", frozenset())
_DAMAGED = replace(DAMAGE, name="killed, then a damaged checkpoint")
FAULTS = (*OF_ANY_JOB, SECOND_RUN, _DAMAGED, _RANK)


class Training:
    """The training, and the weights of undisturbed ones."""

    name = "training"
    faults = FAULTS

    def __init__(self, small: Small, folder: Path) -> None:
        self._folder, self.root = folder, folder / "run"
        train = {**TRAIN, "warm_start": {"model": "fm", "epochs": 1}}
        self.config = small.training_config(folder, train, model={"pooled_dropout": 0.3})
        self._bundles = load_settings(self.config).run
        self._expected: dict[int, dict[str, Tensor]] = {}
        self.seconds = 0.0
        for ranks in (2, 1):
            started = time.monotonic()
            job = start(self._command(ranks), folder / "log")
            assert job.wait() == 0, job.printed
            self.seconds = time.monotonic() - started
            self._expected[ranks] = self._weights()
            shutil.rmtree(self.root)

    def run(self, fault: Fault, chance: random.Random, library: Path) -> Iterator[str]:
        """Run with a fault, then once more without. Yields what is wrong."""
        shutil.rmtree(self.root, ignore_errors=True)
        ranks = 2 if fault is _RANK else 1
        jobs = [start(self._command(ranks), self._folder / "log", fault.environment(chance, self.root, library))]
        if fault is SECOND_RUN:
            time.sleep(chance.uniform(0.0, self.seconds))
            jobs.append(start(self._command(ranks), self._folder / "log-2"))
        if fault in (_RANK, _DAMAGED):
            time.sleep(chance.uniform(0.0, self.seconds))
            _kill_a_rank(jobs[0], chance)
        fault.strike(Strike(jobs[0], self.seconds, chance))
        codes = [job.wait() for job in jobs]
        printed = "".join(job.printed for job in jobs)
        if fault is _DAMAGED:
            self._damage_a_checkpoint(chance)
        elif fault is not _RANK and (not set(codes) <= fault.codes | ENDED or "Traceback" in printed):
            yield f"ended with {codes}: {printed[-2000:]}"
        again = start(self._command(ranks), self._folder / "log")
        code = again.wait()
        if code or "Traceback" in again.printed:
            yield f"the rerun ended with {code}: {again.printed[-2000:]}"
            return
        different = [name for name, weight in self._weights().items() if not self._is_expected(name, weight, ranks)]
        if different:
            yield f"after the rerun, other weights: {', '.join(different)}"

    def _is_expected(self, name: str, weight: Tensor, ranks: int) -> bool:
        expected = self._expected[ranks][name]
        return torch.allclose(weight, expected, atol=1e-6) if ranks > 1 else torch.equal(weight, expected)

    def _command(self, ranks: int) -> list[str]:
        launcher = [str(Path(sys.executable).with_name("horovodrun")), "-np", str(ranks)] if ranks > 1 else []
        return [*launcher, *job_command("train", "--config", self.config, "--resume", "auto")]

    def _weights(self) -> dict[str, Tensor]:
        paths = {"fm": self._bundles.warm_start_bundle, "afm": self._bundles.bundle}
        return {
            f"{model}.{name}": torch.clone(weight)
            for model, path in paths.items()
            for name, weight in read_bundle(path).calibrated_model.state_dict().items()
        }

    def _damage_a_checkpoint(self, chance: random.Random) -> None:
        files = sorted(self.root.glob("checkpoints/*/step-*/state.*"))
        if not files:
            return
        victim = chance.choice(files)
        content = bytearray(victim.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        victim.write_bytes(content if chance.random() < 0.5 else content[: len(content) // 2])


def _kill_a_rank(job: Job, chance: random.Random) -> None:
    """Kill a process that trains: the job itself, or one of those that horovodrun has started."""
    ranks = job.below(lambda process: "train.py" in " ".join(process.cmdline()[1:2]))
    if ranks:
        chance.choice(ranks).kill()
    elif "horovodrun" not in str(job.process.args):
        job.process.kill()
