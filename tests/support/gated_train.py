"""jobs/train.py, where every rank waits at one step of one model until the test says so, or a signal comes.

python gated_train.py GATE MODEL STEP the arguments of jobs/train.py
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import jobs.train
from pipelines.training import loop
from pipelines.training.context import TrainingContext
from pipelines.training.state import TrainingState
from pipelines.training.stop_signals import Interruption
from tests.support.training_gate import Gate

gate = Gate(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
go_on = loop._checkpoint_if_due


def wait_and_go_on(state: TrainingState, context: TrainingContext, interruption: Interruption) -> None:
    """The weights have taken the step; its checkpoint, if one is due, is not written yet."""
    if (context.settings.model.name, state.global_step) == (gate.model, gate.step):
        gate.arrived(context.ranks.rank).touch()
        while not (gate.open_for_reading.exists() or interruption):
            time.sleep(0.01)
    go_on(state, context, interruption)


def tell_of_other_hosts() -> None:
    from horovod.common.elastic import State

    hear = State.on_hosts_updated

    def hear_and_tell(self: State, *news: Any) -> None:
        hear(self, *news)
        gate.told.touch()

    State.on_hosts_updated = hear_and_tell


loop._checkpoint_if_due = wait_and_go_on
if "HOROVOD_ELASTIC" in os.environ:
    tell_of_other_hosts()
sys.argv[1:] = sys.argv[4:]
jobs.train.main()
