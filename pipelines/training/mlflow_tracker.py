"""Tracking a training in MLflow (the optional extra `mlflow`)."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from afm_core.errors import MachineError
from pipelines.console import messages
from pipelines.training.results import Epoch


class MlflowTracker:
    """One MLflow run for each model that is trained, on the server of MLFLOW_TRACKING_URI.

    A server that goes away during a training does not end it; what it has missed is sent when it is back.
    """

    def __init__(self, experiment: str) -> None:
        """Open the experiment, or create it.

        Raises:
            MachineError: the package is not installed, or the tracking server does not answer.
        """
        try:
            import mlflow
        except ImportError as error:
            raise MachineError("run.mlflow needs the package mlflow: pip install '.[mlflow]', or unset it") from error
        self._mlflow: Any = mlflow
        self._unsent: list[Epoch] = []
        self._open: Callable[[], None] | None = None
        """Begins the run of the current model; None once the server has it."""
        try:
            mlflow.set_experiment(experiment)
        except Exception as error:
            where, why = mlflow.get_tracking_uri(), str(error).splitlines()[0]
            raise MachineError(f"MLflow at {where} cannot be used: {why}; correct MLFLOW_TRACKING_URI") from error

    def training_started(self, model: str, settings: dict[str, Any]) -> None:
        """Begin the run of a model; the run of the previous model is over."""
        self._unsent = []
        self._open = lambda: self._start_run(model, settings)
        self._try("the start of the training", self._start_once)

    def epoch_done(self, epoch: Epoch) -> None:
        """Log the numbers of an epoch, named as in history.jsonl, and of epochs that the server has not received."""
        self._unsent.append(epoch)
        self._try(f"epoch {epoch.number}", self._send)

    def training_ended(self) -> None:
        """Close the last run."""
        self._try("the end of the training", self._mlflow.end_run)

    def _try(self, what: str, send: Callable[[], None]) -> None:
        """Send something to the server. If it is gone, that is printed and the training continues."""
        try:
            send()
        except Exception as error:
            messages.print(f"  {what} could not be logged to MLflow: {(str(error).splitlines() or [''])[0]}")

    def _start_run(self, model: str, settings: dict[str, Any]) -> None:
        self._mlflow.end_run()
        self._mlflow.start_run(run_name=model)
        self._mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})

    def _start_once(self) -> None:
        """Begin the run of the current model, unless the server knows it already."""
        if self._open:
            self._open()
            self._open = None

    def _send(self) -> None:
        self._start_once()
        while self._unsent:
            epoch = self._unsent[0]
            numbers = {key: value for key, value in asdict(epoch).items() if isinstance(value, int | float)}
            self._mlflow.log_metrics(numbers, step=epoch.number)
            del self._unsent[0]
