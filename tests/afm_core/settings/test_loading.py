from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from afm_core.errors import SettingsError
from afm_core.settings import Settings, load_settings, read_settings, settings_reference, write_settings
from afm_core.settings.renamed_keys import RENAMED_KEYS
from tests.support.config import write_config
from tests.support.files import ROOT


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, tmp_path / "logs")


def problems(config: Path, *overrides: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, overrides)
    assert all("\n" not in line for line in caught.value.problems)
    return caught.value.problems


def test_every_settings_file_of_the_project_loads() -> None:
    files = sorted((ROOT / "conf").glob("*.yaml"))
    assert {path.stem for path in files} >= {"demo", "frappe"}
    for path in files:
        assert load_settings(path).name == path.stem


def test_an_unknown_key_names_the_nearest_known_one(config: Path) -> None:
    (line,) = problems(config, "train.batchsize=4")
    assert line == f"{config}: train.batchsize: unknown key; did you mean batch_size?"


def test_a_value_that_a_few_aliases_make_huge_is_cut(config: Path) -> None:
    names = "abcdefghijkl"
    lists = ["&a [x, x, x, x, x, x, x, x, x]"]
    lists += [f"&{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)]
    config.write_text(f"{config.read_text()}\nseeds: [{', '.join(lists)}]\n")
    assert all(len(line) < 500 for line in problems(config))


def test_a_key_in_the_wrong_section_names_the_right_one(config: Path) -> None:
    (line,) = problems(config, "model.batch_size=4")
    assert "did you mean train.batch_size?" in line


def test_all_problems_come_at_once(config: Path) -> None:
    lines = problems(config, "train.epochs=0", "model.pooled_dropout=1.5", "logs.format=xml")
    assert len(lines) == 3
    assert any("train.epochs: found 0; input should be greater than or equal to 1" in line for line in lines)
    assert any("logs.format: found 'xml'" in line and "'parquet'" in line for line in lines)


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("negatives.replace=song", "found 'song', allowed is one of the fields: user, app"),
        ("negatives.replace=user", "must be different fields"),
        ("split.train=0.9", "must sum to 1"),
        ("fields=[user, user, app]", "user declared more than once"),
        ("fields=[user, app, label]", "label is a column that the pipeline writes itself"),
        ("seed=0", "seed: found 0"),
        ("novalue", "found no '='"),
        ("name.deeper=1", "name is a value, not a section"),
    ],
)
def test_impossible_values_are_refused(config: Path, override: str, part: str) -> None:
    (line,) = problems(config, override)
    assert part in line


def test_a_missing_file_and_bad_yaml_are_one_line(tmp_path: Path) -> None:
    (line,) = problems(tmp_path / "none.yaml")
    assert "cannot be read" in line
    (tmp_path / "bad.yaml").write_text("a: [1\nb: {")
    (line,) = problems(tmp_path / "bad.yaml")
    assert "not valid YAML" in line


def test_yaml_cannot_build_objects(tmp_path: Path) -> None:
    (tmp_path / "evil.yaml").write_text("name: !!python/object/apply:os.getcwd []")
    (line,) = problems(tmp_path / "evil.yaml")
    assert "not valid YAML" in line


def test_overrides_reach_into_a_section_given_in_short_form(config: Path) -> None:
    settings = load_settings(config, ["train.warm_start=fm", "train.warm_start.epochs=7"])
    assert settings.train.warm_start is not None
    assert settings.train.warm_start.epochs == 7


def test_effective_settings_load_again_unchanged(config: Path, tmp_path: Path) -> None:
    settings = load_settings(config, ["train.learning_rate=0.1", "logs.first_date=2026-01-02"])
    write_settings(settings, tmp_path / "written.yaml")
    assert read_settings(tmp_path / "written.yaml") == settings
    assert yaml.safe_load((tmp_path / "written.yaml").read_text())["train"]["patience"] == settings.train.patience


def test_help_explains_every_key() -> None:
    lines = settings_reference(tuple(Settings.model_fields)).splitlines()
    keys = [position for position, line in enumerate(lines) if line and not line.startswith("      ")]
    assert len(keys) > 30
    unexplained = [lines[at] for at in keys if at + 1 == len(lines) or not lines[at + 1].startswith("      ")]
    assert unexplained == []


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_a_key_of_an_earlier_version_is_refused_with_its_new_name(config: Path, old: str, new: str) -> None:
    assert f"{config}: {old}: renamed; use {new}" in problems(config, f"{old}=1")


