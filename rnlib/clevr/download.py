"""Fetch CLEVR v1.0 or CLEVR-CoGenT, with pictures or without: a resumable download, checked before and after unpacking.

17.7 GiB over hours: connections break, disks fill, and a set that lacks some of its images trains without complaint. So
an interrupted download resumes where it stopped, the archive's md5 must be the published one (where none is published,
the zip's own checksums and the numbers of scenes and questions tell), and the folder gets its name only when every
split has all its files. Source: https://cs.stanford.edu/people/jcjohns/clevr (CC BY 4.0); the md5 of CLEVR v1.0 is also
the one in torchvision.datasets.CLEVRClassification.
"""

import hashlib
import http.client
import lzma
import os
import re
import shutil
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rnlib.clevr.constants import OFFICIAL_COUNTS
from rnlib.clevr.layout import images_folder, questions_file, scenes_file
from rnlib.clevr.schema import count_entries
from rnlib.errors import DataError, reason
from rnlib.files import sole_user
from rnlib.progress import Progress

_BASE = "https://dl.fbaipublicfiles.com/clevr/"
_COGENT = {
    "trainA": (70_000, 699_960),
    **dict.fromkeys(("valA", "testA", "valB", "testB"), (15_000, None)),
}


@dataclass(frozen=True)
class Archive:
    """A published zip file. `splits`: the numbers of pictures and questions of each split (None: not published)."""

    name: str  # of the folder that it becomes
    url: str
    md5: str | None  # hexadecimal; None: not published
    splits: Mapping[str, tuple[int, int | None]]
    pictures: bool = True

    @property
    def unpacked(self) -> float:
        """How many times as large its files are: pictures hardly shrink in a zip, JSON does."""
        return 1.1 if self.pictures else 14.0


ARCHIVES = {
    "clevr": Archive("CLEVR_v1.0", f"{_BASE}CLEVR_v1.0.zip", "b11922020e72d0cd9154779b2d3d07d2", OFFICIAL_COUNTS),
    "clevr-no-images": Archive(
        "CLEVR_v1.0_no_images", f"{_BASE}CLEVR_v1.0_no_images.zip", None, OFFICIAL_COUNTS, pictures=False
    ),
    "cogent": Archive(
        "CLEVR_CoGenT_v1.0", f"{_BASE}CLEVR_CoGenT_v1.0.zip", "9e4a361ab939a4899e6d2ac14a5ee434", _COGENT
    ),
    "cogent-no-images": Archive(
        "CLEVR_CoGenT_v1.0_no_images", f"{_BASE}CLEVR_CoGenT_v1.0_no_images.zip", None, _COGENT, pictures=False
    ),
}

CHUNK = 1 << 20  # bytes read at a time
TIMEOUT = 30.0  # seconds without a byte after which a connection counts as lost
ATTEMPTS = 6  # connections in a row that bring less than CHUNK in all
BACKOFF = 2.0  # seconds before the second of them; each further wait is twice as long
TRANSIENT = (408, 429, 500, 502, 503, 504)  # HTTP statuses worth another attempt


def download_clevr(
    out: Path, archive: Archive = ARCHIVES["clevr"], *, keep_zip: bool = False, verbose: bool = True
) -> Path:
    """Bring an archive to `out` and unpack it; returns the folder `out`/NAME.

    keep_zip: leave the zip beside the folder (it is deleted otherwise); verbose: show a bar, or a line every 15 s where
    stderr is no terminal.

    May be interrupted at any time: the same call resumes with what is there, and returns at once when all is in place.
    Raises DataError when the disk is too small, the server refuses or stays away, the checksum differs (the download is
    then removed, so that the next call starts over), the archive is unsafe or damaged, or files are missing.
    """
    out = Path(out)
    _check_address(archive.url)
    with sole_user(out, "CLEVR download"):
        return _download(out, archive, keep_zip, verbose)


