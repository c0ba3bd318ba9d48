"""Whether a published night is what processing it again would publish."""

from typing import Any

from afm_core.bundle import Bundle
from afm_core.settings import Settings
from afm_core.storage.provenance import Provenance, settings_digest, software_version, text_digest
from pipelines.logs.files.tree import FileTree
from pipelines.logs.inputs import ListedLogs

_SECTIONS = {"logs", "fields", "score"}
_WITHOUT_EFFECT = {"score": {"logs", "path", "format", "bundle"}, "logs": {"path", "first_date", "last_date"}}

UP_TO_DATE = "up to date"


def night_provenance(settings: Settings, bundle: Bundle, logs: ListedLogs, options: dict[str, Any]) -> Provenance:
    """Everything that decides what is published for a night.

    Args:
        logs: the files of the night.
        options: what decides the result besides the settings, such as an option of the command line.
    """
    decisive = settings_digest(settings, include=_SECTIONS, exclude=_WITHOUT_EFFECT)
    return Provenance.of(
        logs=logs.fingerprint,
        settings=text_digest(decisive, repr(sorted(options.items()))),
        software=software_version(),
        model=bundle.fingerprint,
    )


def logs_have_changed(published: Provenance | None, settings: Settings, logs: FileTree) -> bool:
    """Whether a night's logs differ from those that were published; not where nobody recorded these. One listing."""
    before = published.inputs.get("logs") if published else None
    return before is not None and before != ListedLogs.of(settings.logs, logs, is_night=True).fingerprint


def what_changed(published: Provenance | None, now: Provenance) -> str:
    """How a night's inputs differ from those of what is published: `new`, such as `logs changed`, or `UP_TO_DATE`.

    Args:
        published: None where nothing is published.
    """
    if published is None:
        return "new"
    changed = now.changed(published)
    return f"{', '.join(changed)} changed" if changed else UP_TO_DATE
