"""Where a result comes from: code, packages, machine, seeds and the time, as plain JSON.

Nothing here can fail, and nothing tells who ran it: no host name, no user name, no
absolute path (`without_private_paths` shortens the paths among the parameters).
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path, PureWindowsPath
from typing import Any

import rnlib

PACKAGES = (
    *("torch", "torchvision", "numpy", "pillow", "pandas", "pyarrow", "scipy", "scikit-learn", "matplotlib"),
    *("seaborn", "tqdm", "msgspec", "pyyaml", "safetensors", "jaxtyping", "numba"),
    *("jupyterlab", "ipykernel", "ipywidgets", "papermill", "nbclient", "nbconvert"),
)

# Instruction sets that decide how fast bf16 is on a CPU (names as in /proc/cpuinfo).
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16", "sve")


def provenance(seeds: Mapping[str, int] | None = None, **extra: Any) -> dict[str, Any]:
    """Everything needed to say which code, on what machine, made a result; ready for JSON.

    `seeds` are the seeds by their purpose ("model", "data"); `extra` is added at the top
    level. A version is None where the package is not installed; `git` is None outside a
    git checkout of this project.
    """
    return without_private_paths(
        {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "rnlib": rnlib.__version__,
            "git": git_state(),
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in PACKAGES},
            "platform": platform.platform(),
            "hardware": hardware(),
            "seeds": dict(seeds or {}),
            **extra,
        }
    )


def git_state(folder: Path | None = None) -> dict[str, Any] | None:
    """`{"commit": ..., "dirty": ...}` of the checkout at `folder` (default: this project's).

    None where `folder` is not the top of a git checkout (an installed package, an
    unpacked archive), where there is no commit yet, or where git is not installed.
    """
    folder = folder or Path(rnlib.__file__).resolve().parents[1]
    top = _output("git", "-C", str(folder), "rev-parse", "--show-toplevel")
    # A package installed inside somebody's own repository must not report theirs.
    if top is None or Path(top).resolve() != folder.resolve():
        return None
    commit = _output("git", "-C", str(folder), "rev-parse", "--verify", "HEAD")
    changes = _output("git", "-C", str(folder), "status", "--porcelain")
    if commit is None or changes is None:
        return None
    return {"commit": commit, "dirty": bool(changes)}


def hardware() -> dict[str, Any]:
    """CPU model, usable cores, instruction sets that matter, memory in GiB, names of the GPUs."""
    cpu = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", cpu, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpu, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": model[1].strip() if model else platform.processor() or platform.machine(),
        "cores": cores,
        "instructions": [name for name in INSTRUCTIONS if flags and name in flags[1].split()],
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "gpus": _gpus(),
    }


def without_private_paths(value: Any) -> Any:
    """A copy of a JSON value in which no string is an absolute path or names the home folder.

    An absolute path keeps its last part only ("…/CLEVR_v1.0"); the home folder inside a
    longer text becomes "~". Tuples become lists, paths become strings.
    """
    if isinstance(value, Mapping):
        return {str(key): without_private_paths(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_private_paths(item) for item in value]
    if not isinstance(value, (str, Path)):
        return value
    text = str(value)
    if os.path.isabs(text) or PureWindowsPath(text).drive:
        return f"…/{PureWindowsPath(text).name}"  # a Windows path may use either slash
    return re.sub(re.escape(str(Path.home())) + r"(?=[/\\]|\W|$)", "~", text)


@cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    """Names of the GPUs that torch sees; where torch is not loaded, of those the driver sees."""
    if "torch" in sys.modules:
        cuda = sys.modules["torch"].cuda
        return [cuda.get_device_name(i) for i in range(cuda.device_count())]
    if shutil.which("nvidia-smi") is None:
        return []
    return (_output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or "").splitlines()


def _output(*command: str) -> str | None:
    """What a command prints; None where it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
