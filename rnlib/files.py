"""Files that are either whole or absent: temporary name, flush, rename."""

import glob
import hashlib
import io
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec
from filelock import FileLock, Timeout

from rnlib.errors import ConfigError, DataError, RnlibError, reason

UNFINISHED = ".part"  # how the names of files end that are being written


def check_plain_name(name: str, what: str) -> str:
    """`name` itself, where it is made of letters, digits, '.', '_' and '-'; else ConfigError. It leads to no folder."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or not name.strip("."):
        raise ConfigError(
            f"expected the name of a {what} made of letters, digits, '.', '_' and '-', found {name!r}. Choose another."
        )
    return name


def make_folder(path: Path, purpose: str) -> Path:
    """Create `path` with its parents; `purpose` names it in the error ("the cache")."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot create the folder {path} for {purpose}: {reason(error)}. Choose a folder that can be written to."
        ) from None
    return path


@contextmanager
def sole_user(folder: Path, doing: str) -> Iterator[None]:
    """Be the only process at work in a folder, which is made if need be.

    What killed processes left half-written in it and in the folders below it is removed.

    Raises ConfigError where another process is at work there; `doing` says what it does ("training").
    """
    was_there = os.path.exists(folder)
    make_folder(folder, f"the {doing}")
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(
            f"expected {folder} for this {doing} alone, but another process is at work there. Wait until it ends, or "
            "choose another folder."
        ) from None
    except (OSError, NotImplementedError) as error:
        raise DataError(f"cannot lock {folder}: {reason(error)}. Choose a folder that can be written to.") from None
    try:
        for leftover in [*folder.glob(f".*{UNFINISHED}"), *folder.glob(f"*/.*{UNFINISHED}")]:
            leftover.unlink(missing_ok=True)
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        if not was_there:
            with suppress(OSError):  # it has something in it
                folder.rmdir()


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of a file when they wrote it."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*{UNFINISHED}"):
        leftover.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: Path | str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; on a clean exit it takes the name `path`.

    An exception inside the block removes the temporary file and leaves whatever was
    at `path` untouched. Raises DataError where the folder cannot be written or is full.
    """
    path = Path(path)
    make_folder(path.parent, f"{path.name}")
    if os.path.lexists(path) and not os.path.isfile(path):  # nor may a device or a folder be replaced
        raise DataError(f"cannot write {path}: there is something that is no file. Choose another name.")
    encoding = None if "b" in mode else "utf-8"
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
        os.fchmod(handle, 0o644)
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(
                f"cannot write {path}: {reason(error)}. Free some space, or choose a folder that can be written to."
            ) from error
        raise


def reserve_space(path: Path | str) -> None:
    """Take the whole space of a file with holes now. Raises OSError where the disk is too full for it.

    Else a full disk would kill the process at some later write to a memory map of the file.
    """
    with open(path, "r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            return
        while piece := file.read(1 << 24):  # macOS: holes read as zeros, and take space when these are written
            file.seek(-len(piece), os.SEEK_CUR)
            file.write(piece)
            file.seek(0, os.SEEK_CUR)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path | str, value: object) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path, "w") as file:
        file.write(text + "\n")


def open_input(path: Path | str, kind: type[RnlibError] = DataError, what: str = "file") -> io.BufferedReader:
    """Open a file to read it. Raises `kind` for a path that is absent, closed, or a folder, a device or a pipe."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            return open(path, "rb")
    except FileNotFoundError:
        raise kind(f"expected the {what} {path}, found none. Check the path.") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte
        raise kind(f"cannot read {path}: {reason(error)}. Check the file and its permissions.") from None
    found = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
    raise kind(f"cannot read {path}: expected a file, found {found}. Check the path.")


def read_bytes(path: Path | str, kind: type[RnlibError] = DataError) -> bytes:
    """The content of a file. Raises `kind` as open_input, and where the disk fails."""
    with open_input(path, kind) as file:
        try:
            return file.read()
        except OSError as error:
            raise kind(f"cannot read {path}: {reason(error)}. Check the disk.") from None


def read_json(path: Path | str, schema: Any = Any, kind: type[RnlibError] = DataError) -> Any:
    """Read a JSON file, as msgspec converts it to `schema`. Raises `kind` naming the file and the fault."""
    content = read_bytes(path, kind)
    try:
        return msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=schema)
    except msgspec.ValidationError as error:
        raise kind(f"{path}: {reason(error)}. The file is damaged: make or fetch it again.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise kind(
            f"{path} is not valid JSON ({reason(error)}). The file is damaged: make or fetch it again."
        ) from None


def sha256(path: Path | str) -> str:
    """Hexadecimal sha256 of a file, read in pieces. Raises DataError as open_input."""
    with open_input(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
