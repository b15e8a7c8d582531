"""Every command that writes, on a disk with no room left, or with a little: tests/fuzz.py says what a good end is.

    python tests/full_disk.py DISK     DISK: an empty file system of some megabytes, such as a tmpfs

Prints the cases that fail; the exit code is 1 where there are any.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import fuzz

from rnlib.runs import pipeline

NOTEBOOK = fuzz.Command(
    "run demo --run y --only 01", [], ["project/outputs/y/01_a.ipynb", "project/outputs/y/01_a.html"]
)
ROOMS = (0, 8, 60)  # KiB


def fill(disk: Path, room: int) -> None:
    """Leave so many KiB on a disk."""
    state = os.statvfs(disk)
    with open(disk / "filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - (room << 10))


def check(command: fuzz.Command, room: int, world: Path, disk: Path) -> str:
    """What is wrong with the end of a command; empty where nothing is."""
    folder = disk / "case"
    fuzz.copy_needed(command, world, folder)
    before = fuzz.files_of(folder)
    fill(disk, room)
    case = fuzz.Case(command, f"{room} KiB", command.arguments(), 1 << 60)
    code, _, errors = fuzz.run_case(case, folder, False)
    problem = fuzz.fault(case, code, errors, before, fuzz.files_of(folder))
    if not problem and code == 0 and not room and not set(command.reads) & set(command.writes):
        problem = "nothing was written"
    for path in (folder, disk / "filler"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return f"{problem}\n  rnlib {command.line}\n  {errors.strip()[-600:]}" if problem else ""


def main(disk: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rnlib-disk-") as root:
        world = Path(root, "world")
        world.mkdir()
        execute = pipeline.execute
        fuzz.prepare(world)
        pipeline.execute = execute  # notebooks are executed here
        writing = [command for command in fuzz.commands() if command.writes] + [NOTEBOOK]
        cases = [(command, room) for command in writing for room in ROOMS]
        problems = [f"{room} KiB: {found}" for command, room in cases if (found := check(command, room, world, disk))]
    print(*problems, f"{len(writing)} commands, {len(ROOMS)} sizes, {len(problems)} failed", sep="\n")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
