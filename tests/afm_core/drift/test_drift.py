import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from afm_core.bundle import read_bundle
from afm_core.drift.baseline import IdBins, NumberBins
from afm_core.drift.field_bins import FieldBins
from afm_core.drift.stability_index import Shift, population_shift
from afm_core.settings.score import DriftSettings
from pipelines.dataset import Dataset
from pipelines.scoring.monitoring.drift import drifted
from tests.support.small import Small


def test_the_index_is_the_sum_over_bins() -> None:
    p, q = [60.5, 30.5, 10.5], [20.5, 20.5, 60.5]
    expected = sum((b / 101.5 - a / 101.5) * math.log(b / a) for a, b in zip(p, q, strict=True))
    shift = population_shift(np.array([60, 30, 10]), np.array([20, 20, 60]))
    assert shift.index == pytest.approx(expected, rel=1e-12)
    assert population_shift(np.array([600, 300]), np.array([60, 30])).index == pytest.approx(0.0, abs=1e-3)


def test_chance_alone_hardly_passes_the_limit() -> None:
    random, expected = np.random.default_rng(1), np.full(10, 1000)
    for rows in (20, 200, 5000):
        shifts = [population_shift(expected, random.multinomial(rows, np.full(10, 0.1))) for _ in range(500)]
        assert not any(found.exceeds(0.05) for found in shifts)
        assert all(found.noise < 30 / rows + 30 / expected.sum() for found in shifts)


def test_what_is_ignored_or_has_no_limit_is_not_beyond_it() -> None:
    shifts = {"weekday": Shift(2.0, 0.1), "app": Shift(0.35, 0.1), "user": Shift(0.25, 0.1)}
    assert drifted(shifts, DriftSettings(ignore=("weekday",)), 0.2) == {"app": 0.35}
    assert drifted(shifts, DriftSettings(), None) == {}


def test_bins_have_about_equal_shares_and_leave_out_what_is_unknown(small: Small) -> None:
    features = small.settings.dataset.path / "features.parquet"
    bins, table = FieldBins.of(features), pq.read_table(features).to_pylist()
    assert list(bins.first) == ["user", "app", "daypart", "weekday", "place"]
    for row in table:
        in_a_bin = bins.bin_of_id[row["id"]] >= 0
        assert in_a_bin == (row["value"] is not None and row["count"] > 0)
    ends = [*list(bins.first.values())[1:], len(bins.expected)]
    for (name, start), end in zip(bins.first.items(), ends, strict=True):
        rows = [row for row in table if row["field"] == name and row["value"] is not None]
        assert bins.expected[start:end].sum() == sum(row["count"] for row in rows)
        assert 2 <= end - start <= min(10, len(rows))
    assert bins.shifts(bins.expected)["user"].index == 0.0
    moved = bins.expected.copy()
    moved[bins.first["place"]] *= 20
    assert [name for name, found in bins.shifts(moved).items() if found.exceeds(0.2)] == ["place"]


def test_a_field_without_counts_is_not_compared(small: Small, tmp_path: Path) -> None:
    table, counts = pq.read_table(small.settings.dataset.path / "features.parquet"), []
    for field, count in zip(table["field"].to_pylist(), table["count"].to_pylist(), strict=True):
        counts.append(None if field == "place" else count)
    without = table.set_column(3, table.schema.field(3), pa.array(counts, pa.int64()))
    pq.write_table(without, tmp_path / "features.parquet")
    assert list(FieldBins.of(tmp_path / "features.parquet").first) == ["user", "app", "daypart", "weekday"]


def test_chance_in_a_small_training_is_no_drift_either() -> None:
    random, shares = np.random.default_rng(2), np.full(10, 0.1)
    shifts = [population_shift(random.multinomial(100, shares), random.multinomial(10_000, shares)) for _ in range(500)]
    assert max(found.index for found in shifts) > 0.2
    assert not any(found.exceeds(0.05) for found in shifts)


def test_ids_that_a_profile_does_not_list_share_a_bin() -> None:
    ids = np.repeat(np.arange(2000), np.r_[np.full(10, 500), np.ones(1990, dtype=int)])
    profile = IdBins.fit(ids)
    assert len(profile.ids) == 1000
    assert profile.ids[:10] == tuple(range(10))
    assert profile.rows[-1] == 1000
    assert sum(profile.rows) == len(ids)


def test_the_profile_of_scores_has_bins_of_about_equal_share() -> None:
    scores = np.concatenate([np.full(500, 1.0), np.linspace(-1, 0.99, 500)]).astype(np.float32)
    profile = NumberBins.fit(scores)
    assert sum(profile.rows) == 1000
    assert profile.rows[-1] == 500, "half of the scores are the same"
    assert list(profile.edges) == sorted(set(profile.edges))
    assert NumberBins.fit(scores[:0]) == NumberBins(edges=(), rows=(0,))


def test_a_bundle_says_how_the_positives_were_scored(small: Small) -> None:
    positives = Dataset.open(small.settings.dataset.path).manifest.splits["valid"].positives
    assert sum(read_bundle(small.settings.run.bundle).drift_baseline.scores.rows) == positives