def _download(out: Path, archive: Archive, keep_zip: bool, verbose: bool) -> Path:
    target = out / archive.name
    if os.path.exists(target):
        if missing := missing_files(target, archive):
            raise DataError(
                f"{target} is not complete: {'; '.join(missing)}. "
                "Move that folder away and run the same command again to fetch it anew."
            )
        return target

    zip_file = out / f"{archive.name}.zip"
    if os.path.exists(zip_file):
        _check_md5(zip_file, archive.md5, verbose)
    else:
        part = out / f"{archive.name}.zip.part"
        fetch(archive.url, part, verbose, archive.unpacked)
        try:
            _check_md5(part, archive.md5, verbose)
        except DataError:
            part.unlink()
            raise
        part.rename(zip_file)

    unpacking = out / f"{archive.name}.unpacking"
    _unpack(zip_file, unpacking, verbose)
    folder = _top_folder(unpacking)
    if missing := missing_files(folder, archive):
        raise DataError(
            f"{zip_file} has not the expected files: {'; '.join(missing)}. "
            f"What it holds is in {folder}; give the URL and md5 of an archive of {archive.name}."
        )
    folder.rename(target)
    shutil.rmtree(unpacking, ignore_errors=True)
    if not keep_zip:
        zip_file.unlink()
    return target


def missing_files(directory: Path, archive: Archive) -> list[str]:
    """What a folder lacks of an archive's files, a line for each fault; an empty list when it is complete.

    Pictures are counted; scenes and questions too, where no checksum of the archive is published.
    """
    missing = []
    for split, (pictures, questions) in archive.splits.items():
        if archive.pictures:
            folder = images_folder(directory, split)
            pattern = re.compile(rf"CLEVR_{split}_\d{{6}}\.png")
            found = sum(bool(pattern.fullmatch(name)) for name in os.listdir(folder)) if os.path.isdir(folder) else 0
            if found != pictures:
                missing.append(f"expected {pictures:,} images in images/{split}, found {found:,}")
        files = {"questions": (questions_file(directory, split), questions)}
        if not split.startswith("test"):  # its scenes were never published
            files["scenes"] = (scenes_file(directory, split), pictures)
        for kind, (file, number) in files.items():
            if not os.path.isfile(file):
                missing.append(f"expected the file {file.relative_to(directory)}, found none")
            elif archive.md5 is None and number is not None and (found := count_entries(file, kind)) != number:
                missing.append(f"expected {number:,} {kind} in {file.relative_to(directory)}, found {found:,}")
    return missing


def _top_folder(unpacking: Path) -> Path:
    """The folder in which an archive has its files."""
    if (unpacking / "questions").is_dir():
        return unpacking
    return next((path.parent for path in sorted(unpacking.glob("*/questions"))), unpacking)


def fetch(url: str, part: Path, verbose: bool, unpacked: float = 0.0) -> None:
    """Download `url` to `part`, going on from the bytes already there, until it is whole. DataError where it cannot.

    unpacked: so many times its size must be free on top, for what is in it.
    """
    most = _size(part)
    idle = 0
    while True:
        try:
            return _fetch_once(url, part, verbose, unpacked)
        except urllib.error.HTTPError as error:
            error.close()
            problem = f"the server answered {error.code} {error.reason}"
            if error.code not in TRANSIENT:
                raise DataError(f"cannot download {url}: {problem}. Check the URL.") from None
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        except OSError as error:
            raise DataError(
                f"cannot write {part}: {reason(error)}. Free some space, or choose a folder that can be written to."
            ) from error
        if _size(part) >= most + CHUNK:
            most, idle = _size(part), 0
        idle += 1
        if idle == ATTEMPTS:
            raise DataError(
                f"cannot download {url}: {problem}, {ATTEMPTS} times in a row. {_size(part) / 1e9:.2f} GB are in "
                f"{part}; check the network and run the same command again: it continues from there."
            )
        wait = BACKOFF * 2 ** (idle - 1)
        print(f"download interrupted: {problem}; trying again in {wait:.0f} s", file=sys.stderr, flush=True)
        time.sleep(wait)


# RuntimeError: it is encrypted, or compressed in an unknown way
UNPACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, ValueError, RuntimeError)


def _check_address(url: str) -> None:
    """DataError where `url` is no address of a file on a server."""
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
        good = parts.scheme in ("http", "https") and parts.hostname and re.fullmatch("[!-~]+", url)
    except ValueError:
        good = False
    if not good:
        raise DataError(f"expected the address of a zip, such as {_BASE}CLEVR_v1.0.zip, found '{url}'. Check the URL.")


