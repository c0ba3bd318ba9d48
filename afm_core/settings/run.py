"""Settings of what trainings and evaluations write, and of the gate between training and scoring."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from afm_core.settings.section import ColumnName, Positive, Section, Share
from afm_core.storage.paths import PublishedPath, is_local
from afm_core.storage.urls import Url


class EvaluateSettings(Section):
    """Evaluation."""

    group_by: ColumnName | None = None
    """Field whose rows form one ranked list each, for the ranking metrics. Not set: the first field of
    negatives.never_seen_by."""
    k: tuple[Positive, ...] = (5, 10)
    """Cut-offs K of HR@K and NDCG@K."""


class RunSettings(Section):
    """Where a training writes."""

    path: PublishedPath
    """Folder of the bundle, the metrics, the checkpoints and the history. With a URL, `s3://BUCKET/NAME`, these
    are published there, and what only this machine needs is in `runs/NAME`."""
    mlflow: str | None = None
    """MLflow experiment that also receives the metrics of each epoch. MLFLOW_TRACKING_URI names the server."""

    @property
    def work(self) -> Path:
        """Folder of what only this machine needs, such as Spark's log; the run's own if it is local."""
        return self.path if is_local(self.path) else Path("runs", *Url.parse(str(self.path)).parts)

    @property
    def bundle(self) -> Path:
        """The trained model."""
        return self.path / "bundle"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of the training, one folder per model; only written here first where the run is remote."""
        return self.work / "checkpoints"

    @property
    def shared_checkpoints(self) -> Path | None:
        """Where the checkpoints of a run are that is not on this machine; None for one that is."""
        return None if is_local(self.path) else self.path / "checkpoints"

    @property
    def rank_heartbeats(self) -> Path:
        """Files by which the ranks of a training tell which of them is missing."""
        return self.work / "ranks"

    @property
    def history(self) -> Path:
        """Metrics of the training, one line of JSON per epoch."""
        return self.work / "history.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Event files for `tensorboard --logdir`, one folder per model."""
        return self.work / "tensorboard"

    @property
    def current(self) -> Path:
        """The bundle that was promoted last."""
        return self.path / "current"

    @property
    def warm_start_bundle(self) -> Path:
        """The model that the trained one started from."""
        return self.path / "bundle_warm_start"


class PromoteSettings(Section):
    """Limits that a new bundle must keep, on the validation split, to replace the current one."""

    max_auc_drop: Share = 0.005
    """Maximum drop in AUC against the current bundle."""
    max_rmse_increase: Annotated[float, Field(ge=0.0)] = 0.01
    """Maximum increase in RMSE against the current bundle, as a share of it, where label.range makes the labels
    numbers and there is no AUC."""
    max_entropy_increase: Annotated[float, Field(ge=0.0)] = 0.01
    """Maximum increase in normalised entropy against the current bundle."""
    calibration_range: tuple[float, float] = (0.9, 1.1)
    """Smallest and largest calibration ratio (expected over observed positives)."""
    max_score_drift: Annotated[float, Field(gt=0.0)] = 0.25
    """Maximum population stability index between the scores of the new and the current bundle on the same rows."""
    max_unknown: Share = 1.0
    """Maximum share of rows with a missing or unseen value in any one field."""
