"""The settings tree: every key that a settings file may contain, with its meaning and default."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from afm_core.errors import SettingsError
from afm_core.features.field import Field as FieldDeclaration
from afm_core.features.field import columns_read
from afm_core.features.field_or_name import FieldOrName
from afm_core.settings import cross_checks
from afm_core.settings.data import DatasetSettings, LabelSettings, LogsSettings, NegativesSettings, SplitSettings
from afm_core.settings.experiments import ModelVariant, SearchSettings, Study
from afm_core.settings.model import ModelSettings
from afm_core.settings.run import EvaluateSettings, PromoteSettings, RunSettings
from afm_core.settings.score import RecommendSettings, ScoreSettings
from afm_core.settings.section import Section
from afm_core.settings.train import TrainSettings, WarmStartSettings
from afm_core.storage.locations import Location

_ROWS_PER_FILE = 65_536
_NEVER_WARM = ("linear", "poly2", "ffm")  # these have no embeddings v_i
Seed = Annotated[int, Field(ge=1, lt=2**31)]
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]  # names a folder, which must not be `..`


def _file_name(text: str) -> str:
    if not text or text.startswith(".") or "/" in text or "\\" in text or not text.isprintable():
        raise ValueError(f"found {text!r}, allowed is a name without slashes that does not begin with a dot")
    return text


DataName = Annotated[str, AfterValidator(_file_name)]


class Settings(Section):
    """The whole tree."""

    name: DataName
    """Name of the data set."""
    seed: Seed = 1
    """Seed of all randomness: the same input, settings and seed give the same result."""
    logs: LogsSettings
    fields: Annotated[tuple[FieldOrName, ...], Field(min_length=2)]
    """Fields of the model, in the order of a batch's columns; a name alone is short for
    `{name: NAME, kind: categorical}`."""
    label: LabelSettings = LabelSettings()
    negatives: NegativesSettings = NegativesSettings()
    split: SplitSettings = SplitSettings()
    dataset: DatasetSettings
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    run: RunSettings
    promote: PromoteSettings = PromoteSettings()
    score: ScoreSettings | None = None
    recommend: RecommendSettings = RecommendSettings()
    compare: dict[RunName, ModelVariant] = Field(default={})
    """Models that jobs/compare.py trains, by the name of their row and folder."""
    seeds: tuple[Seed, ...] = ()
    """Seeds of a comparison: each model is trained once with each, and the table shows mean and standard deviation. Not
    set: `seed` alone."""
    studies: dict[RunName, Study] = Field(default={})
    """Studies of one setting each, by name; jobs/compare.py --studies trains and plots them."""
    search: SearchSettings = SearchSettings()

    @model_validator(mode="after")
    def _sections_agree(self) -> "Settings":
        problem = next(self._problems(), None)
        if problem:
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        draws_negatives = self.per_positive > 0
        yield from cross_checks.field_problems(self.fields)
        yield from cross_checks.label_problems(self.label, self.fields, draws_negatives=draws_negatives)
        if draws_negatives:
            yield from cross_checks.negatives_problems(self.negatives, self.label, self.fields, self.seen_by)
        else:
            yield from cross_checks.unused_negatives_problems(self.negatives, self.fields)
        yield from cross_checks.split_problems(self.split, self.negatives, self.fields, draws_negatives=draws_negatives)
        yield from cross_checks.task_problems(
            self.train,
            self.label,
            self.split,
            self.evaluate.group_by,
            self.fields,
            draws_negatives=draws_negatives,
        )
        yield from cross_checks.fit_problems(self.train, self.model, self.label)
        yield from cross_checks.experiment_problems(self.compare, self.studies, self.search, self.model, self.train)
        yield from cross_checks.logs_problems(self.logs)
        yield from cross_checks.join_problems(
            self.logs, self.negatives, self.fields, self.seen_by, self.replaced_with_item
        )
        if self.score:
            yield from cross_checks.scores_problems(self.logs, self.fields)
            yield from cross_checks.nights_problems(self.score, self.recommend)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Names of the fields in the order of the settings."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> FieldDeclaration:
        """The declaration of a field."""
        return next(field for field in self.fields if field.name == name)

    @property
    def per_positive(self) -> int:
        """Negatives to draw for each positive."""
        per_positive = self.negatives.per_positive
        return (0 if self.label.column else 2) if per_positive is None else per_positive

    @property
    def seen_by(self) -> tuple[str, ...]:
        """The fields of `negatives.never_seen_by`; none for `nothing`.

        Where no negatives are drawn, its default need not name fields: those that do not exist are left out.
        """
        match self.negatives.never_seen_by:
            case "nothing":
                return ()
            case "context":
                single = cross_checks.single_id_fields(self.fields)
                with_item = (*self.negatives.replace, *self.replaced_with_item)
                return tuple(name for name in single if name not in with_item)
            case names if not self.per_positive:
                return tuple(name for name in names if name in cross_checks.single_id_fields(self.fields))
            case names:
                return names

    @property
    def replaced_with_item(self) -> tuple[str, ...]:
        """Fields that read what a join says about a field of `negatives.replace`: a negative gets its own item's."""
        replaced = {field.sources[0] for field in self.fields if field.name in self.negatives.replace and field.sources}
        if not self.per_positive:
            return ()
        joined = {name for join in self.logs.join if join.on in replaced for name in join.columns}
        return tuple(field.name for field in self.fields if joined & set(columns_read(field)))

    @property
    def required_fields(self) -> tuple[str, ...]:
        """Fields without which no negatives can be drawn: an event that lacks one is rejected."""
        if not self.per_positive:
            return ()
        seen_by = () if self.negatives.never_seen_by == "context" else self.seen_by
        return (*seen_by, *self.negatives.replace)

    @property
    def warm_start(self) -> WarmStartSettings | None:
        """The warm start of the model, None where it cannot have one. An FM goes on from a sampled one alone."""
        warm = self.train.warm_start
        if warm is None or self.model.name in _NEVER_WARM or self.train.fit == "gibbs":
            return None
        return None if self.model.name == "fm" and (warm.fit == "gradient" or warm.bundle) else warm

    @property
    def group_field(self) -> str | None:
        """The field whose rows form one ranked list each when a model is evaluated."""
        return self.evaluate.group_by or (self.seen_by[0] if self.seen_by else None)

    @property
    def rows_per_file(self) -> int:
        """Rows in each file of the dataset."""
        batch = self.train.batch_size
        return self.dataset.rows_per_file or batch * max(1, round(_ROWS_PER_FILE / batch))

    @property
    def nightly(self) -> ScoreSettings:
        """The section `score`, for the jobs that run every night.

        Raises:
            SettingsError: the section is missing.
        """
        if self.score is None:
            raise SettingsError(["score: required by this job and not found; add it with logs and path"])
        return self.score

    @property
    def scoring_bundle(self) -> Path:
        """The bundle that scores nights: `score.bundle`, or the one that training wrote last."""
        return self.nightly.bundle or self.run.bundle

    @property
    def recommendations_path(self) -> Location:
        """Folder of the best items of each user, one `dt=YYYY-MM-DD/` per night."""
        scores = self.nightly.path
        return self.recommend.path or scores.parent / f"{scores.name}_best_items"
