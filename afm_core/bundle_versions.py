"""Versions of bundles: which is which, and publishing one of them at another place."""

import json
from pathlib import Path

from afm_core.bundle import BUNDLE_CONTENT, CHECKSUM_FILE, verify_bundle
from afm_core.errors import ReplacedBundleError
from afm_core.storage.leases import LEASE
from afm_core.storage.object_store import read_object
from afm_core.storage.paths import copy_file, is_local
from afm_core.storage.publishing import AnyPlace, Condition, do_not_ask, staged


def publish_copy(source: Path, fingerprint: str, place: AnyPlace, condition: Condition = do_not_ask) -> None:
    """Publish a copy of the bundle at `source`, as a promotion does.

    Args:
        fingerprint: that of the bundle.
        condition: see `staged`.

    Raises:
        BundleError: another bundle is at `source` by now, or a file has changed since it was written.
    """
    with staged(place, BUNDLE_CONTENT, condition) as stage:
        for file in sorted(source.iterdir()):
            if file.name != LEASE:
                copy_file(file, stage / file.name)
        if verify_bundle(stage) != fingerprint:
            raise ReplacedBundleError(f"{source}: no longer {fingerprint}; nothing was published; run it again")


def fingerprint_of(path: Path) -> str:
    """The recorded fingerprint of a bundle, whose files are not verified; empty where it has none."""
    try:
        if is_local(path):
            recorded = (path / CHECKSUM_FILE).read_bytes()
        else:
            found = read_object(f"{path}/{CHECKSUM_FILE}")
            recorded = found.content if found else b""
        return str(json.loads(recorded)["fingerprint"])
    except (OSError, ValueError, KeyError):
        return ""
