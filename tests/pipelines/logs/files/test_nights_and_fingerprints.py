"""Nights and fingerprints, asked of every kind of storage."""

import os
from datetime import date

import pytest

from afm_core.errors import LogsError, ReplacedLogsError
from afm_core.settings.data import LogsSettings
from pipelines.logs.inputs import Inputs, ListedLogs
from pipelines.scoring.night_dates import find_night, missing_nights, nights_in
from tests.support.storages import Storage

DAYS = {f"dt=2026-01-0{day}/a.csv": "x" for day in (1, 2, 3)}


def unchanged(night: date, logs: object) -> bool:
    return False


def test_a_fingerprint_changes_with_any_file_that_is_read(storage: Storage) -> None:
    def fingerprint(name: str = "", is_night: bool = False, **logs: object) -> str:
        settings = LogsSettings.model_validate({"path": "anything", **logs})
        return ListedLogs.of(settings, storage.tree(name), is_night=is_night).fingerprint

    storage.write({**DAYS, "dt=2026-01-01/_SUCCESS": ""})
    before, of_two_days = fingerprint(), fingerprint(last_date="2026-01-02")
    night = fingerprint("dt=2026-01-03", is_night=True, last_date="2026-01-02")
    assert len({before, of_two_days, night}) == 3
    assert fingerprint() == before, "it is the same as long as nothing changes"
    if not storage.is_remote:  # other storage takes its own time
        os.utime(storage.local / "dt=2026-01-03" / "a.csv", ns=(0, 10**18))
        assert fingerprint() != before
    storage.write({"dt=2026-01-03/a.csv": "xy"})
    assert fingerprint() != before
    assert fingerprint("dt=2026-01-03", is_night=True, last_date="2026-01-02") != night
    if not storage.is_remote:  # there the upload has given the others new times as well
        assert fingerprint(last_date="2026-01-02") == of_two_days


def test_a_replaced_file_is_a_change_and_a_new_one_only_where_files_are_read_twice(storage: Storage) -> None:
    storage.write(DAYS)
    listed = ListedLogs.of(LogsSettings.model_validate({"path": "anything"}), storage.tree())
    of_logs, of_joined = Inputs(listed, ()), Inputs(None, (listed,))
    of_logs.require_unchanged()
    of_joined.require_unchanged()
    if not storage.is_remote:  # there an upload replaces all files
        storage.write({"dt=2026-01-04/b.csv": "x"})
        of_logs.require_unchanged()
        with pytest.raises(ReplacedLogsError, match=r"dt=2026-01-04/b\.csv: was written or removed while"):
            of_joined.require_unchanged()
    removed = ListedLogs.of(LogsSettings.model_validate({"path": "any"}), storage.tree("dt=2026-01-03"), is_night=True)
    storage.delete("dt=2026-01-03/a.csv")
    with pytest.raises(ReplacedLogsError, match="dt=2026-01-03"):
        Inputs(removed, ()).require_unchanged()
    storage.write({"dt=2026-01-02/a.csv": "other"})
    with pytest.raises(ReplacedLogsError, match=r"a\.csv: was written or removed while the job read it"):
        of_logs.require_unchanged()


def test_nights(storage: Storage) -> None:
    storage.write({**DAYS, "dt=2026-02-01/h=1/a.csv": "", "dt=never/a.csv": "", "x/a.csv": "", "dt=2026-01-07": ""})
    nights = [date(2026, 1, day) for day in (1, 2, 3)]
    assert nights_in(storage.tree()) == [*nights, date(2026, 2, 1)]
    assert nights_in(storage.tree("nowhere")) == []
    assert storage.below(find_night(storage.tree(), nights[0])) == "dt=2026-01-01"
    with pytest.raises(LogsError) as caught:
        find_night(storage.tree(), date(2026, 1, 7))
    available = "the nights there are 2026-01-01 to 2026-02-01; correct --date or score.logs"
    assert str(caught.value) == f"{storage.root}: no logs for 2026-01-07; {available}"
    with pytest.raises(LogsError, match="no dt=YYYY-MM-DD folder is there"):
        find_night(storage.tree("x"), nights[0])
    assert missing_nights(storage.tree(), nights_in(storage.tree("x")), 31, unchanged) == [
        nights[1],
        nights[2],
        date(2026, 2, 1),
    ]
    assert missing_nights(storage.tree(), nights_in(storage.tree("x")), 1, unchanged) == [date(2026, 2, 1)]


def test_a_night_whose_files_were_deleted(storage: Storage) -> None:
    """In a file system an empty folder is a night without events; in a bucket it is a trace that some servers keep."""
    storage.write(DAYS)
    for name in ("dt=2026-01-01/a.csv", "dt=2026-01-02/a.csv"):
        storage.delete(name)
    is_bucket = storage.is_remote and not storage.root.has_folders  # type: ignore[union-attr]
    expected = [date(2026, 1, 3)] if is_bucket else [date(2026, 1, day) for day in (1, 2, 3)]
    assert nights_in(storage.tree()) == expected
    assert missing_nights(storage.tree(), nights_in(storage.tree("nowhere")), 14, unchanged) == expected
    if is_bucket:
        with pytest.raises(LogsError, match="no logs for 2026-01-02; the nights there are 2026-01-03 to 2026-01-03"):
            find_night(storage.tree(), date(2026, 1, 2))
    else:
        assert storage.below(find_night(storage.tree(), date(2026, 1, 2))) == "dt=2026-01-02"
