"""How every task publishes a night: its files, a manifest and the effective settings, in one step or not at all."""

from collections.abc import Callable
from datetime import date
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from afm_core.errors import EmptyLogsError, UnfinishedLogsError
from afm_core.settings import Settings
from pipelines import phases
from pipelines.contract_checks import Contract
from pipelines.logs.inputs import Inputs
from pipelines.scoring.published.store import NightStage, NightStore
from pipelines.scoring.worker.writer import write_empty

M = TypeVar("M", bound=BaseModel)


def publish_night(
    settings: Settings,
    store: NightStore,
    night: date,
    inputs: Inputs,
    contract: Contract,
    write: Callable[[NightStage], M],
    describe_empty: Callable[[], M] | None,
) -> M:
    """Write a night and replace whatever was published for it. Returns the manifest.

    A night whose logs have no rows is published as one empty file, if it may be empty.

    Args:
        store: where nights are published.
        inputs: what the night is made from.
        contract: the table that is published.
        write: writes the night to the stage that it gets, and returns its manifest.
        describe_empty: the manifest of a night without rows; None where such a night is not written yet.

    Raises:
        UnfinishedLogsError: the logs have no rows and may get some.
        ReplacedLogsError: the inputs changed while they were read.
        AfmError: raised by `write`, or a file cannot be written; what was published before stays.
    """
    with store.staged(night, contract) as stage:
        try:
            manifest = write(stage)
        except EmptyLogsError as empty:
            if describe_empty is None:
                raise UnfinishedLogsError(
                    f"{str(empty).partition(';')[0]}, and nothing says that it is complete; score it later, let its "
                    "writer leave a file that score.wait_for names, or set score.allow_empty"
                ) from empty
            stage.clear()
            write_empty(contract, stage)
            manifest = describe_empty()
        inputs.require_unchanged()
        stage.describe(manifest.model_dump_json(indent=2) + "\n", settings)
        phases.reached(phases.ABOUT_TO_PUBLISH, stage)
    phases.reached(phases.PUBLISHED, store.path)
    return manifest


def read_published(store: NightStore, night: date, manifest: type[M]) -> M | None:
    """The manifest of a published night; None where there is none, or one of an incompatible version."""
    text = store.manifest(night)
    try:
        return None if text is None else manifest.model_validate_json(text)
    except ValidationError:
        return None
