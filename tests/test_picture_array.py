"""A set whose pictures are one array a split is opened as it is; what does not fit is one clear error."""

import json
from pathlib import Path

import numpy as np
import pytest
from clevr_files import ClevrFiles
from PIL import Image

from rnlib.__main__ import main
from rnlib.clevr import check_directory, open_split, plots
from rnlib.clevr.images import squeeze
from rnlib.errors import DataError
from rnlib.synthesis import synthesize


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def files(tmp_path: Path) -> ClevrFiles:
    """Three scenes of val whose pictures are in an array of 32 pixels a side."""
    made = ClevrFiles(tmp_path / "clevr")
    write_array(made, np.stack([squeezed(made.picture(row), 32) for row in range(3)]))
    for row in range(3):
        made.picture(row).unlink()
    made.picture(0).parent.rmdir()
    return made


def squeezed(path: Path, side: int) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def array_path(files: ClevrFiles, side: int = 32) -> Path:
    return files.root / f"images/CLEVR_val_{side}.npy"


def write_array(files: ClevrFiles, array: np.ndarray, side: int = 32) -> None:
    np.save(array_path(files, side), array)


def test_the_array_is_mapped_and_not_copied(files: ClevrFiles, cache: Path) -> None:
    split = open_split(files.root, "val", images=32, cache=cache)
    assert isinstance(split.images, np.memmap)
    assert Path(split.images.filename) == array_path(files).resolve()
    assert not list(cache.rglob("images*"))
    np.testing.assert_array_equal(split.images, np.load(array_path(files)))


def test_png_files_and_their_array_are_opened_alike(tmp_path: Path, cache: Path) -> None:
    files = ClevrFiles(tmp_path / "clevr")
    from_files = open_split(files.root, "val", images=32, cache=cache)
    write_array(files, np.array(from_files.images))
    for row in range(3):
        files.picture(row).unlink()
    files.picture(0).parent.rmdir()
    from_array = open_split(files.root, "val", images=32, cache=cache)
    np.testing.assert_array_equal(from_files.images, from_array.images)
    assert from_files.image_fingerprint == from_array.image_fingerprint != ""
    assert from_files.fingerprint == from_array.fingerprint


def test_other_pictures_have_another_fingerprint(files: ClevrFiles, cache: Path) -> None:
    before = open_split(files.root, "val", images=32, cache=cache).image_fingerprint
    array = np.load(array_path(files))
    array[1, 2, 3, 4] ^= 1
    write_array(files, array)
    assert open_split(files.root, "val", images=32, cache=cache).image_fingerprint != before


def _short(files: ClevrFiles) -> None:
    array_path(files).write_bytes(array_path(files).read_bytes()[:-1000])


def _header_only(files: ClevrFiles) -> None:
    array_path(files).write_bytes(array_path(files).read_bytes()[:60])


def _empty(files: ClevrFiles) -> None:
    array_path(files).write_bytes(b"")


def _no_array(files: ClevrFiles) -> None:
    array_path(files).write_text("this is not an array")


def _one_missing(files: ClevrFiles) -> None:
    write_array(files, np.load(array_path(files))[:2])


def _one_too_many(files: ClevrFiles) -> None:
    write_array(files, np.load(array_path(files))[[0, 1, 2, 0]])


def _other_order(files: ClevrFiles) -> None:
    write_array(files, np.load(array_path(files)).transpose(0, 2, 3, 1))


def _floats(files: ClevrFiles) -> None:
    write_array(files, np.load(array_path(files)) / 255)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_short, "damaged or cut short"),
        (_header_only, "damaged or cut short"),
        (_empty, "damaged or cut short"),
        (_no_array, "damaged or cut short"),
        (_one_missing, r"to hold 3 pictures of 32 x 32 pixels, found 2\."),
        (_one_too_many, r"to hold 3 pictures of 32 x 32 pixels, found 4\."),
        (_other_order, r"as uint8 \(pictures, 3, side, side\), found uint8 \(3, 32, 32, 3\)"),
        (_floats, "found float64"),
    ],
)
def test_an_array_that_does_not_fit_is_one_error(files: ClevrFiles, cache: Path, fault, message: str) -> None:
    fault(files)
    with pytest.raises(DataError, match=rf"CLEVR_val_32.npy.*{message}.*make it again"):
        open_split(files.root, "val", images=32, cache=cache)
    with pytest.raises(DataError, match=message):
        check_directory(files.root)
    with pytest.raises(DataError, match=message):
        open_split(files.root, "val", images=None, cache=cache).picture(0)


