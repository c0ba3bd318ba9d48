"""Time zones in text, as Spark reads them (`SparkDateTimeUtils.getZoneId`, and `ZoneId.of` of Java)."""

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(?:(\d{1,2})|(\d\d):?(\d\d)(?::?(\d\d))?)")
_LARGEST_OFFSET = timedelta(hours=18)
_SHORT_IDS = {  # java.time.ZoneId.SHORT_IDS
    "ACT": "Australia/Darwin",
    "AET": "Australia/Sydney",
    "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo",
    "AST": "America/Anchorage",
    "BET": "America/Sao_Paulo",
    "BST": "Asia/Dhaka",
    "CAT": "Africa/Harare",
    "CNT": "America/St_Johns",
    "CST": "America/Chicago",
    "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa",
    "ECT": "Europe/Paris",
    "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MIT": "Pacific/Apia",
    "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland",
    "PLT": "Asia/Karachi",
    "PNT": "America/Phoenix",
    "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles",
    "SST": "Pacific/Guadalcanal",
    "VST": "Asia/Ho_Chi_Minh",
    "EST": "-05:00",
    "MST": "-07:00",
    "HST": "-10:00",
}


@lru_cache(maxsize=1024)
def zone_of(text: str) -> tzinfo | None:
    """The time zone that a text names, such as `Z`, `+1`, `UTC-08:00`, `CST` or `Europe/Berlin`; None if none."""
    name = re.sub(r"([+-])(\d):", r"\g<1>0\2:", text.strip(), count=1)
    name = re.sub(r"([+-])(\d\d):(\d)$", r"\1\2:0\3", name)
    name = _SHORT_IDS.get(name, name)
    if name in ("Z", "UTC", "GMT", "UT"):
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset:
        return _fixed(*offset.groups())
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _fixed(sign: str, alone: str | None, hours: str | None, minutes: str | None, seconds: str | None) -> tzinfo | None:
    parts = [int(part or 0) for part in (alone or hours, minutes, seconds)]
    offset = timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])
    if offset > _LARGEST_OFFSET or max(parts[1:]) > 59:
        return None
    return timezone(-offset if sign == "-" else offset)
