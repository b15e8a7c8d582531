"""A question of one's own about a picture or scene of one's own: the function and the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rnlib.__main__ import main
from rnlib.clevr.images import open_picture
from rnlib.clevr.split import Split, open_split
from rnlib.errors import ConfigError, DataError
from rnlib.evaluation.predict import predict
from rnlib.model import RelationNetwork, answer, load_preset, load_weights, save_weights
from rnlib.model.checkpoint import Weights

SMALL = {"lstm_hidden": 6, "g_layers": [8, 8, 8, 8], "f_layers": [8, 8]}


def weights_of(preset: str, split: Split, **fields: object) -> Weights:
    import torch

    torch.manual_seed(2)
    chosen = load_preset(preset, {**SMALL, **fields})
    return Weights(RelationNetwork(chosen, split.vocabulary), chosen, split.vocabulary)


@pytest.fixture(scope="module")
def val(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=32, verbose=False)


@pytest.mark.parametrize("preset", ["ir-fp", "medium-sd", "cnn-lstm", "question-only"])
def test_it_answers_as_predict_does(val: Split, preset: str) -> None:
    weights = weights_of(preset, val, image_size=32)
    table = predict(weights, val)
    scenes = val.directory.scenes("val")
    for question in (0, 17, len(table) - 1):
        picture = val.image_path(int(val.image_of_question[question]))
        reply = answer(weights, picture, val.question_text(question), scene=scenes)
        assert reply.answer == table["answer"][question]
        assert reply.probability == pytest.approx(table["probability"][question], abs=1e-5)
        assert len(reply.top) == 5 and [p for _, p in reply.top] == sorted((p for _, p in reply.top), reverse=True)


def test_pictures_come_from_memory_and_in_any_format_and_size(val: Split, tmp_path: Path) -> None:
    weights = weights_of("ir-fp", val, image_size=32)
    path, text = val.image_path(0), val.question_text(0)
    expected = answer(weights, path, text)
    with Image.open(path) as image:
        values = np.asarray(image.convert("RGB"))
        image.convert("RGBA").save(tmp_path / "alpha.png")
        image.convert("RGB").resize((301, 77)).save(tmp_path / "wide.jpg")
        image.convert("L").save(tmp_path / "grey.png")
    assert answer(weights, values, text) == expected == answer(weights, str(tmp_path / "alpha.png"), text)
    for name in ("wide.jpg", "grey.png"):
        assert answer(weights, tmp_path / name, text).top[0][1] > 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_exif_data_say(val: Split, tmp_path: Path, orientation: int) -> None:
    upright = open_picture(val.image_path(0))
    back = [None, 0, 3, 1, 5, 2, 6, 4][orientation - 1]  # of Image.Transpose: what undoes each orientation
    stored = upright if back is None else upright.transpose(Image.Transpose(back))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "phone.png", exif=exif)
    assert np.array_equal(open_picture(tmp_path / "phone.png"), upright)


def test_a_picture_of_16_bits_is_that_of_8(val: Split, tmp_path: Path) -> None:
    grey = open_picture(val.image_path(0)).convert("L")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as image:
        assert image.mode.startswith("I")
    assert np.array_equal(open_picture(tmp_path / "deep.png"), grey.convert("RGB"))


def test_several_pictures_get_a_line_each(val: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save_weights(tmp_path / "w.safetensors", weights_of("ir-fp", val, image_size=32).network, val.vocabulary)
    pictures, text = [val.image_path(row) for row in (0, 1, 2)], val.question_text(0)
    assert main(["ask", str(path), *map(str, pictures), text, "--device", "cpu"]) == 0
    replies = [answer(load_weights(path), picture, text) for picture in pictures]
    lines = [
        f"{100 * one.probability:5.1f} %  {one.answer:<8} {picture}"
        for one, picture in zip(replies, pictures, strict=True)
    ]
    assert capsys.readouterr().out.splitlines() == lines
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert main(["ask", str(path), str(pictures[0]), str(tmp_path / "phone.jpg"), text, "--device", "cpu"]) == 2
    output = capsys.readouterr()
    assert output.out.splitlines() == lines[:1]
    assert "phone.jpg cannot be read: expected a PNG or JPEG" in output.err and "HEIC" in output.err


def test_a_scene_comes_from_memory_from_a_file_of_its_own_or_by_its_pictures_name(val: Split, tmp_path: Path) -> None:
    weights, text = weights_of("medium-sd", val), val.question_text(0)
    several = json.loads(val.directory.scenes("val").read_text())["scenes"]
    replies = {answer(weights, None, text, scene=scene).top for scene in several}
    assert len(replies) > 1  # the scene decides
    second = several[1]
    (tmp_path / "one.json").write_text(json.dumps(second, indent=2))
    expected = answer(weights, None, text, scene=second)
    assert answer(weights, None, text, scene=tmp_path / "one.json") == expected
    assert answer(weights, second["image_filename"], text, scene=val.directory.scenes("val")) == expected


def test_what_is_missing_or_wrong_is_one_clear_error(val: Split, tmp_path: Path) -> None:
    pixels, states = weights_of("ir-fp", val, image_size=32), weights_of("medium-sd", val)
    picture, text, scenes = val.image_path(0), val.question_text(0), val.directory.scenes("val")
    with pytest.raises(ConfigError, match="reads pictures: expected a picture"):
        answer(pixels, None, text)
    with pytest.raises(ConfigError, match="reads state descriptions: expected a scene"):
        answer(states, picture, text)
    with pytest.raises(ConfigError, match=r"unknown word 'cubez'.*cube"):
        answer(pixels, picture, "how many cubez are there?")
    with pytest.raises(ConfigError, match="at most 50 words, found 51"):
        answer(pixels, picture, "cube " * 51)
    with pytest.raises(DataError, match="expected the picture"):
        answer(pixels, tmp_path / "no.png", text)
    with pytest.raises(DataError, match="holds 12 scenes: expected one"):
        answer(states, "another.png", text, scene=scenes)
    with pytest.raises(DataError, match=r"no.json, found none"):
        answer(states, None, text, scene=tmp_path / "no.json")
    with pytest.raises(DataError, match="expected a scene as in CLEVR's scene files"):
        answer(states, None, text, scene={"objects": "none"})


def test_the_command(val: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = weights_of("ir-fp", val, image_size=32)
    path = save_weights(tmp_path / "w.safetensors", weights.network, val.vocabulary)
    picture, text = val.image_path(0), val.question_text(0)
    assert main(["ask", str(path), str(picture), text, "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = answer(load_weights(path), picture, text)
    assert lines[0] == expected.answer and len(lines) == 6
    assert lines[1] == f"  {100 * expected.probability:5.1f} %  {expected.answer}"
    assert main(["ask", "medium-sd", str(picture), text, "--device", "cpu"]) == 2
    assert "--scene FILE" in capsys.readouterr().err
    assert main(["ask", str(path), str(picture), text, "--scene", "any.json", "--device", "cpu"]) == 2
    assert "would not look at --scene" in capsys.readouterr().err
