"""Where a rank computes."""

import torch

from afm_core.errors import MachineError
from pipelines.training.communicator import Communicator


def device_of(ranks: Communicator) -> torch.device:
    """The rank's own GPU, by its place on its machine; the processor where there are none.

    Raises:
        MachineError: there are GPUs, but fewer than ranks on this machine.
    """
    found = torch.cuda.device_count()
    if not found:
        return torch.device("cpu")
    if ranks.local_size > found:
        raise MachineError(
            f"{ranks.local_size} ranks on a machine with {found} GPU(s); start one rank a GPU, or hide them all with "
            "CUDA_VISIBLE_DEVICES= to train on the processor"
        )
    torch.cuda.set_device(ranks.local_rank)
    return torch.device("cuda", ranks.local_rank)
