"""The device on which a rank computes."""

import torch

from afm_core.errors import MachineError
from pipelines.training.communicator import Communicator


def device_of(ranks: Communicator) -> torch.device:
    """The GPU with the index of the rank on its machine, or the CPU if the machine has none.

    Raises:
        MachineError: there are GPUs, but fewer than ranks on this machine.
    """
    count = torch.cuda.device_count()
    if not count:
        return torch.device("cpu")
    if ranks.local_size > count:
        raise MachineError(
            f"{ranks.local_size} ranks on a machine with {count} GPU(s); start one rank per GPU, or hide them all with "
            "CUDA_VISIBLE_DEVICES= to train on the CPU"
        )
    torch.cuda.set_device(ranks.local_rank)
    return torch.device("cuda", ranks.local_rank)
