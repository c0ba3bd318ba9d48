"""What an artefact was made from, which decides whether making it again would give the same result.

Datasets, nights, checkpoints, comparisons and search trials all record a `Provenance` and compare it with the one that
they would be made from now.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, RootModel, model_validator

_DISTRIBUTION = "attentional-fm"


class Provenance(RootModel[dict[str, Any]]):
    """The inputs of an artefact by name: a digest, a fingerprint, or values that JSON can hold."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _as_json(cls, data: Any) -> Any:
        """Tuples become lists and keys become text, so that what was read back equals what was written."""
        return json.loads(json.dumps(data)) if isinstance(data, Mapping) else data

    @classmethod
    def of(cls, **inputs: Any) -> Self:
        """The provenance with these inputs."""
        return cls(inputs)

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs by name."""
        return self.root

    @property
    def digest(self) -> str:
        """24 hexadecimal digits over all inputs; equal digests mean equal inputs."""
        return text_digest(json.dumps(self.inputs, sort_keys=True))

    def changed(self, earlier: "Provenance | None") -> list[str]:
        """Names of the inputs that differ from those of an earlier artefact; all of them where there is none."""
        before = earlier.inputs if earlier else {}
        return [name for name in self.inputs if name not in before or before[name] != self.inputs[name]]

    def differences(self, earlier: "Provenance") -> list[str]:
        """Every value that differs, as `key was A, is B`, with keys such as `train.learning_rate`."""
        return list(_differences(earlier.inputs, self.inputs))


def text_digest(*parts: str) -> str:
    """24 hexadecimal digits (SHA-256) over a few texts and their boundaries."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def settings_digest(settings: BaseModel, *, include: Any = None, exclude: Any = None) -> str:
    """Digest of the settings that decide an artefact.

    Args:
        include, exclude: sections and keys, as pydantic's `model_dump` takes them.
    """
    return text_digest(settings.model_dump_json(include=include, exclude=exclude))


def software_version() -> str:
    """Version of this package, or `unknown` where it runs without having been installed, as with --py-files."""
    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def _differences(earlier: Any, now: Any, key: str = "") -> Iterator[str]:
    if isinstance(earlier, dict) and isinstance(now, dict):
        for name in sorted(earlier.keys() | now.keys()):
            yield from _differences(earlier.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif earlier != now:
        yield f"{key} was {earlier}, is {now}"
