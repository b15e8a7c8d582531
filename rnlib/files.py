"""Files that are either whole or absent: temporary name, flush, rename."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rnlib.errors import DataError


def make_folder(path: Path, purpose: str) -> Path:
    """Create `path` with its parents; `purpose` names it in the error ("the cache")."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot create the folder {path} for {purpose}: {error.strerror}. Choose a folder that can be written to."
        ) from None
    return path


@contextmanager
def atomic_write(path: Path | str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; on a clean exit it takes the name `path`.

    An exception inside the block removes the temporary file and leaves whatever stood
    at `path` untouched. Raises DataError where the folder cannot be written or is full.
    """
    path = Path(path)
    make_folder(path.parent, f"{path.name}")
    encoding = None if "b" in mode else "utf-8"
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
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
                f"cannot write {path}: {error.strerror}. Free some space, or choose a folder that can be written to."
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


def read_json(path: Path | str) -> Any:
    """Read a JSON file; DataError names the file and the position of the fault."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"expected the file {path}, found none. Check the path.") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}. Check the file and its permissions.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON ({error}). The file is damaged: make or fetch it again.") from None


def sha256(path: Path | str) -> str:
    """Hexadecimal sha256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
