"""Spoilt files, wrong options and full disks: one clear error, nothing half-written; and kills that leave no trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SEED, CASES = 1, int(os.environ.get("FUZZ_CASES", 700))  # a minute; 1,500 take two and a half
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def ends_well(*command: object) -> None:
    """Run a script that prints what is wrong and then has an exit code of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=TESTS.parent,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-2000:]}"


@pytest.mark.slow
def test_whatever_is_wrong_is_one_clear_error_and_leaves_nothing_half_written() -> None:
    ends_well(TESTS / "fuzz.py", SEED, 0, CASES - 1)


@pytest.mark.slow
def test_killed_commands_end_as_if_they_had_not_been_killed() -> None:
    ends_well(TESTS.parent / "benchmarks" / "kills.py", 5, "data-synthesize", "data-prepare", "train", "evaluate")
