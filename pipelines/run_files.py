"""Small results of a run, such as its history and its evaluation, where the run's path is a URL."""

from afm_core.settings.run import RunSettings
from afm_core.storage.object_store import write_object
from afm_core.storage.paths import is_local


def share(run: RunSettings, *names: str) -> None:
    """Copy files of the run's folder on this machine to its URL; does nothing where its path is local.

    Raises:
        MachineError: that cannot be reached, or does not let us write.
    """
    if is_local(run.path):
        return
    for name in names:
        write_object(f"{run.path}/{name}", (run.work / name).read_bytes())
