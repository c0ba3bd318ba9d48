"""Times in text, as `pipelines.logs.values.timestamp` reads them."""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

import pyarrow as pa
import pyarrow.compute as pc

from afm_core.features import Time
from afm_core.prediction.distinct import by_distinct_value
from afm_core.prediction.time_patterns import EPOCH, MICROSECOND, time_pattern
from afm_core.prediction.time_zones import zone_of

_NUMBER = re.compile(r"-?\d{1,18}(\.\d+)?", re.ASCII)
_DAY_AND_HOUR = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])", re.ASCII)
_UNITS = {"epoch_s": Decimal(1), "epoch_ms": Decimal(1_000), "epoch_us": Decimal(1_000_000)}
_PLAUSIBLE_SECONDS, _LARGEST_SECONDS = (631_152_000, 4_102_444_800), Decimal(10) ** 11
_EXACT = Decimal("0.000001")
_ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?([^\d.:].*)?)?)?)?", re.ASCII
)
_USUAL = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?)?$"
_SPACE = "".join(map(chr, range(33)))  # what Spark trims: blanks and control characters


def timestamps(texts: pa.Array, format: str | None) -> pa.Array:
    """(N,) text to timestamps with microseconds in UTC, null for null and where a text is no time.

    Cost: those in ISO's usual notation are parsed by Arrow; of all others each distinct one by Python.

    Raises:
        RowsError: `format` is a pattern that only Spark can read.
    """
    if format is None and (pc.all(pc.match_substring_regex(texts, _USUAL)).as_py() or texts.null_count == len(texts)):
        try:
            return texts.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
        except pa.ArrowInvalid:  # such as the 30th of February, which is a missing value
            pass
    return by_distinct_value(texts, _reader(format), pa.int64()).cast(pa.timestamp("us", "UTC"))


def part_of_time(times: pa.Array, declared: Time) -> pa.Array:
    """(N,) the value of a time field as text, from timestamps or null."""
    local = times.cast(pa.timestamp("us", declared.timezone))
    match declared.part:
        case "hour":
            part = pc.hour(local)
        case "weekday":
            part = pc.day_of_week(local, count_from_zero=False)
        case "weekend":
            part = pc.greater_equal(pc.day_of_week(local), 5)
        case _:
            part = pc.month(local)
    return part.cast(pa.string())


def _reader(format: str | None) -> Callable[[str], int | None]:
    if format is None:
        return _iso_or_seconds
    unit = _UNITS.get(format)
    if unit is None:
        return time_pattern(format).microseconds
    return lambda text: _since_1970(text, unit)


def _since_1970(text: str, unit: Decimal) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    seconds = Decimal(text).quantize(_EXACT, ROUND_HALF_UP) / unit
    return _microseconds(seconds) if abs(seconds) < _LARGEST_SECONDS else None


def _iso_or_seconds(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return _iso(text)
    seconds = Decimal(text).quantize(_EXACT, ROUND_HALF_UP)
    first, last = _PLAUSIBLE_SECONDS
    return _microseconds(seconds) if first <= seconds <= last and not _DAY_AND_HOUR.fullmatch(text) else None


def _microseconds(seconds: Decimal) -> int:
    return int((seconds / _EXACT).quantize(Decimal(1), ROUND_HALF_UP))


def _iso(text: str) -> int | None:
    match = _ISO.fullmatch(text.strip(_SPACE))
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    fraction, zone = (match[7] or "").ljust(6, "0")[:6], zone_of(match[8] or "Z")
    try:
        time = datetime(year, month, day, hour, minute, second, int(fraction), zone)
    except ValueError:
        return None
    return (time - EPOCH) // MICROSECOND if zone else None
