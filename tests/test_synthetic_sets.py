"""Writing synthetic sets: the same bytes with any number of processes and interruptions, or one clear error."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from rnlib.__main__ import main
from rnlib.clevr import ClevrDirectory, check_directory, open_split
from rnlib.clevr.constants import COLORS
from rnlib.errors import ConfigError, DataError
from rnlib.synthesis import generate, synthesize
from rnlib.synthesis.settings import CHUNK

SIZE = (48, 32)
KINDS = {"png": SIZE, "array": 32, "none": None}
SOME = {"train": 2 * CHUNK + 5, "val": 3, "test": 2, "questions_per_scene": 3, "verbose": False}


def bytes_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """The same scenes with PNG files, with an array, and without pictures."""
    folder = tmp_path_factory.mktemp("made")
    return {kind: synthesize(folder / kind, images=images, workers=1, **SOME) for kind, images in KINDS.items()}


def test_the_three_kinds_of_sets_differ_in_their_pictures_only(made):
    found = {kind: bytes_of(out) for kind, out in made.items()}
    arrays = {f"images/CLEVR_{split}_32.npy": SOME[split] for split in ("train", "val", "test")}
    assert {name for name in found["array"] if name.startswith("images/")} == set(arrays)
    for name, number in arrays.items():
        array = np.load(made["array"] / name)
        assert (array.shape, array.dtype) == ((number, 3, 32, 32), np.uint8)
        assert all(picture.std() > 10 for picture in array)
    assert not [name for name in found["none"] if name.startswith("images/")]
    for name in ("scenes/CLEVR_train_scenes.json", "questions/CLEVR_test_questions.json"):
        assert found["array"][name] == found["none"][name]
    scenes = {kind: json.loads(files["scenes/CLEVR_train_scenes.json"])["scenes"] for kind, files in found.items()}
    for small, full in zip(scenes["png"], scenes["array"], strict=True):
        for one, other in zip(small["objects"], full["objects"], strict=True):
            near, far = one.pop("pixel_coords"), other.pop("pixel_coords")
            assert np.abs(np.array(near[:2]) - np.array(far[:2]) / 10).max() <= 0.55
            assert near[2] == far[2]
        assert small == full


def test_array_and_png_files_show_the_same(made):
    array = np.load(made["array"] / "images/CLEVR_train_32.npy")
    for row in (0, 15, 16, SOME["train"] - 1):
        with Image.open(made["png"] / f"images/train/CLEVR_train_{row:06d}.png") as picture:
            squeezed = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR), float)
        same = np.abs(array[row].transpose(1, 2, 0) - squeezed).mean()
        other = np.abs(array[row - 1].transpose(1, 2, 0) - squeezed).mean()
        assert same < 0.5 * other


@pytest.mark.parametrize(("kind", "workers"), [("png", 3), ("array", 2), ("none", 3)])
def test_the_same_bytes_with_any_number_of_processes(made, tmp_path, kind, workers):
    out = synthesize(tmp_path / "set", images=KINDS[kind], workers=workers, **SOME)
    assert bytes_of(out) == bytes_of(made[kind])


def test_another_seed_gives_other_bytes_in_the_same_files(made, tmp_path):
    other = bytes_of(synthesize(tmp_path / "other", images=SIZE, seed=1, **SOME))
    first = bytes_of(made["png"])
    assert first.keys() == other.keys()
    assert not [name for name in first if first[name] == other[name]]


def test_a_scene_does_not_depend_on_the_size_of_its_set(made, tmp_path):
    small = synthesize(tmp_path / "small", images=None, **(SOME | {"train": 4}))
    name = "scenes/CLEVR_train_scenes.json"
    few, many = (json.loads((out / name).read_text())["scenes"] for out in (small, made["none"]))
    assert few == many[:4]


@pytest.fixture
def drawn(monkeypatch) -> list[int]:
    """The starts of the chunks whose pictures this process draws."""
    starts: list[int] = []
    draw = generate._draw

    def note(arguments, gallery, chunk):
        starts.append(chunk.start)
        draw(arguments, gallery, chunk)

    monkeypatch.setattr(generate, "_draw", note)
    return starts


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "array"])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path, drawn, kind):
    """The process gets a SIGKILL while its workers draw; the same call gives the bytes of an uninterrupted run."""
    arguments = {"train": 40 * CHUNK, "val": 1, "images": KINDS[kind], "seed": 5, "objects": (3, 4)}
    arguments |= {"families": ["zero_hop"], "questions_per_scene": 1}
    whole = bytes_of(synthesize(tmp_path / "whole", workers=1, verbose=False, **arguments))
    drawn.clear()
    out = tmp_path / "set"
    code = (
        "from rnlib.synthesis import synthesize; from pathlib import Path\n"
        f"if __name__ == '__main__': synthesize(Path({str(out)!r}), workers=2, verbose=False, **{arguments!r})"
    )
    script = tmp_path / "make.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE)
    notes = out / "images/CLEVR_train_32.npy.chunks"
    deadline = time.monotonic() + 60
    while not (notes.exists() and len(notes.read_text().splitlines()) >= 2) and len(list(out.rglob("*.png"))) < 40:
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=30)  # the end of stderr: the workers have ended too
    assert process.returncode == -signal.SIGKILL
    assert not (out / "questions/CLEVR_train_questions.json").exists()
    assert not (out / "images/CLEVR_train_32.npy").exists()
    assert not json.loads((out / "synthesis.json").read_text())["complete"]
    if kind == "array":
        done = {int(line) for line in notes.read_text().splitlines()}
        with open(notes, "a") as file:
            file.write("6")  # a line that was cut short
    else:
        numbers = {int(path.stem[-6:]) for path in out.rglob("CLEVR_train_*.png")}
        starts = range(0, arguments["train"], CHUNK)
        done = {start for start in starts if numbers >= set(range(start, start + CHUNK))}
    assert 2 <= len(done) < 40
    synthesize(out, workers=1, verbose=False, **arguments)
    assert sorted(drawn) == sorted([*(set(range(0, arguments["train"], CHUNK)) - done), 0])  # 0: that of val
    assert bytes_of(out) == whole


@pytest.mark.parametrize("kind", KINDS)
def test_files_lost_from_a_complete_set_are_made_again(made, tmp_path, drawn, monkeypatch, kind):
    out = synthesize(tmp_path / "set", images=KINDS[kind], workers=1, **SOME)
    drawn.clear()
    (out / "questions/CLEVR_test_questions.json").unlink()
    lost = {"png": "images/train/CLEVR_train_000020.png", "array": "images/CLEVR_train_32.npy"}.get(kind)
    if lost:
        (out / lost).unlink()
    synthesize(out, images=KINDS[kind], workers=1, **SOME)
    assert bytes_of(out) == bytes_of(made[kind])
    assert drawn == {"png": [16], "array": [0, 16, 32], "none": []}[kind]

    # Nothing is done where all is there.
    monkeypatch.setattr(generate, "_write_split", lambda *_: pytest.fail("made again"))
    before = (out / "synthesis.json").stat().st_mtime_ns
    synthesize(out, images=KINDS[kind], **SOME)
    assert (out / "synthesis.json").stat().st_mtime_ns == before


def test_a_damaged_array_is_made_again(made, tmp_path):
    out = synthesize(tmp_path / "set", images=32, workers=1, **SOME)
    array = out / "images/CLEVR_val_32.npy"
    array.write_bytes(array.read_bytes()[:-7])
    synthesize(out, images=32, workers=1, **SOME)
    assert bytes_of(out) == bytes_of(made["array"])


def test_another_set_is_not_overwritten(tmp_path):
    few = SOME | {"train": 1}
    out = synthesize(tmp_path / "set", images=SIZE, **few)
    before = bytes_of(out)
    with pytest.raises(DataError, match=r"seed: 0 there, 1 asked"):
        synthesize(out, images=SIZE, seed=1, **few)
    with pytest.raises(DataError, match=r"images: \[48, 32\] there, 32 asked"):
        synthesize(out, images=32, **few)
    assert bytes_of(out) == before
    (out / "synthesis.json").unlink()
    with pytest.raises(DataError, match="Choose another directory"):
        synthesize(out, images=SIZE, **few)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"families": ["zero_hop", "four_hop"]}, "zero_hop.*'four_hop'"),
        ({"families": []}, "found none"),
        ({"objects": (5, 3)}, "objects"),
        ({"objects": (0, 3)}, "objects"),
        ({"objects": (3, 11)}, "objects"),
        ({"train": 0, "val": 0, "test": 0}, "not all 0"),
        ({"train": -1}, "0 or more"),
        ({"train": 10**6 + 1}, "1,000,000"),
        ({"seed": -1}, "seed"),
        ({"images": (480, 0)}, "images"),
        ({"images": 8}, "images"),
        ({"images": 5000}, "images"),
        ({"questions_per_scene": 0}, "questions_per_scene"),
        ({"workers": 0}, "workers"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        synthesize(tmp_path / "set", **(SOME | {"images": SIZE} | arguments))
    assert not (tmp_path / "set").exists()


def test_no_possible_question_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="more objects"):
        synthesize(tmp_path / "set", images=None, **SOME, objects=(1, 1), families=["three_hop"])
    assert not list((tmp_path / "set").rglob("*.json*"))[1:]


@pytest.mark.parametrize("images", ["48x32", "32", "none"])
def test_a_folder_that_cannot_be_written_is_one_error(tmp_path, capsys, images):
    (tmp_path / "file").write_text("not a folder")
    out = str(tmp_path / "file/set")
    assert main(["data", "synthesize", "--out", out, "--train", "1", "--val", "0", "--images", images]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: cannot create the folder")


@pytest.mark.parametrize(
    ("kind", "limit", "workers"), [("png", 1_000, 2), ("array", 50_000, 2), ("none", 20_000, 1), ("none", 20_000, 2)]
)
def test_a_full_disk_is_one_error_and_nothing_is_half_written(tmp_path, kind, limit, workers):
    """No file may grow beyond `limit` bytes: the pictures, the array, the questions meet it first."""
    out, script = tmp_path / "set", tmp_path / "full.py"
    script.write_text(
        "import resource, sys; from pathlib import Path\n"
        "from rnlib.errors import DataError; from rnlib.synthesis import synthesize\n"
        "if __name__ == '__main__':\n"
        f"    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "    try:\n"
        f"        synthesize(Path({str(out)!r}), images={KINDS[kind]!r}, workers={workers}, **{SOME!r})\n"
        "    except DataError as error:\n"
        "        sys.exit(f'error: {error}')"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 1, result.stderr
    errors = result.stderr.splitlines()
    assert len(errors) == 1, result.stderr
    assert errors[0].startswith("error: cannot write ")
    assert "Free some space" in errors[0]
    assert set(bytes_of(out)) == {"synthesis.json"}
    assert not json.loads((out / "synthesis.json").read_text())["complete"]


def test_a_disk_that_fills_while_the_array_is_written(made, tmp_path, monkeypatch):
    """What is in the array stays; with space again, the same call goes on."""
    fsync, calls = os.fsync, []

    def full(descriptor: int) -> None:
        if os.fstat(descriptor).st_size > 100_000:  # the array of train
            calls.append(descriptor)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("rnlib.synthesis.image_writer.os.fsync", full)
        with pytest.raises(DataError, match=r"CLEVR_train_32.npy: No space left on device"):
            synthesize(tmp_path / "set", images=32, workers=1, **SOME)
    assert not (tmp_path / "set/images/CLEVR_train_32.npy").exists()
    assert (tmp_path / "set/images/CLEVR_train_32.npy.chunks").read_text() == "0\n"
    assert bytes_of(synthesize(tmp_path / "set", images=32, workers=1, **SOME)) == bytes_of(made["array"])


def test_a_worker_that_dies_is_one_error_and_the_run_can_go_on(tmp_path):
    arguments = {"train": 30 * CHUNK, "val": 0, "images": None, "families": ["zero_hop"], "verbose": False}
    out, killed = tmp_path / "set", []

    def kill_one_at_work() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any(path.stat().st_size for path in out.rglob(".*questions*.part")):
            time.sleep(0.005)
        killed.append(multiprocessing.active_children()[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    thread = Thread(target=kill_one_at_work)
    thread.start()
    with pytest.raises(DataError, match=r"died.*Run again.*--workers 1"):
        synthesize(out, workers=2, **arguments)
    thread.join()
    assert killed
    assert set(bytes_of(out)) == {"synthesis.json"}
    synthesize(out, workers=1, **arguments)
    assert json.loads((out / "synthesis.json").read_text())["complete"]


@pytest.mark.parametrize(("kind", "absent"), [("none", {"torch", "matplotlib", "numba"}), ("array", {"torch"})])
def test_no_process_loads_what_it_does_not_need(tmp_path, kind, absent):
    """torch costs each worker process seconds and hundreds of megabytes, numba a second."""
    code = (
        "import sys; from pathlib import Path; from rnlib.synthesis import synthesize\n"
        f"synthesize(Path({str(tmp_path / 'set')!r}), train=2, val=0, images={KINDS[kind]!r})\n"
        f"assert not {absent!r} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_cogent_has_its_splits_and_their_colors(tmp_path):
    out = synthesize(tmp_path / "set", train=30, val=20, test=4, seed=2, images=None, cogent=True, workers=1)
    assert ClevrDirectory.find(out).splits() == ["trainA", "valA", "valB", "testA", "testB"]
    colors = {"gray", "blue", "brown", "yellow"}
    for split, cubes in (("trainA", True), ("valA", True), ("valB", False)):
        scenes = json.loads((out / f"scenes/CLEVR_{split}_scenes.json").read_text())["scenes"]
        assert len(scenes) == (30 if split == "trainA" else 20)
        items = [item for scene in scenes for item in scene["objects"]]
        for shape, expected in (("cube", cubes), ("cylinder", not cubes)):
            found = {item["color"] for item in items if item["shape"] == shape}
            assert found == (colors if expected else set(COLORS) - colors)
        assert {item["color"] for item in items if item["shape"] == "sphere"} == set(COLORS)
    assert [row["split"] for row in check_directory(out) if not row["scenes"]] == ["testA", "testB"]
    assert not open_split(out, "testB", images=None, verbose=False).has_answers
    assert synthesize(out, train=30, val=20, test=4, seed=2, images=None, cogent=True) == out  # it is there
    with pytest.raises(DataError, match="cogent: True there, None asked"):
        synthesize(out, train=30, val=20, test=4, seed=2, images=None)
