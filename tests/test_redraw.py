"""Pictures drawn again for a set's scenes, which results tell; and pictures that do not show their scenes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from clevr_files import ClevrFiles

from rnlib.__main__ import main
from rnlib.clevr import ClevrDirectory, check_directory, open_split
from rnlib.errors import ConfigError, DataError
from rnlib.evaluation.model_set import comparability
from rnlib.files import read_json
from rnlib.synthesis import redraw, synthesize
from rnlib.synthesis.redraw import draw_set


@pytest.fixture(scope="module")
def scenes_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(tmp_path_factory.mktemp("made"), train=0, val=20, images=None, verbose=False)


def fresh(scenes_only: Path, tmp_path: Path, name: str = "set") -> Path:
    return Path(shutil.copytree(scenes_only, tmp_path / name))


def test_a_set_without_pictures_gets_them_and_says_that_they_are_redrawn(scenes_only: Path, tmp_path: Path) -> None:
    folder = fresh(scenes_only, tmp_path)
    assert draw_set(folder, 32) == folder
    split = open_split(folder, "val", images=32, cache=tmp_path / "cache", verbose=False)
    assert split.images is not None and split.images.shape == (20, 3, 32, 32)
    assert split.label == "val, redrawn" and "redrawn" in comparability(split)
    check_directory(folder, colors=True)


def test_drawing_continues_where_it_was_interrupted_with_the_same_bytes(
    scenes_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = fresh(scenes_only, tmp_path, "whole"), fresh(scenes_only, tmp_path, "broken")
    draw_set(whole, 32)
    draw, begun = redraw._draw_chunk, []

    def fails_at_the_second(root: Path, name: str, view: tuple[int, int], gallery: object, start: int) -> int:
        begun.append(start)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return draw(root, name, view, gallery, start)  # type: ignore[arg-type]

    monkeypatch.setattr(redraw, "_draw_chunk", fails_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        draw_set(broken, 32)
    draw_set(broken, 32)
    draw_set(broken, 32)  # nothing is left to do
    assert begun == [0, 16, 16]
    name = "images/CLEVR_val_32.npy"
    assert (whole / name).read_bytes() == (broken / name).read_bytes()


def test_a_set_with_pictures_is_drawn_into_another_folder(
    clevr_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The case has pictures of 320x240, which its pixel_coords speak of."""
    arguments = ["data", "draw", "--clevr", str(clevr_cases / "320x240"), "--size", "128"]
    assert main(arguments) == 2
    assert "Draw into another folder (--out DIR)" in capsys.readouterr().err
    out = tmp_path / "out"
    assert main([*arguments, "--out", str(out)]) == 0
    assert main(["data", "check", "--clevr", str(out)]) == 0
    weights = ["--weights", "medium-sd", "--clevr", str(out), "--cache", str(tmp_path / "cache")]
    assert main(["evaluate", *weights, "--out", str(tmp_path / "eval")]) == 0
    assert "accuracy 99.17 % of 120 questions of val, redrawn" in capsys.readouterr().out
    assert read_json(tmp_path / "eval" / "provenance.json")["split"] == "val, redrawn"


def test_a_view_that_does_not_fit_and_a_set_without_scenes_are_refused(scenes_only: Path, tmp_path: Path) -> None:
    folder = fresh(scenes_only, tmp_path)
    with pytest.raises(DataError, match="camera like CLEVR's"):
        draw_set(folder, 32, view=(320, 240))
    with pytest.raises(ConfigError, match="16 to 4096 pixels"):
        draw_set(folder, 8)
    (folder / "scenes" / "CLEVR_val_scenes.json").unlink()
    with pytest.raises(DataError, match="expected scenes in"):
        draw_set(folder, 32)


def test_empty_scenes_and_numbers_without_a_scene_have_pictures_without_objects(tmp_path: Path) -> None:
    files = ClevrFiles(tmp_path / "set")
    for scene in files.scenes:
        scene["objects"], scene["relationships"] = [], {name: [] for name in ("left", "right", "front", "behind")}
    files.scenes = [scene for scene in files.scenes if scene["image_index"] != 1]
    files.questions = [entry for entry in files.questions if entry["image_index"] != 1]
    files.write()
    out = draw_set(files.root, 16, out=tmp_path / "out")
    pictures = np.load(out / "images" / "CLEVR_val_16.npy")
    assert pictures.shape == (3, 3, 16, 16) and not pictures[1].any() and pictures[[0, 2]].all()
    assert ClevrDirectory.find(out).redrawn == {"val": (120, 80)}
    check_directory(out, colors=True)


def test_pictures_of_other_scenes_are_noticed(
    clevr_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(clevr_cases / "320x240", tmp_path / "set")
    assert main(["data", "check", "--clevr", str(tmp_path / "set")]) == 0
    folder = tmp_path / "set" / "images" / "val"
    pictures = sorted(folder.iterdir())
    contents = [path.read_bytes() for path in pictures]
    for path, content in zip(pictures, contents[1:] + contents[:1], strict=True):
        path.chmod(0o644)
        path.write_bytes(content)
    assert main(["data", "check", "--clevr", str(tmp_path / "set")]) == 2
    message = capsys.readouterr().err
    assert "objects looked at" in message and "Were these pictures rendered from these scenes" in message


@pytest.mark.parametrize("left", [0, 0.5])
def test_a_picture_that_is_cut_short_is_noticed(tmp_path: Path, left: float) -> None:
    files = ClevrFiles(tmp_path / "set")
    content = files.picture(1).read_bytes()
    files.picture(1).write_bytes(content[: int(left * len(content))])
    with pytest.raises(DataError, match=r"CLEVR_val_000001\.png is empty or cut short"):
        check_directory(files.root)


def test_the_official_pictures_raise_no_alarm(clevr_official: Path) -> None:
    check_directory(clevr_official, colors=True)


def test_a_folder_with_another_sets_files_is_refused(scenes_only: Path, tmp_path: Path) -> None:
    other = synthesize(tmp_path / "other", train=0, val=20, seed=9, images=None, verbose=False)
    draw_set(scenes_only, 32, out=tmp_path / "out")
    drawn = (tmp_path / "out" / "images" / "CLEVR_val_32.npy").read_bytes()
    with pytest.raises(DataError, match="found another file"):
        draw_set(other, 48, out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["CLEVR_val_32.npy"]
    draw_set(scenes_only, 32, out=tmp_path / "out")
    assert (tmp_path / "out" / "images" / "CLEVR_val_32.npy").read_bytes() == drawn


def test_objects_of_unknown_depth_are_not_looked_at(tmp_path: Path) -> None:
    files = ClevrFiles(tmp_path)
    for scene in files.scenes:
        for item in scene["objects"]:
            item["pixel_coords"][2] = 0.0
    files.write()
    check_directory(tmp_path, colors=True)


def test_a_view_of_no_pixels_is_refused(scenes_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "draw", "--clevr", str(scenes_only), "--size", "32", "--view", "480x0"]) == 2
    assert "expected a view of at least 1x1 pixels, found 480x0" in capsys.readouterr().err
