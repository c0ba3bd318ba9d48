"""Patterns of times as Spark reads them: those of Java's `DateTimeFormatter`, strict and without regard to case.

A pattern becomes a regular expression with a group for each of its fields.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from afm_core.errors import RowsError
from afm_core.prediction.time_zones import zone_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_OFFSETS = {1: r"[+-]\d\d(?:\d\d)?", 2: r"[+-]\d{4}", 3: r"[+-]\d\d:\d\d"}
_PARTS = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|(?P<letters>([A-Za-z])\3*)|(?P<other>.)", re.DOTALL)
_NUMBERS = {"y": "year", "M": "month", "d": "day", "H": "hour", "h": "clock", "m": "minute", "s": "second"}
_Groups = dict[str, str | None]


class TimePattern:
    """One pattern."""

    def __init__(self, pattern: str) -> None:
        """Compile it.

        Raises:
            RowsError: Spark can read it, and this class cannot.
        """
        self._pattern = pattern
        self._expression = re.compile("".join(self._expressions()), re.IGNORECASE | re.ASCII)

    def microseconds(self, text: str) -> int | None:
        """Microseconds since 1970 of a text, in UTC where it has no zone; None if the pattern does not match."""
        match = self._expression.fullmatch(text)
        return _microseconds(match.groupdict()) if match else None

    def _expressions(self) -> Iterator[str]:
        seen = set[str]()
        follows_number = False
        for part in _PARTS.finditer(self._pattern):
            letters = part["letters"]
            if not letters:
                quoted = part["quoted"]
                literal = part["other"] if quoted is None else quoted.replace("''", "'") or "'"
                yield self._literal(literal, is_quoted=quoted is not None)
                follows_number = follows_number and literal in "[]"
                continue
            letter, width = letters[0], len(letters)
            if letter in seen or (letter == "S" and follows_number):
                raise self._unsupported(letters)
            seen.add(letter)
            yield self._field(letter, width)
            follows_number = letter in _NUMBERS and not (letter == "M" and width > 2)

    def _literal(self, text: str, *, is_quoted: bool) -> str:
        if is_quoted or text not in "[]{}#":
            return re.escape(text)
        if text not in "[]":
            raise self._unsupported(text)
        return "(?:" if text == "[" else ")?"

    def _field(self, letter: str, width: int) -> str:
        names = [month[: 3 if width == 3 else None] for month in _MONTHS]
        match letter, width:
            case "y", 2:
                return r"(?P<short_year>\d\d)"
            case "y", 4:
                return r"(?P<year>\d{4})"
            case ("y", 1):
                return r"(?P<year>\d{1,19})"
            case (("M" | "d" | "H" | "h" | "m" | "s"), (1 | 2)):
                return rf"(?P<{_NUMBERS[letter]}>\d{'{1,19}' if width == 1 else '{2}'})"
            case "M", (3 | 4):
                return f"(?P<month_name>{'|'.join(names)})"
            case "S", _ if width <= 9:
                return rf"(?P<fraction>\d{{1,{width}}})"
            case "a", 1:
                return "(?P<half>AM|PM)"
            case (("X" | "x"), (1 | 2 | 3)):
                return f"(?P<zone>{'Z|' if letter == 'X' else ''}{_OFFSETS[width]})"
            case "V", 2:
                return r"(?P<zone>[A-Za-z0-9/_~:+-]+)"
        raise self._unsupported(letter * width)

    def _unsupported(self, part: str) -> RowsError:
        return RowsError(f"the time format {self._pattern!r} cannot be read without Spark, because of {part!r}")


@lru_cache(maxsize=64)
def time_pattern(pattern: str) -> TimePattern:
    """The pattern, compiled once."""
    return TimePattern(pattern)


def _microseconds(part: _Groups) -> int | None:
    zone_text = part.get("zone") or "Z"
    zone = zone_of("Z" if zone_text == "z" else zone_text)
    hour = int(part.get("hour") or 0)
    if part.get("clock") is not None and part.get("hour") is None:
        clock = int(part["clock"] or 0)
        if not 1 <= clock <= 12:
            return None
        hour = clock % 12 + 12 * ((part.get("half") or "").upper() == "PM")
    if zone is None:
        return None
    try:
        time = datetime(
            _year(part),
            _month(part),
            int(part.get("day") or 1),
            hour,
            int(part.get("minute") or 0),
            int(part.get("second") or 0),
            int((part.get("fraction") or "0").ljust(6, "0")[:6]),
            zone,
        )
    except (ValueError, OverflowError):
        return None
    return (time - EPOCH) // MICROSECOND


def _year(part: _Groups) -> int:
    short = part.get("short_year")
    return 2000 + int(short) if short else int(part.get("year") or EPOCH.year)


def _month(part: _Groups) -> int:
    name = part.get("month_name")
    if name:
        return next(number for number, month in enumerate(_MONTHS, 1) if month[:3].lower() == name[:3].lower())
    return int(part.get("month") or 1)
