"""Heartbeats name a missing rank; what becomes of their files ends no training."""

import os
from pathlib import Path

import pytest

from afm_core.errors import MachineError
from pipelines.training.rank_heartbeats import RankHeartbeats


def test_a_rank_that_is_behind_is_named(tmp_path: Path) -> None:
    ranks = [RankHeartbeats(tmp_path, rank, 2) for rank in range(2)]
    ranks[0].begin()
    assert ranks[0].missing_ranks().startswith(f"rank 1 (process {os.getpid()} on ")
    assert ranks[0].missing_ranks().endswith("is 1 collective operation(s) behind")


def test_a_file_that_can_be_written_no_more_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As with ESTALE of NFS; here the descriptor is gone."""
    heartbeats = RankHeartbeats(tmp_path, 0, 1)
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    (ours,) = [link for link in links if link.resolve() == tmp_path / "rank-0"]
    os.close(int(ours.name))
    for _ in range(3):
        heartbeats.begin()
    printed = " ".join(capsys.readouterr().err.split())
    assert printed.count("Bad file descriptor; if a rank is lost, another one may be named by mistake") == 1


def test_a_planted_link_is_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "rank-0").symlink_to(tmp_path / "victim")
    with pytest.raises(MachineError, match=r"rank-0: is a symbolic link to .*victim"):
        RankHeartbeats(tmp_path, 0, 1)
    assert (tmp_path / "victim").read_text() == "precious"
