"""Errors that a user can fix. Every message is one line: what is wrong, where, what is allowed, and what to do."""

from collections.abc import Sequence

from afm_core.redaction import without_secrets


class AfmError(Exception):
    """Base class of the errors that a user can fix. Jobs print the message and exit with the error's code.

    Messages quote settings and other software, so credentials are taken out of each.
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class SettingsError(AfmError):
    """The settings are wrong. Holds one line per problem, so that all of them are reported at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = [without_secrets(problem) for problem in problems]


class ForeignFolderError(AfmError):
    """An output would replace a folder that holds something else."""


class RepublishedError(AfmError):
    """Another run has published something else than this one has read, or compared with. Retrying helps."""

    exit_code = 75


class MachineError(AfmError):
    """The machine lacks something that the job needs, such as Java or disk space."""


class LostSparkError(AfmError):
    """Spark's JVM has died. Retrying may help."""

    exit_code = 75


class LogsError(AfmError):
    """The raw logs cannot be used: absent, empty, unreadable, a column missing, or too many rejected rows."""


class RowsError(AfmError):
    """Rows that a predictor was given cannot be scored: a column is missing, or a row breaks a rule."""


class EmptyLogsError(LogsError):
    """The logs exist but contain no rows."""


class OutsideDatesError(EmptyLogsError):
    """The logs exist, but not between the dates of the settings."""


class UnfinishedLogsError(LogsError):
    """The logs of a night are still being written. Retrying later helps."""

    exit_code = 75


class ReplacedLogsError(LogsError):
    """Files of the logs, or of a joined table, were written while they were read. Retrying helps."""

    exit_code = 75


class NightRefusedError(AfmError):
    """A night was scored, but its scores failed a check, so nothing was published."""


class FailedNightsError(AfmError):
    """Some nights were not published; one line each. Its exit code asks for a retry only if that helps all of them."""

    def __init__(self, errors: Sequence[AfmError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.exit_code = min(error.exit_code for error in errors)


class NotPromotedError(AfmError):
    """A new bundle is not as good as the current one, which stays in place."""


class BusyError(AfmError):
    """Another run holds the lock. Retrying later helps."""

    exit_code = 75


class NothingToDoError(AfmError):
    """Everything that was requested has been done already."""

    exit_code = 3


class DatasetError(AfmError):
    """A prepared dataset is absent, incomplete, or does not fit the settings."""


class BundleError(AfmError):
    """A bundle is absent, damaged, or belongs to another feature map."""


class ReplacedBundleError(BundleError):
    """A bundle was replaced or removed while it was in use. Retrying helps."""

    exit_code = 75


class DivergedError(AfmError):
    """The training loss is no longer a finite number."""


class LostRankError(AfmError):
    """Another rank of the training has died or does not respond. Retrying helps."""

    exit_code = 75


class CheckpointError(AfmError):
    """A checkpoint cannot be written, or was made from other settings."""


class InterruptedBySignal(AfmError):
    """A signal asked the job to stop, and it stopped in an orderly way."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
