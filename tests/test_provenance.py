"""Provenance says where a result comes from, never fails, and never tells who made it."""

import getpass
import json
import os
import platform
import socket
import subprocess
from pathlib import Path

import numpy
import pytest

import rnlib
from rnlib import provenance as module
from rnlib.provenance import git_state, hardware, provenance, without_private_paths


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *settings, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_says_versions_machine_seeds_and_what_it_is_given() -> None:
    made = provenance({"model": 3}, epochs=2)
    assert made["rnlib"] == rnlib.__version__
    assert made["python"] == platform.python_version()
    assert made["packages"]["numpy"] == numpy.__version__
    assert made["packages"].keys() >= {"torch", "torchvision", "pandas", "papermill"}
    assert made["seeds"] == {"model": 3}
    assert made["epochs"] == 2
    assert made["time"].endswith("+00:00")
    assert made["hardware"]["cores"] >= 1
    assert made["hardware"]["cpu"]
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_names_no_host_no_user_and_no_absolute_path() -> None:
    home = Path.home()
    made = provenance(
        clevr=str(home / "data" / "CLEVR_v1.0"), nested=[{"weights": home / "best"}], note=f"see {home}/x"
    )
    text = json.dumps(made, ensure_ascii=False)
    assert str(home) not in text
    assert str(Path(rnlib.__file__).parents[1]) not in text
    # Names as short as "a" or as common as "root" could stand in any text.
    for private in (socket.gethostname(), getpass.getuser()):
        assert len(private) < 6 or private not in text
    assert made["clevr"] == "…/CLEVR_v1.0"
    assert made["nested"] == [{"weights": "…/best"}]
    assert made["note"] == "see ~/x"


@pytest.mark.parametrize("text", ["a/relative/path", "CLEVR_v1.0", "3 / 4", "", "~/data"])
def test_other_texts_are_left_alone(text: str) -> None:
    assert without_private_paths(text) == text


def test_a_windows_path_is_shortened() -> None:
    assert without_private_paths(r"C:\Users\ann\CLEVR_v1.0") == "…/CLEVR_v1.0"


def test_git_state_gives_the_commit_and_notices_changes(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None, "there is no commit yet"
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "file").write_text("two")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}
    # A folder inside somebody else's checkout is not that checkout.
    (tmp_path / "site-packages").mkdir()
    assert git_state(tmp_path / "site-packages") is None


def test_never_fails_without_git_proc_or_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "_read", lambda path: "")
    monkeypatch.setattr(module, "PACKAGES", ("no-such-package",))
    made = provenance()
    assert made["git"] is None
    assert made["packages"] == {"no-such-package": None}
    assert made["hardware"]["memory_gib"] is None
    assert made["hardware"]["cpu"]


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="needs Linux")
def test_the_cpu_is_named_in_words_and_instruction_sets_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "/proc/cpuinfo": "processor : 0\nmodel name\t: Fast CPU 9000\nflags\t\t: fpu avx2 avx512_bf16 amx_bf16\n",
        "/proc/meminfo": "MemTotal:       16777216 kB\n",
    }
    monkeypatch.setattr(module, "_read", texts.__getitem__)
    machine = hardware()
    assert machine["cpu"] == "Fast CPU 9000"
    assert machine["instructions"] == ["avx2", "avx512_bf16", "amx_bf16"]
    assert machine["memory_gib"] == 16.0
