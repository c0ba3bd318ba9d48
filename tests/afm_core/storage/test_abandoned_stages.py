"""What a job leaves behind whose Spark is still writing when it fails."""

import subprocess
import sys
from pathlib import Path

from tests.support.files import ROOT, staging

_INTERRUPTED = """
import sys
from pathlib import Path
from afm_core.storage.places import Place
from afm_core.storage.publishing import staged

try:
    with staged(Place.of(Path(sys.argv[1])), ("a",)) as stage:
        raise KeyboardInterrupt
except KeyboardInterrupt:
    assert not stage.exists()
    (stage / "_rejects").mkdir(parents=True)
    (stage / "_rejects" / "_SUCCESS").touch()
"""


def test_what_spark_writes_after_a_failure_is_removed_when_the_job_ends(tmp_path: Path) -> None:
    """After Ctrl-C, Spark commits what it was writing, and makes the folder again that was removed."""
    subprocess.run([sys.executable, "-c", _INTERRUPTED, tmp_path / "out"], check=True, cwd=ROOT, timeout=60)
    assert (tmp_path / "out.versions").is_dir()
    assert staging(tmp_path / "out") == []
