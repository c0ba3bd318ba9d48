"""The settings tree. Every key that a YAML file may hold is declared here or in a section, with meaning and default."""

from typing import Annotated

from pydantic import Field, model_validator

from afm_core.features.field import SINGLE_ID, FieldOrName
from afm_core.features.field import Field as FieldDeclaration
from afm_core.settings import cross_checks
from afm_core.settings.data import DatasetSettings, LabelSettings, LogsSettings, NegativesSettings, SplitSettings
from afm_core.settings.experiments import ModelVariant, SearchSettings, Study
from afm_core.settings.section import Section
from afm_core.settings.training import (
    EvaluateSettings,
    ModelSettings,
    PromoteSettings,
    RunSettings,
    ScoreSettings,
    TrainSettings,
    WarmStartSettings,
)

_ROWS_PER_FILE = 65_536
_NEVER_WARM = ("linear", "poly2", "ffm", "fm")  # the first three have no embeddings v_i, the last is the start itself
Seed = Annotated[int, Field(ge=1, lt=2**31)]
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


class Settings(Section):
    """The whole tree."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the data set."""
    seed: Seed = 1
    """Of all randomness. Same input, settings and seed: same result."""
    logs: LogsSettings
    fields: Annotated[tuple[FieldOrName, ...], Field(min_length=2)]
    """Columns that become features, in the order of the batch; a name is short for `{name, kind: categorical}`."""
    label: LabelSettings = LabelSettings()
    negatives: NegativesSettings = NegativesSettings()
    split: SplitSettings = SplitSettings()
    dataset: DatasetSettings
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    run: RunSettings
    score: ScoreSettings
    promote: PromoteSettings = PromoteSettings()
    compare: dict[RunName, ModelVariant] = Field(default={})
    """Models that jobs/compare.py trains, by the name of their row and folder."""
    seeds: tuple[Seed, ...] = ()
    """Seeds of the trainings of a comparison, which then says mean and spread; not set: `seed`."""
    studies: dict[RunName, Study] = Field(default={})
    """Plots of the validation error against one setting, by name; jobs/compare.py --studies trains their points."""
    search: SearchSettings = SearchSettings()

    @model_validator(mode="after")
    def _names_agree(self) -> "Settings":
        problem = cross_checks.first_problem(self)
        if problem:
            raise ValueError(problem)
        return self

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
        asked = self.negatives.per_positive
        return (0 if self.label.column else 2) if asked is None else asked

    @property
    def seen_by(self) -> tuple[str, ...]:
        """The fields of `negatives.never_seen_by`, none for `nothing`."""
        match self.negatives.never_seen_by:
            case "nothing":
                return ()
            case "context":
                single = [field.name for field in self.fields if isinstance(field, SINGLE_ID)]
                return tuple(name for name in single if name not in self.negatives.replace)
            case names:
                return names

    @property
    def required_fields(self) -> tuple[str, ...]:
        """Fields without which a log says nothing: a row that lacks one is rejected."""
        if not self.per_positive:
            return ()
        seen_by = () if self.negatives.never_seen_by == "context" else self.seen_by
        return (*seen_by, *self.negatives.replace)

    @property
    def warm_start(self) -> WarmStartSettings | None:
        """What is trained before the model, if the model can start from it."""
        return None if self.model.name in _NEVER_WARM else self.train.warm_start

    @property
    def list_field(self) -> str | None:
        """The field whose rows evaluation ranks against each other."""
        return self.evaluate.lists or (self.seen_by[0] if self.seen_by else None)

    def compared(self) -> list[tuple[str, "Settings"]]:
        """The settings of each model to compare, once for each seed; they write below this run's folder."""
        return [
            (name, self._with(f"compare/{name}/seed-{seed}", entry, seed))
            for name, entry in self.compare.items()
            for seed in self.seeds or (self.seed,)
        ]

    def searched(self) -> list[tuple[str, "Settings"]]:
        """The settings that a search varies for each model; its trainings write below this run's folder."""
        return [(name, self._with(f"search/{name}", entry, self.seed)) for name, entry in self.compare.items()]

    def studied(self, study: Study) -> list[tuple[int | float, "Settings"]]:
        """The settings of each point of a study. It writes below the run's folder, by what was varied."""
        section, _, name = study.key.partition(".")
        points = []
        for value in study.values:
            entry = self.compare[study.model]
            varied = entry.model_copy(update={section: {**getattr(entry, section), name: value}})
            points.append((value, self._with(f"studies/{study.model}/{study.key}/{value}", varied, self.seed)))
        return points

    def _with(self, folder: str, entry: ModelVariant, seed: int) -> "Settings":
        changes = {
            "seed": seed,
            "seeds": (),
            "model": ModelSettings.model_validate({**self.model.model_dump(), **entry.model}),
            "train": TrainSettings.model_validate({**self.train.model_dump(), **entry.train}),
            "run": RunSettings(path=self.run.path / folder),
            "compare": {},
            "studies": {},
            "search": SearchSettings(),
        }
        return self.model_copy(update=changes)

    @property
    def rows_per_file(self) -> int:
        """Rows of a file of the dataset."""
        batch = self.train.batch_size
        return self.dataset.rows_per_file or batch * max(1, round(_ROWS_PER_FILE / batch))
