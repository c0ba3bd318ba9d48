"""Named points that a job passes, at which a test can interrupt it.

Jobs call `reached` at the points where a crash would be most harmful. Nothing listens in production; tests register a
listener in the process of the job and kill it, wait there, or take a file away.
"""

from collections.abc import Callable

STEP_DONE = "training: step done"
BUNDLE_CHECKED = "night: bundle checked"
WORKER_WRITES = "night: worker writes"
FILES_WRITTEN = "night: files written"
ABOUT_TO_PUBLISH = "night: about to publish"
PUBLISHED = "night: published"
LEDGER_FILE_BEGUN = "night: ledger file begun"

_listeners: list[Callable[[str, object], None]] = []


def listen(listener: Callable[[str, object], None]) -> None:
    """Call `listener(phase, context)` whenever this process reaches a phase."""
    _listeners.append(listener)


def reached(phase: str, context: object = None) -> None:
    """Tell the listeners that the job has reached a phase.

    Args:
        context: what the phase is about, such as the state of a training or the path of a file.
    """
    for listener in _listeners:
        listener(phase, context)
