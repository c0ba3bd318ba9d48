"""Tracking a training in MLflow (the optional extra `mlflow`)."""

from dataclasses import asdict
from typing import Any

from afm_core.errors import MachineError
from pipelines.console import messages
from pipelines.training.training_logger import Epoch


class MlflowTracker:
    """One MLflow run for each model that is trained, on the server of MLFLOW_TRACKING_URI."""

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
        try:
            mlflow.set_experiment(experiment)
        except Exception as error:
            where, why = mlflow.get_tracking_uri(), str(error).splitlines()[0]
            raise MachineError(f"MLflow at {where} cannot be used: {why}; correct MLFLOW_TRACKING_URI") from error

    def training_started(self, model: str, settings: dict[str, Any]) -> None:
        """Begin the run of a model; the run of the previous model is over."""
        self._mlflow.end_run()
        self._mlflow.start_run(run_name=model)
        self._mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})

    def epoch_done(self, epoch: Epoch) -> None:
        """Log the numbers of an epoch, named as in history.jsonl. If the server is gone, the training continues."""
        numbers = {key: value for key, value in asdict(epoch).items() if isinstance(value, int | float)}
        try:
            self._mlflow.log_metrics(numbers, step=epoch.number)
        except Exception as error:
            messages.print(f"  epoch {epoch.number} could not be logged to MLflow: {str(error).splitlines()[0]}")

    def training_ended(self) -> None:
        """Close the last run."""
        self._mlflow.end_run()