def _fetch_once(url: str, part: Path, verbose: bool, unpacked: float) -> None:
    """One connection: append to `part` what it brings. ConnectionError when `part` is not whole after it."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: there are no bytes from `have` on
            raise
        error.close()
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return
        part.unlink()
        raise ConnectionError(f"the {have} bytes in {part.name} are not of this file, starting over") from None
    with answer:
        if answer.status == 206:
            span = answer.headers.get("Content-Range", "")
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", span)
            if found is None or int(found[1]) != have:
                part.unlink()
                raise ConnectionError(f"asked for the bytes from {have} on, found '{span}', starting over")
            total = int(found[2])
        else:  # the whole file: a first request, or a server that ignores Range
            length = answer.headers.get("Content-Length") or ""
            if not length.isdecimal() or int(length) == 0:
                raise DataError(
                    f"expected a server that says how long {url} is (Content-Length), found '{length}'. Check the URL."
                )
            have, total = 0, int(length)
        _check_space(part.parent, total - have + int(unpacked * total), "to download and unpack CLEVR")
        with open(part, "ab" if have else "wb") as file, Progress("download", total, verbose, "B", have) as bar:
            while chunk := _read(answer):
                file.write(chunk)
                bar.add(len(chunk))
    if _size(part) != total:
        raise ConnectionError(f"the connection ended after {_size(part)} of {total} bytes")


def _read(answer: http.client.HTTPResponse) -> bytes:
    """What has come of the answer, at once; a fault of the network is told apart from one of the disk."""
    try:
        return answer.read1(CHUNK)
    except OSError as error:
        raise ConnectionError(f"the connection broke ({error})") from error


def _size(path: Path) -> int:
    """Bytes in the file at `path`, 0 where there is none."""
    return path.stat().st_size if os.path.exists(path) else 0


def _check_space(folder: Path, needed: int, purpose: str) -> None:
    """DataError unless `needed` bytes are free where `folder` is."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"expected {needed / 1e9:.1f} GB of free disk {purpose}, found {free / 1e9:.1f} GB at {folder}. "
            "Free some space, or name a folder on a larger disk."
        )


def _check_md5(path: Path, expected: str | None, verbose: bool) -> None:
    """DataError unless the file's md5 is `expected`; None: any is."""
    if expected is None:
        return
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file, Progress("checksum", path.stat().st_size, verbose, "B") as bar:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            bar.add(len(chunk))
    if digest.hexdigest() != expected:
        remedy = "The download was removed: run" if path.suffix == ".part" else f"Move {path} away and run"
        raise DataError(
            f"expected md5 {expected} of {path.name}, found {digest.hexdigest()}: the file is damaged or not the "
            f"published one. {remedy} the same command again to download it from the start."
        )


def _unpack(archive: Path, folder: Path, verbose: bool) -> None:
    """Unpack `archive` into `folder`, leaving out the files an earlier call has finished.

    Nothing is written when any member would land outside `folder`.
    """
    try:
        with zipfile.ZipFile(archive) as source:
            members = [member for member in source.infolist() if not member.is_dir()]
            for member in members:
                path = PurePosixPath(member.filename)
                if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename:
                    raise DataError(
                        f"{archive} holds {member.filename!r}, which would be written outside {folder}. "
                        "This is not the published archive: delete it, and check where it came from."
                    )
            todo = [member for member in members if not _is_whole(folder / member.filename, member.file_size)]
            _check_space(archive.parent, sum(member.file_size for member in todo), f"to unpack {archive.name}")
            total = sum(member.file_size for member in members)
            left = sum(member.file_size for member in todo)
            with Progress("unpack", total, verbose, "B", total - left) as bar:
                for member in todo:
                    source.extract(member, folder)
                    bar.add(member.file_size)
    except UNPACKING as error:
        raise DataError(
            f"{archive} cannot be unpacked ({reason(error)}). Delete it and run the same command again to fetch it."
        ) from None
    except OSError as error:
        raise DataError(
            f"cannot unpack {archive} into {folder}: {reason(error)}. Free some space, or choose a folder that can be "
            "written to, and run the same command again: it continues from there."
        ) from error


def _is_whole(path: Path, size: int) -> bool:
    """There is a file of `size` bytes at `path`; one whose unpacking was cut is shorter."""
    return os.path.isfile(path) and path.stat().st_size == size
