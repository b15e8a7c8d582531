"""Spoilt files, wrong options and full disks: one clear error, nothing half-written; and kills that leave no trace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SEED, CASES = 1, int(os.environ.get("FUZZ_CASES", 1500))  # two and a half minutes of a processor
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def ends_well(*command: object) -> None:
    """Run a command that prints what is wrong and then has an exit code of its own."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=TESTS.parent,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-2000:]}"


@pytest.mark.slow
def test_whatever_is_wrong_is_one_clear_error_and_leaves_nothing_half_written() -> None:
    ends_well(sys.executable, TESTS / "fuzz.py", SEED, 0, CASES - 1)


@pytest.mark.slow
def test_a_full_disk_is_one_clear_error_and_leaves_old_files_whole(tmp_path: Path) -> None:
    alone = ["unshare", "-Urm", "sh", "-c", 'mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@"', str(tmp_path)]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("this machine lets no user mount a small tmpfs, which stands for a full disk")
    ends_well(*alone, sys.executable, TESTS / "full_disk.py", tmp_path)


@pytest.mark.slow
def test_killed_commands_end_as_if_they_had_not_been_killed() -> None:
    kills = TESTS.parent / "benchmarks" / "kills.py"
    ends_well(sys.executable, kills, 5, "data-synthesize", "data-prepare", "train", "evaluate")