def test_renamed_keys_are_noticed_in_comparisons_searches_and_studies(config: Path) -> None:
    lines = problems(
        config,
        "compare={fm: {train: {overshoot: 0}}}",
        "search.space={train.average: {low: 0, high: 1}}",
        "studies={s: {model: fm, key: train.accumulate, values: [1, 2]}}",
    )
    assert lines == [
        f"{config}: compare.fm.train.overshoot: renamed; use train.overshoot_penalty",
        f"{config}: search.space.train.average: renamed; use train.ema_decay",
        f"{config}: studies.s.key: train.accumulate was renamed; use train.micro_batches",
    ]


def test_renamed_kinds_of_fields_are_noticed(config: Path) -> None:
    fields = "[user, app, {name: n, kind: count, of: [app]}, {name: g, kind: affinity, of: [user, app], take: sum}]"
    assert problems(config, f"fields={fields}") == [
        f"{config}: fields: n: kind: count was renamed; use frequency",
        f"{config}: fields: g: kind: affinity was renamed; use co_occurrence",
        f"{config}: fields: g: take: renamed; use aggregation: max or sum",
    ]


def test_an_unknown_key_of_a_field_names_the_nearest_key_of_its_kind(config: Path) -> None:
    (line,) = problems(config, "fields=[user, app, {name: g, kind: co_occurrence, of: [user, app], agregation: sum}]")
    assert line.endswith("agregation: unknown key; did you mean aggregation?")


def test_settings_without_a_score_section_load_and_say_so_when_it_is_needed(tmp_path: Path) -> None:
    tree = yaml.safe_load(write_config(tmp_path, tmp_path / "logs").read_text())
    del tree["score"]
    (tmp_path / "unscored.yaml").write_text(yaml.safe_dump(tree))
    settings = load_settings(tmp_path / "unscored.yaml")
    with pytest.raises(SettingsError, match="score: required by this job and not found"):
        _ = settings.nightly


@pytest.mark.parametrize(
    "override",
    [
        "studies={s: {model: fm, key: [train.accumulate], values: [1, 2]}}",
        "fields=[user, app, {name: g, kind: [count]}]",
        "search.space={negatives.alpha: {low: 0, high: 1}}",
    ],
)
def test_what_cannot_have_been_a_renamed_key_is_reported_as_any_wrong_value(config: Path, override: str) -> None:
    lines = problems(config, override)
    assert lines
    assert not [line for line in lines if "renamed" in line]


def test_settings_that_an_earlier_version_wrote_name_the_new_keys(config: Path) -> None:
    tree = yaml.safe_load(config.read_text())
    tree["train"]["overshoot"] = 0.5
    config.write_text(yaml.safe_dump(tree))
    with pytest.raises(SettingsError, match=r"train\.overshoot: renamed; use train\.overshoot_penalty"):
        read_settings(config)


def test_help_names_the_kinds_of_a_key_that_not_all_kinds_have() -> None:
    lines = settings_reference(("fields",)).splitlines()
    assert any(line.startswith("  fields[].buckets (kinds ") and "hashed, crossed" in line for line in lines)


PLANTED = "s3://AKIAEXAMPLE:planted/Secret@shop/logs"


@pytest.mark.parametrize(
    "key", ["logs.path", "score.logs", "score.path", "dataset.path", "run.mlflow", "logs", "logs.pth"]
)
def test_credentials_in_a_url_are_refused_and_not_shown(config: Path, key: str) -> None:
    (line,) = problems(config, f"{key}={PLANTED}")
    assert line == (
        f"{config}: {key}: a URL with credentials in it, which is not shown; "
        "put them into the environment or Hadoop's configuration, and name the URL without them"
    )


@pytest.mark.parametrize("override", [PLANTED, f"{PLANTED}=1", f"name.deeper={PLANTED}", f"logs.path=[{PLANTED}"])
def test_no_other_line_shows_them_either(config: Path, override: str) -> None:
    assert not [line for line in problems(config, override) if "planted" in line or "Secret" in line]


def test_broken_yaml_is_not_quoted(config: Path) -> None:
    config.write_text(f"logs: {{path: {PLANTED}\nscore: [")
    (line,) = problems(config)
    assert "not valid YAML" in line
    assert "line 2" in line or "line 3" in line
    assert "planted" not in line


def test_a_value_that_a_few_aliases_make_huge_is_searched_once(config: Path) -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    lists = [f"&a [{PLANTED}]", *[f"&{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)]]
    config.write_text(f"{config.read_text()}\nseeds: [{', '.join(lists)}]\n")
    assert len(problems(config)) == 1
