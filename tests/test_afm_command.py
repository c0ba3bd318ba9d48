"""One command for all jobs."""

import subprocess
import sys

import pytest

from jobs import afm
from tests.support.files import ROOT


def test_commands_that_do_not_exist_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        afm.main(["pridict"])
    assert "error: afm pridict: no such command; did you mean predict?" in capsys.readouterr().err
    afm.main([])
    told = capsys.readouterr().out
    assert all(f"\n  {name} " in told for name in afm.COMMANDS)


def test_it_runs_a_job_whose_help_names_the_command() -> None:
    command = [sys.executable, "-m", "jobs.afm", "evaluate", "--help"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert outcome.stdout.startswith("usage: afm evaluate ")
