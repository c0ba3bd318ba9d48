"""Which nights are to be processed."""

from datetime import date
from pathlib import Path

import pytest

from afm_core.errors import AfmError, LogsError
from pipelines.logs.files.local import LocalTree
from pipelines.scoring.night_dates import find_night, missing_nights, nights_between, nights_in


def unchanged(night: date, logs: object) -> bool:
    return False


def test_missing_nights_are_counted_from_the_newest_logs(tmp_path: Path) -> None:
    for name in ("dt=2026-01-01", "dt=2026-01-05", "dt=2026-01-06", "dt=2026-01-08", "dt=never"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    (tmp_path / "scores" / "dt=2026-01-06").mkdir(parents=True)
    logs, scores = LocalTree(tmp_path / "logs"), nights_in(LocalTree(tmp_path / "scores"))
    assert missing_nights(logs, scores, 4, unchanged) == [date(2026, 1, 5), date(2026, 1, 8)]
    assert missing_nights(logs, scores, 14, unchanged) == [date(2026, 1, 1), date(2026, 1, 5), date(2026, 1, 8)]
    assert missing_nights(logs, scores, 10**12, unchanged) == missing_nights(logs, scores, 14, unchanged)
    assert missing_nights(logs, scores, 1, unchanged) == [date(2026, 1, 8)]
    assert missing_nights(LocalTree(tmp_path / "none"), scores, 14, unchanged) == []
    assert scores == [date(2026, 1, 6)]
    assert nights_between(date(2026, 1, 30), date(2026, 2, 1))[1:] == [date(2026, 1, 31), date(2026, 2, 1)]
    with pytest.raises(AfmError, match="the last night is before the first"):
        nights_between(date(2026, 1, 2), date(2026, 1, 1))


@pytest.mark.parametrize("inside", ["_delta_log/00.json", "metadata/v1.metadata.json", ".hoodie/hoodie.properties"])
def test_a_night_of_a_table_is_not_read_as_its_files(tmp_path: Path, inside: str) -> None:
    for name in ("dt=2026-01-01/part-0.parquet", inside):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(LogsError, match="whose files also hold rows that were removed; register it"):
        find_night(LocalTree(tmp_path), date(2026, 1, 1))


def test_a_night_beside_a_folder_called_metadata(tmp_path: Path) -> None:
    for name in ("dt=2026-01-01/a.csv", "metadata/readme.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_night(LocalTree(tmp_path), date(2026, 1, 1)) == tmp_path / "dt=2026-01-01"
