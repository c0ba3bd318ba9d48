"""Every kind of field in training and in nights."""

from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest

from afm_core.bundle import read_bundle
from afm_core.settings import load_settings
from pipelines.dataset import Dataset
from pipelines.evaluation.predictions import score_split
from pipelines.scoring.usually_missing import usually_missing
from tests.support.field_kinds import Prepared
from tests.support.jobs import run_main
from tests.support.nights import read_manifest


def test_training_and_scoring_see_the_same_rows(kinds: Prepared) -> None:
    kinds.train_once()
    run_main("score", kinds.config, "--date", "2026-03-27")
    scores = pq.read_table(kinds.folder / "scores" / "dt=2026-03-27").to_pandas()
    assert len(scores) == len(kinds.logs)
    settings = load_settings(kinds.config)
    dataset, bundle = Dataset.open(settings.dataset.path), read_bundle(settings.run.bundle)
    # The positives outside training count nothing of themselves, as in scoring.
    for split in ("valid", "test"):
        ours = score_split(bundle.scorer, dataset, split)
        for score in ours.score[ours.label > 0]:
            assert np.abs(scores["score"] - score).min() < 1e-6
    assert scores["score"].nunique() > 100


def test_drift_of_every_kind_is_seen_in_its_field_only(kinds: Prepared) -> None:
    kinds.train_once()
    dearer = kinds.logs.assign(price=kinds.logs["price"] * 20)
    lonely = kinds.logs.assign(user="u2", ip="10.0.0.7")
    for day, logs in (("01", kinds.logs), ("02", dearer), ("03", lonely)):
        night = kinds.folder / "logs" / f"dt=2026-04-{day}"
        night.mkdir()
        logs.to_csv(night / "logs.csv", index=False)
    run_main("score", kinds.config, "--from", "2026-04-01", "--to", "2026-04-03")
    scores = load_settings(kinds.config).nightly.path
    usual, dear, alone = (read_manifest(scores, date(2026, 4, day)) for day in (1, 2, 3))
    assert usual
    assert dear
    assert alone
    assert set(usual.drift) == {*kinds.feature_map.names, "score"}
    assert not set(usual.drifted) - {"score"}
    assert set(dear.drifted) - {"score"} == {"price", "price_log", "price_bucket"}
    # The validation split's 120 rows say little of many bins: enough to see the shift, not always to call it one.
    seen_at_least = {"user_hour", "goes_with"}
    assert set(alone.drifted) - {"score"} - seen_at_least == {"user", "ip", "n_user_category"}
    for name in seen_at_least:
        assert alone.drift[name] > 1.5 * usual.drift[name]


def test_a_column_that_is_empty_all_night_is_named(kinds: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    kinds.train_once()
    empty = {"01": "age", "02": "genres", "03": "ip", "04": "ts"}
    for day, name in empty.items():
        night = kinds.folder / "logs" / f"dt=2026-05-{day}"
        night.mkdir()
        kinds.logs.assign(**{name: None}).to_csv(night / "logs.csv", index=False)
    nearly = kinds.folder / "logs" / "dt=2026-05-06"
    nearly.mkdir()
    kinds.logs.assign(age=[30, *[None] * (len(kinds.logs) - 1)]).to_csv(nearly / "logs.csv", index=False)
    with pytest.raises(SystemExit):
        run_main("score", kinds.config, "--from", "2026-05-01", "--to", "2026-05-06")
    errors = capsys.readouterr().err
    for name in empty.values():
        assert f"column {name} is absent or empty in all {len(kinds.logs)} rows" in errors
    assert [path.name for path in (kinds.folder / "scores").glob("dt=2026-05-*")] == ["dt=2026-05-06"]


def test_a_small_night_may_lack_what_is_optional(kinds: Prepared) -> None:
    kinds.train_once()
    optional = ["age", "genres", "ip", "ts", "price"]
    night = kinds.folder / "logs" / "dt=2026-06-01"
    night.mkdir()
    kinds.logs.head(1).assign(**dict.fromkeys(optional)).to_csv(night / "logs.csv", index=False)
    run_main("score", kinds.config, "--date", "2026-06-01")
    manifest = read_manifest(kinds.folder / "scores", date(2026, 6, 1))
    assert manifest
    assert (manifest.scored, manifest.unknown["ip"]) == (1, 1.0)


def test_the_share_without_a_value_is_what_the_training_saw(kinds: Prepared) -> None:
    kinds.train_once()
    shares = usually_missing(read_bundle(load_settings(kinds.config).run.bundle))
    missing = kinds.logs["price"].isna().mean()
    assert shares["price"] == pytest.approx(missing)
    assert shares["ts"] == shares["ip"] == 0.0
    assert not {"age", "genres"} & set(shares)
