"""Whether a published night is what scoring it again would publish."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from afm_core.bundle import Bundle
from afm_core.errors import EmptyLogsError
from afm_core.settings import Settings
from pipelines.encoding.digest import text_digest
from pipelines.logs.sources import fingerprint

_SECTIONS = {"logs", "fields", "score"}
_WHERE = {"score": {"logs", "path", "bundle", "items", "popular_items"}, "logs": {"path", "first_date", "last_date"}}


def made_from(settings: Settings, bundle: Bundle, folder: Path, explain: int) -> dict[str, str]:
    """A digest of each thing that decides the scores of a night.

    Args:
        folder: of the night's logs.

    Raises:
        LogsError: files that Spark would leave out.
    """
    try:
        logs = fingerprint(settings.logs, folder) or ""
    except EmptyLogsError:
        logs = "empty"
    try:
        software = version("attentional-fm")
    except PackageNotFoundError:
        software = "unknown"
    decisive = settings.model_dump_json(include=_SECTIONS, exclude=_WHERE)
    return {
        "logs": logs,
        "settings": text_digest(decisive, str(explain)),
        "software": software,
        "model": bundle.fingerprint,
    }


def what_changed(before: dict[str, str], now: dict[str, str]) -> str:
    """In words; empty where nothing did."""
    return ", ".join(name for name, digest in now.items() if before.get(name) != digest)
