"""What can go wrong for a user. Every message is one line: what, where, what was allowed, what to do."""

from collections.abc import Sequence


class AfmError(Exception):
    """Base of every error that a user can mend. Jobs print it on one line and exit with its code."""

    exit_code = 2


class SettingsError(AfmError):
    """The settings are wrong. Holds one line a problem, so that all of them are shown at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class MachineError(AfmError):
    """The machine lacks something that the job needs, such as Java."""


class LogsError(AfmError):
    """The raw logs cannot be used: absent, empty, unreadable, a column missing, or too many rejected rows."""


class EmptyLogsError(LogsError):
    """There are logs, but no row in them."""


class NightRefusedError(AfmError):
    """A night was scored, but its scores did not pass the checks; nothing was published."""


class FailedNightsError(AfmError):
    """Some nights were not published: a line each. Starting again helps only where it helps all of them."""

    def __init__(self, errors: Sequence[AfmError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.exit_code = min(error.exit_code for error in errors)


class NotPromotedError(AfmError):
    """A new bundle is not as good as the current one, which stays."""


class BusyError(AfmError):
    """Another run holds the lock. Trying again later helps."""

    exit_code = 75


class NothingToDoError(AfmError):
    """All that was asked for is done already."""

    exit_code = 3


class DatasetError(AfmError):
    """A prepared dataset is absent, incomplete or does not fit the settings."""


class BundleError(AfmError):
    """A bundle is absent, damaged, or belongs to another feature map."""


class ReplacedBundleError(BundleError):
    """A bundle was exchanged or taken away while it was in use. Starting again helps."""

    exit_code = 75


class DivergedError(AfmError):
    """The loss of a training is no longer a number."""


class LostRankError(AfmError):
    """Another rank of the training has died or does not answer. Starting again helps."""

    exit_code = 75


class CheckpointError(AfmError):
    """A checkpoint cannot be written, or was made from other settings."""


class InterruptedBySignal(AfmError):
    """A signal asked the job to stop, and it did so in good order."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
