"""Machine code is made once on a machine, anew when what it is made of changes, and also where it cannot be kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnlib
from rnlib.synthesis import pictures

PROGRAM = """
import sys
import numpy as np
from numba.core import event

made = []

class Listener(event.Listener):
    def on_start(self, e):
        made.append(e)
    def on_end(self, e):
        pass

event.register("numba:compile", Listener())
from rnlib.synthesis.pictures import draw
from rnlib.synthesis.scenes import sample_scene

scene, view = sample_scene(np.random.default_rng(0), (3, 3), (480, 320))
np.save(sys.argv[1], draw([scene], [view], (32, 32)))
print(len(made))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of what draws pictures."""
    root = Path(rnlib.__file__).parent
    copy = tmp_path / "package" / "rnlib"
    for name in ("__init__.py", "compiled.py", "errors.py", "files.py", "synthesis", "clevr"):
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, copy / name)
    return copy


def drawn(package: Path, before: str = "") -> tuple[np.ndarray, int]:
    """A picture as a process of its own draws it, and how many functions that process turned into machine code."""
    out = package.parent / "picture.npy"
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-c", before + PROGRAM, str(out)]
    environment["PYTHONPATH"] = str(package.parent)
    done = subprocess.run(
        command, cwd=package.parent, capture_output=True, text=True, env=environment, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) <= 1, done.stderr  # a note, said once
    return np.load(out), int(done.stdout)


@pytest.mark.slow
def test_machine_code_is_kept_until_a_file_changes_that_it_is_made_of(package: Path) -> None:
    first, made = drawn(package)
    assert made > 10
    again, made = drawn(package)
    assert made == 0
    np.testing.assert_array_equal(first, again)
    light = package / "synthesis" / "light.py"
    light.write_text(light.read_text().replace("AMBIENT = 0.066", "AMBIENT = 0.166"))
    # A limit on the size of files stands in for a full disk: machine code is larger, the picture is not.
    brighter, made = drawn(package, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n")
    assert made > 10
    assert brighter.mean() > first.mean() + 5
    for kept in package.rglob("*.nb[ic]"):
        kept.write_bytes(kept.read_bytes()[:30])
    again, made = drawn(package)
    assert made > 10
    np.testing.assert_array_equal(again, brighter)
    _, made = drawn(package)
    assert made == 0


def test_all_modules_that_machine_code_comes_from_decide_whether_it_is_the_one_kept() -> None:
    names = {module.__name__ for module in pictures._MODULES}
    for module in pictures._MODULES:
        for value in vars(module).values():
            source = getattr(getattr(value, "py_func", None), "__module__", None)
            assert source is None or source in names