def test_another_size_than_the_arrays_is_one_error(files: ClevrFiles, cache: Path) -> None:
    with pytest.raises(DataError, match=r"array of 32 pixels a side only, asked for: 128.*--images 128"):
        open_split(files.root, "val", images=128, cache=cache)
    write_array(files, np.zeros((3, 3, 64, 64), np.uint8), 64)
    with pytest.raises(DataError, match="array of 32 and 64 pixels"):
        open_split(files.root, "val", images=128, cache=cache)
    assert open_split(files.root, "val", images=64, cache=cache).images.shape == (3, 3, 64, 64)


def test_a_set_without_pictures(files: ClevrFiles, cache: Path) -> None:
    array_path(files).unlink()
    with pytest.raises(DataError, match="3 pictures, 3 of them missing"):  # a folder for them, and none in it
        check_directory(files.root)
    array_path(files).parent.rmdir()
    split = open_split(files.root, "val", images=None, cache=cache)
    assert (split.images, split.image_fingerprint) == (None, "")
    with pytest.raises(DataError, match=r"has no pictures of 'val'"):
        open_split(files.root, "val", images=32, cache=cache)
    with pytest.raises(DataError, match=r"expected the picture .*CLEVR_val_000001.png"):
        split.picture(1)
    assert check_directory(files.root)[0]["pictures"] == "none"


def test_check_says_how_the_pictures_are_kept(files: ClevrFiles, tmp_path: Path, capsys) -> None:
    assert check_directory(files.root)[0]["pictures"] == "32 x 32 array"
    assert check_directory(ClevrFiles(tmp_path / "png").root)[0]["pictures"] == "files"
    assert main(["data", "check", "--clevr", str(files.root)]) == 0
    assert "val             3        3          4  32 x 32 array" in capsys.readouterr().out


def test_a_picture_is_read_from_its_file_or_out_of_the_array(files: ClevrFiles, tmp_path: Path, cache: Path) -> None:
    png = ClevrFiles(tmp_path / "png")
    from_file = open_split(png.root, "val", images=None, cache=cache)
    with Image.open(png.picture(1)) as image:
        np.testing.assert_array_equal(from_file.picture(1), np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(plots.picture(from_file, 1), from_file.picture(1))

    from_array = open_split(files.root, "val", images=None, cache=cache)
    np.testing.assert_array_equal(from_array.picture(1), np.load(array_path(files))[1].transpose(1, 2, 0))
    np.testing.assert_array_equal(squeeze(from_array.picture(1), 32), np.load(array_path(files))[1])
    shown = plots.picture(from_array, 1)
    assert shown.shape == (320, 480, 3)  # what pixel_coords speak of
    assert np.abs(shown[5::10, 7::15].astype(int) - from_array.picture(1)).mean() < 12


def test_a_test_picture_without_questions_keeps_the_others_in_place(tmp_path: Path, cache: Path) -> None:
    out = synthesize(tmp_path / "set", train=0, val=0, test=4, images=32, objects=(3, 4), verbose=False)
    path = out / "questions/CLEVR_test_questions.json"
    document = json.loads(path.read_text())
    document["questions"] = [row for row in document["questions"] if row["image_index"] != 1]
    path.write_text(json.dumps(document))
    array = np.load(out / "images/CLEVR_test_32.npy")
    split = open_split(out, "test", images=32, cache=cache)
    assert split.image_indices == [0, 2, 3]
    np.testing.assert_array_equal(split.images, array[[0, 2, 3]])
    np.testing.assert_array_equal(split.picture(1), array[2].transpose(1, 2, 0))
    assert check_directory(out)[0]["pictures"] == "32 x 32 array"


def test_a_synthetic_array_is_read_by_the_commands(tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "set")
    sizes = ["--train", "2", "--val", "1", "--images", "32", "--objects", "3-4"]
    assert main(["data", "synthesize", "--out", out, *sizes]) == 0
    capsys.readouterr()
    assert main(["data", "prepare", "--clevr", out, "--size", "32", "--cache", str(tmp_path / "cache")]) == 0
    assert "2 pictures" in capsys.readouterr().out
    assert main(["data", "prepare", "--clevr", out, "--size", "64", "--cache", str(tmp_path / "cache")]) == 2
    assert "array of 32 pixels" in capsys.readouterr().err
