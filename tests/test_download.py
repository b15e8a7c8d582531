"""The CLEVR download: resumable, checked, safe to unpack. Against a local server that can misbehave."""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import rnlib.progress
from rnlib.__main__ import main
from rnlib.clevr import download
from rnlib.clevr.download import ARCHIVES, Archive, download_clevr, missing_files
from rnlib.errors import ConfigError, DataError
from rnlib.files import sole_user

COUNTS = {"train": (4, 40), "val": (2, 20), "test": (1, 10)}


def clevr_zip(leave_out: str | None = None, add: str | None = None) -> bytes:
    """An archive in the layout of CLEVR_v1.0.zip with COUNTS images of 50,000 random bytes each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        names = ["README.txt"]
        for split, (images, _) in COUNTS.items():
            names += [f"images/{split}/CLEVR_{split}_{i:06d}.png" for i in range(images)]
            names.append(f"questions/CLEVR_{split}_questions.json")
            if split != "test":
                names.append(f"scenes/CLEVR_{split}_scenes.json")
        for name in names:
            if name != leave_out:
                archive.writestr(f"CLEVR_v1.0/{name}", os.urandom(50_000))
        if add is not None:
            archive.writestr(add, b"gotcha")
    return buffer.getvalue()


@dataclass
class Server:
    """A file at a URL, and how the server that has it behaves."""

    content: bytes
    url: str = ""
    ranges: bool = True  # honour Range requests
    shift: int = 0  # a fault: answer from this many bytes after the one asked for
    cut_after: list[int] = field(default_factory=list)  # bytes after which the next connections break
    statuses: list[int] = field(default_factory=list)  # errors that the next requests get
    requests: list[str | None] = field(default_factory=list)  # the Range header of each request
    length: str | None = ""  # a fault: the Content-Length that it tells (None: none)
    hang_after: int | None = None  # a fault: bytes after which every connection says nothing more
    redirect: bool = False  # a fault: every address leads to another one, without end
    over: threading.Event = field(default_factory=threading.Event)  # ends connections that hang

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine with a whole archive; waits between attempts are cut to nothing."""
    state = Server(clevr_zip())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Range"]
            state.requests.append(asked)
            if state.statuses:
                return self.send_error(state.statuses.pop(0))
            if state.redirect:
                self.send_response(302)
                self.send_header("Location", f"{state.url}?{len(state.requests)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            start = 0
            if asked and state.ranges:
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
                if start >= len(state.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(state.content)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                start += state.shift
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            else:
                self.send_response(200)
            body = state.content[start:]
            if state.length is not None:
                self.send_header("Content-Length", state.length or str(len(body)))
            self.end_headers()
            if state.hang_after is not None:
                self.wfile.write(body[: state.hang_after])
                state.over.wait()
                return
            with contextlib.suppress(ConnectionError):  # a client that refuses the answer hangs up
                self.wfile.write(body[: state.cut_after.pop(0)] if state.cut_after else body)

        def log_message(self, *args: object) -> None:
            pass

    monkeypatch.setattr(download, "BACKOFF", 0.0)
    monkeypatch.setattr(download, "CHUNK", 10_000)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        state.url = f"http://127.0.0.1:{http_server.server_port}/CLEVR_v1.0.zip"
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        state.over.set()
        http_server.shutdown()
        thread.join()


def fetch(server: Server, out: Path, *, md5: str | None = None, keep_zip: bool = False, verbose: bool = False) -> Path:
    archive = Archive("CLEVR_v1.0", server.url, md5 or server.md5, COUNTS)
    return download_clevr(out, archive, keep_zip=keep_zip, verbose=verbose)


def assert_same_files(server: Server, folder: Path) -> None:
    """The folder holds the files of the server's archive, byte for byte, and no others."""
    with zipfile.ZipFile(io.BytesIO(server.content)) as archive:
        wanted = {name.removeprefix("CLEVR_v1.0/"): archive.read(name) for name in archive.namelist()}
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == wanted


def test_whole_download(server, tmp_path):
    folder = fetch(server, tmp_path / "data")
    assert folder == tmp_path / "data" / "CLEVR_v1.0"
    assert_same_files(server, folder)
    assert os.listdir(tmp_path / "data") == ["CLEVR_v1.0"], "no archive and no temporary files are left"
    assert server.requests == [None]


def test_keep_zip(server, tmp_path):
    fetch(server, tmp_path, keep_zip=True)
    assert (tmp_path / "CLEVR_v1.0.zip").read_bytes() == server.content


def test_second_call_asks_nothing_of_the_server(server, tmp_path):
    folder = fetch(server, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert fetch(server, tmp_path) == folder
    assert len(server.requests) == 1
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_cut_connection_is_resumed_where_it_broke(server, tmp_path, capsys):
    server.cut_after = [123_456]
    assert_same_files(server, fetch(server, tmp_path))
    assert server.requests == [None, "bytes=123456-"]
    assert "download interrupted" in capsys.readouterr().err


def test_interrupted_call_is_resumed_by_the_next(server, tmp_path, monkeypatch):
    server.cut_after = [123_456]

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(download.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path)
    assert os.listdir(tmp_path) == ["CLEVR_v1.0.zip.part"]
    assert_same_files(server, fetch(server, tmp_path))
    assert server.requests == [None, "bytes=123456-"]


def test_server_without_ranges_starts_over(server, tmp_path):
    server.ranges = False
    server.cut_after = [123_456]
    assert_same_files(server, fetch(server, tmp_path))
    assert server.requests == [None, "bytes=123456-"]


def test_wrong_range_is_never_appended(server, tmp_path):
    server.shift = 1
    server.cut_after = [123_456]
    assert_same_files(server, fetch(server, tmp_path))
    assert server.requests == [None, "bytes=123456-", None]


def test_whole_part_needs_no_more_bytes(server, tmp_path):
    (tmp_path / "CLEVR_v1.0.zip.part").write_bytes(server.content)
    assert_same_files(server, fetch(server, tmp_path))
    assert server.requests == [f"bytes={len(server.content)}-"]


def test_part_longer_than_the_file_starts_over(server, tmp_path):
    (tmp_path / "CLEVR_v1.0.zip.part").write_bytes(server.content + b"more")
    assert_same_files(server, fetch(server, tmp_path))
    assert server.requests == [f"bytes={len(server.content) + 4}-", None]


def test_passing_server_faults_are_waited_for(server, tmp_path):
    server.statuses = [503, 429, 500]
    assert_same_files(server, fetch(server, tmp_path))
    assert len(server.requests) == 4


def test_progress_between_faults_renews_the_patience(server, tmp_path):
    server.cut_after = [10_000] * (2 * download.ATTEMPTS)
    assert_same_files(server, fetch(server, tmp_path))
    assert len(server.requests) == 2 * download.ATTEMPTS + 1


def test_lasting_fault_gives_up_and_keeps_the_part(server, tmp_path):
    server.cut_after = [123_456]
    with pytest.raises(DataError, match=r"503.*times in a row.*run the same command again"):
        fetch_with_errors(server, tmp_path)
    assert (tmp_path / "CLEVR_v1.0.zip.part").read_bytes() == server.content[:123_456]


def fetch_with_errors(server: Server, out: Path) -> None:
    """The first connection breaks, and every later request gets 503."""

    class AfterTheFirst(list[int]):
        def __bool__(self) -> bool:
            return len(server.requests) > 1

        def pop(self, index: int = -1) -> int:
            return 503

    server.statuses = AfterTheFirst()
    fetch(server, out)


def test_absent_server(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "BACKOFF", 0.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening: whoever connects is refused
        url = f"http://127.0.0.1:{free.getsockname()[1]}/CLEVR_v1.0.zip"
        with pytest.raises(DataError, match=r"refused.*check the network"):
            download_clevr(tmp_path, replace(ARCHIVES["clevr"], url=url), verbose=False)


def download_error(server: Server, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says of a download that fails: one line, exit code 2."""
    assert main(["data", "download", "--out", str(out), "--url", server.url, "--md5", server.md5]) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert not (out / "CLEVR_v1.0").exists()
    return error


def test_an_md5_may_be_in_capitals_and_is_checked_before_anything_is_fetched(server, tmp_path, capsys):
    command = ["data", "download", "--out", str(tmp_path), "--url", server.url, "--md5"]
    assert main([*command, server.md5[:-1]]) == 2
    assert "expected --md5 with 32 hexadecimal digits" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main([*command, f" {server.md5.upper()}\n"]) == 2  # three pictures are no CLEVR, but they came and were kept
    assert "has not the expected files" in capsys.readouterr().err


def test_server_that_falls_silent_is_given_up_and_what_came_is_kept(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    server.hang_after = 100
    error = download_error(server, tmp_path, capsys)
    assert re.search(r"timed out\), 6 times in a row.*run the same command again", error)
    assert server.requests == [None, *(f"bytes={100 * n}-" for n in range(1, download.ATTEMPTS))]
    server.hang_after = None
    assert_same_files(server, fetch(server, tmp_path))  # resumes
    assert server.requests[-1] == f"bytes={100 * download.ATTEMPTS}-"


@pytest.mark.parametrize("length", [None, "0", "x"])
def test_answer_without_a_length_is_refused_for_it_may_be_endless(server, tmp_path, capsys, length):
    server.length = length
    assert re.search(r"expected a server that says how long .*Check the URL", download_error(server, tmp_path, capsys))
    assert len(server.requests) == 1


def test_answer_longer_than_any_disk_is_refused(server, tmp_path, capsys):
    server.length = str(10**18)
    assert re.search(r"expected .* GB of free disk .*larger disk", download_error(server, tmp_path, capsys))


@pytest.mark.parametrize(
    ("more", "message"), [(1000, r"the connection ended after .*6 times in a row"), (-1000, r"expected md5 .*damaged")]
)
def test_wrong_length(server, tmp_path, capsys, more, message):
    server.length, server.ranges = str(len(server.content) + more), False
    assert re.search(message, download_error(server, tmp_path, capsys))


def test_endless_redirects(server, tmp_path, capsys):
    server.redirect = True
    assert re.search(r"302.*redirect.*Check the URL", download_error(server, tmp_path, capsys))
    assert len(server.requests) < 20


def test_wrong_address_is_not_tried_again(server, tmp_path):
    server.statuses = [404]
    with pytest.raises(DataError, match=r"404.*Check the URL"):
        fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_wrong_md5_removes_the_download(server, tmp_path):
    with pytest.raises(DataError, match=rf"expected md5 {'0' * 32}.*found {server.md5}.*was removed"):
        fetch(server, tmp_path, md5="0" * 32)
    assert os.listdir(tmp_path) == []
    assert_same_files(server, fetch(server, tmp_path))
    assert server.requests == [None, None], "the next call starts over"


def test_own_archive_is_used_if_its_md5_is_right(server, tmp_path):
    archive = tmp_path / "CLEVR_v1.0.zip"
    archive.write_bytes(server.content)
    with pytest.raises(DataError, match=r"Move .* away"):
        fetch(server, tmp_path, md5="0" * 32)
    assert archive.read_bytes() == server.content, "a file that the user brought is not deleted"
    assert_same_files(server, fetch(server, tmp_path))
    assert server.requests == []


@pytest.mark.parametrize(
    ("leave_out", "complaint"),
    [
        ("images/train/CLEVR_train_000002.png", "expected 4 images in images/train, found 3"),
        ("images/test/CLEVR_test_000000.png", "expected 1 images in images/test, found 0"),
        ("questions/CLEVR_val_questions.json", "expected the file questions/CLEVR_val_questions.json, found none"),
        ("scenes/CLEVR_train_scenes.json", "expected the file scenes/CLEVR_train_scenes.json, found none"),
    ],
)
def test_missing_files_are_named(server, tmp_path, leave_out, complaint):
    server.content = clevr_zip(leave_out=leave_out)
    with pytest.raises(DataError, match=re.escape(complaint)):
        fetch(server, tmp_path)
    assert not (tmp_path / "CLEVR_v1.0").exists(), "an incomplete set never gets the name"


def test_folder_that_lost_a_file_is_noticed(server, tmp_path):
    folder = fetch(server, tmp_path)
    assert missing_files(folder, Archive("CLEVR_v1.0", server.url, server.md5, COUNTS)) == []
    (folder / "images/val/CLEVR_val_000001.png").unlink()
    with pytest.raises(DataError, match="expected 2 images in images/val, found 1"):
        fetch(server, tmp_path)


@pytest.mark.parametrize(
    "member",
    ["../escaped.txt", "CLEVR_v1.0/../../escaped.txt", "/tmp/rnlib-escaped.txt", "..\\escaped.txt", "C:/escaped.txt"],
)
def test_members_outside_the_folder_are_refused(server, tmp_path, member):
    server.content = clevr_zip(add=member)
    with pytest.raises(DataError, match="would be written outside"):
        fetch(server, tmp_path / "data")
    assert not list(tmp_path.rglob("*.txt")), "not even the harmless members are unpacked"
    assert not Path("/tmp/rnlib-escaped.txt").exists()


def test_unpacking_goes_on_where_it_stopped(server, tmp_path, monkeypatch):
    extract = zipfile.ZipFile.extract
    extracted: list[str] = []

    def extract_five(self: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> str:
        if len(extracted) == 5:
            (path / member.filename).parent.mkdir(parents=True, exist_ok=True)
            (path / member.filename).write_bytes(b"cut short")
            raise KeyboardInterrupt
        extracted.append(member.filename)
        return extract(self, member, path)

    monkeypatch.setattr(zipfile.ZipFile, "extract", extract_five)
    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path)
    first = extracted.copy()
    extracted.clear()

    def extract_all(self: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> str:
        extracted.append(member.filename)
        return extract(self, member, path)

    monkeypatch.setattr(zipfile.ZipFile, "extract", extract_all)
    assert_same_files(server, fetch(server, tmp_path))
    assert len(first) == 5
    assert not set(first) & set(extracted)


def test_archive_that_is_no_zip(server, tmp_path):
    server.content = b"<html>sign in to the network</html>"
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch(server, tmp_path)


@pytest.mark.parametrize("free", [0, 400_000])  # the archive has 600 kB, and its files need as much again
def test_full_disk_is_noticed_before_a_byte_is_written(server, tmp_path, monkeypatch, free):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage._replace(free=free))
    with pytest.raises(DataError, match=r"expected 0.0 GB of free disk to download and unpack.*Free some space"):
        fetch(server, tmp_path)
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot create the folder"):
        fetch(server, tmp_path / "file" / "data")


def test_progress_lines_where_there_is_no_terminal(server, tmp_path, monkeypatch, capsys):
    fetch(server, tmp_path / "once", verbose=True)
    once = capsys.readouterr().out.splitlines()
    monkeypatch.setattr(rnlib.progress, "EVERY", -1.0)
    fetch(server, tmp_path / "always", verbose=True)
    always = capsys.readouterr().out.splitlines()
    for work in ("download", "checksum", "unpack"):
        (end,) = (line for line in once if line.startswith(work))
        assert re.fullmatch(rf"{work}: 0\.00 GB in \d\.\d s", end)
        *lines, end = (line for line in always if line.startswith(work))
        expected = rf"{work}: 0\.00 GB of 0\.00 GB after \d s, about \d+ s to go"
        assert lines and all(re.fullmatch(expected, line) for line in lines)
        assert " in " in end


def test_no_output_without_progress(server, tmp_path, capsys):
    fetch(server, tmp_path)
    assert capsys.readouterr() == ("", "")


def json_zip(archive: Archive, top: str = "", **numbers: int) -> bytes:
    """An archive without pictures, in the exact form; `numbers`: of questions, where other than published."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as content:
        for split, (scenes, questions) in archive.splits.items():
            entries = [{"image_index": 0, "question": os.urandom(40).hex()}] * numbers.get(split, questions or 1)
            content.writestr(f"{top}questions/CLEVR_{split}_questions.json", json.dumps({"questions": entries}))
            if not split.startswith("test"):
                entries = [{"image_index": index} for index in range(scenes)]
                content.writestr(f"{top}scenes/CLEVR_{split}_scenes.json", json.dumps({"info": {}, "scenes": entries}))
    return buffer.getvalue()


@pytest.mark.parametrize("top", ["CLEVR_v1.0_no_images/", "CLEVR_v1.0/", ""])
@pytest.mark.parametrize("name", ["clevr-no-images", "cogent-no-images"])
def test_a_set_without_pictures_is_resumed_and_counted(server, tmp_path, name, top):
    archive = replace(ARCHIVES[name], url=server.url)
    few = {split: (4, questions and 40) for split, (_, questions) in archive.splits.items()}
    archive = replace(archive, splits=few)
    server.content = json_zip(archive, top)
    server.cut_after = [300]
    folder = download_clevr(tmp_path, archive, verbose=False)
    assert server.requests == [None, "bytes=300-"]
    assert os.listdir(tmp_path) == [archive.name] == [folder.name]
    assert len(list(folder.rglob("*.json"))) == (5 if name.startswith("clevr") else 8)
    assert download_clevr(tmp_path, archive, verbose=False) == folder and len(server.requests) == 2


def test_a_set_without_checksum_and_with_too_few_questions_or_a_wrong_byte(server, tmp_path):
    archive = replace(ARCHIVES["clevr-no-images"], url=server.url, splits=COUNTS)
    server.content = json_zip(archive, train=39)
    with pytest.raises(DataError, match=r"expected 40 questions in questions/CLEVR_train_questions.json, found 39"):
        download_clevr(tmp_path / "a", archive, verbose=False)
    content = bytearray(json_zip(archive))
    content[len(content) // 3] ^= 0xFF
    server.content = bytes(content)
    with pytest.raises(DataError, match="cannot be unpacked"):
        download_clevr(tmp_path / "b", archive, verbose=False)


def test_the_published_archives():
    assert {name: archive.name for name, archive in ARCHIVES.items()} == {
        "clevr": "CLEVR_v1.0",
        "clevr-no-images": "CLEVR_v1.0_no_images",
        "cogent": "CLEVR_CoGenT_v1.0",
        "cogent-no-images": "CLEVR_CoGenT_v1.0_no_images",
    }
    for archive in ARCHIVES.values():
        assert archive.url == f"https://dl.fbaipublicfiles.com/clevr/{archive.name}.zip"
        assert sum(pictures for pictures, _ in archive.splits.values()) in (100_000, 130_000)


@pytest.mark.parametrize(
    "url", ["", "x", "file:///etc/passwd", "http://", "http://[::1", "http://a b/", "http://h:x/", "http://é/"]
)
def test_what_is_no_address_is_refused_before_anything_is_made(tmp_path, url):
    with pytest.raises(DataError, match=r"expected the address of a zip.*Check the URL"):
        download_clevr(tmp_path / "data", replace(ARCHIVES["clevr"], url=url), verbose=False)
    assert not (tmp_path / "data").exists()


def test_an_archive_that_cannot_be_unpacked(server, tmp_path):
    encrypted = bytearray(server.content)
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # where the flags of a member are
        at = encrypted.index(sign)
        encrypted[at + place] |= 1
    server.content = bytes(encrypted)
    with pytest.raises(DataError, match=r"cannot be unpacked .*encrypted.*Delete it"):
        fetch(server, tmp_path)


def test_one_download_at_a_time_in_a_folder(server, tmp_path):
    with sole_user(tmp_path, "test"), pytest.raises(ConfigError, match="another process is at work there"):
        fetch(server, tmp_path)
    assert not server.requests
