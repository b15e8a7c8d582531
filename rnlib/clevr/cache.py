"""Folders of arrays on disk that know what they were made from and whether they are whole.

A folder holds one .npy file an array and a `manifest.json` with the format's version, the
signature of the source, and each array's size and digest. It is opened only if all of
these fit; otherwise it is made anew.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock

from rnlib.clevr.layout import ClevrDirectory
from rnlib.errors import DataError, reason
from rnlib.files import make_folder, read_json, write_json

VERSION = 1
_BLOCK, _BLOCKS, _WHOLE = 1 << 16, 256, 1 << 26
Opened = tuple[dict[str, np.ndarray], dict[str, Any]]  # memory-mapped arrays by name, and the manifest


def cache_root(cache: Path | str | None = None) -> Path:
    """`cache`, else $RNLIB_CACHE, else ~/.cache/rnlib."""
    return Path(os.path.expanduser(cache or os.environ.get("RNLIB_CACHE") or "~/.cache/rnlib"))


def cache_folder(directory: ClevrDirectory, split: str, cache: Path | str | None) -> Path:
    """Where the arrays of a split live: under `cache`, else $RNLIB_CACHE, else ~/.cache/rnlib."""
    root = directory.root.resolve()
    return cache_root(cache) / f"{root.name}-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}" / split


def digest(path: Path) -> str:
    """A digest of a file: of all of it up to 64 MiB, of 256 evenly spaced blocks of 64 KiB beyond."""
    result = hashlib.blake2b(digest_size=16)
    size = path.stat().st_size
    with open(path, "rb") as file:
        if size <= _WHOLE:
            result.update(file.read())
        else:
            for offset in np.linspace(0, size - _BLOCK, _BLOCKS, dtype=np.int64):
                file.seek(int(offset))
                result.update(file.read(_BLOCK))
    return result.hexdigest()


class _Array(msgspec.Struct):
    bytes: int
    digest: str


class _Manifest(msgspec.Struct):
    version: int
    source: Any
    arrays: dict[str, _Array]


def open_arrays(folder: Path, source: object) -> Opened | None:
    """The memory-mapped arrays and the manifest of `folder`; None where they are absent, stale or damaged."""
    try:
        manifest = read_json(folder / "manifest.json", dict[str, Any])
        msgspec.convert(manifest, _Manifest)
        if manifest["version"] != VERSION or manifest["source"] != source:
            return None
        arrays = {}
        for name, entry in manifest["arrays"].items():
            path = folder / f"{name}.npy"
            if path.stat().st_size != entry["bytes"] or digest(path) != entry["digest"]:
                return None
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        return arrays, manifest
    except (DataError, OSError, ValueError):  # ValueError: another header, or manifest
        return None


def open_or_make(folder: Path, source: object, make: Callable[[], None]) -> Opened:
    """The arrays of `folder`; where they do not open, one process makes them and the others wait for it."""
    opened = open_arrays(folder, source)
    if opened is None:
        with locked(folder.parent):
            opened = open_arrays(folder, source)
            if opened is None:
                make()
                opened = open_arrays(folder, source)
    assert opened is not None, f"{folder} does not open although it was just written"
    return opened


def seal(folder: Path, names: list[str], source: object, extra: Mapping[str, object]) -> None:
    """Write the manifest of arrays that are in `folder` as .npy files."""
    paths = {name: folder / f"{name}.npy" for name in names}
    entries = {name: {"bytes": path.stat().st_size, "digest": digest(path)} for name, path in paths.items()}
    write_json(folder / "manifest.json", {"version": VERSION, "source": source, "arrays": entries, **extra})


def replace_folder(made: Path, folder: Path) -> None:
    """Let `made` take the place of `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(made, folder)


@contextlib.contextmanager
def new_folder(folder: Path, what: str) -> Iterator[Path]:
    """An empty folder, which becomes `folder` at the end. Raises DataError where `what` cannot be written."""
    made = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    try:
        made.mkdir(parents=True)
        yield made
        replace_folder(made, folder)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        raise DataError(
            f"cannot write {what} to {made}: {reason(error)}. "
            "Free some space, or choose another folder with --cache DIR."
        ) from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on `folder`, so that of several processes one prepares and the others wait."""
    make_folder(folder, "the cache of prepared arrays")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / ".lock"))
        except (OSError, NotImplementedError) as error:
            raise DataError(
                f"cannot write to and lock the cache folder {folder}: {error}. "
                "Choose another with --cache DIR or the environment variable RNLIB_CACHE."
            ) from None
        yield
