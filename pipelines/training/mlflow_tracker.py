"""A training in MLflow, for those who keep their experiments there (the extra `mlflow`)."""

from dataclasses import asdict
from typing import Any

from afm_core.errors import MachineError
from pipelines.console import messages
from pipelines.training.training_logger import Epoch


class MlflowTracker:
    """A run of an MLflow experiment for each model that is trained. Where they are kept says MLFLOW_TRACKING_URI."""

    def __init__(self, experiment: str) -> None:
        """Open the experiment, or make it.

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

    def starts(self, model: str, settings: dict[str, Any]) -> None:
        """Begin the run of a model; that of the one before is over."""
        self._mlflow.end_run()
        self._mlflow.start_run(run_name=model)
        self._mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})

    def epoch_done(self, epoch: Epoch) -> None:
        """Log the numbers of an epoch, under their names in history.jsonl. A server that is gone ends no training."""
        numbers = {key: value for key, value in asdict(epoch).items() if isinstance(value, int | float)}
        try:
            self._mlflow.log_metrics(numbers, step=epoch.number)
        except Exception as error:
            messages.print(f"  MLflow does not know of epoch {epoch.number}: {str(error).splitlines()[0]}")

    def ends(self) -> None:
        """Close the last run."""
        self._mlflow.end_run()
