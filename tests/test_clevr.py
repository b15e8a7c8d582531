"""CLEVR files become arrays that hold just what the files say; broken files become one clear error."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clevr_files import ClevrFiles
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rnlib.clevr import check_directory, clevr_v1, detokenize, open_split, tokenize
from rnlib.clevr import images as images_module
from rnlib.clevr.constants import CLASS_OF_ANSWER, QUESTION_TYPES
from rnlib.clevr.subsets import part_of
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import ConfigError, DataError


@pytest.fixture
def files(tmp_path: Path) -> ClevrFiles:
    return ClevrFiles(tmp_path / "clevr")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_arrays_hold_what_the_files_say(files: ClevrFiles, cache: Path) -> None:
    split = open_split(files.root, "val", images=64, cache=cache)
    assert (split.n_questions, split.n_images) == (4, 3)
    assert split.question_text(2) == "What color is the small rubber ball; is it big?"
    assert [split.answer_text(i) for i in range(4)] == ["1", "yes", "cyan", "large"]
    assert [split.type_name(i) for i in range(4)] == ["count", "exist", "query_color", "query_size"]
    assert split.vocabulary.words[:4] == ("how", "many", "red", "cubes")  # order of first appearance
    assert split.vocabulary.answers == ("1", "yes", "cyan", "large")
    assert split.image_of_question.tolist() == [0, 0, 1, 2]
    assert split.codes[0].tolist() == [[5, 2, 2, 1], [1, 1, 1, 2]]
    np.testing.assert_allclose(split.coordinates[2, 1], [-1.5, 0.5, 0.35])
    assert split.relationships[0].tolist() == [[2, 0], [0, 1], [0, 1], [2, 0]]  # left, right, front, behind
    assert split.program_lengths.tolist() == [2, 2, 2, 2]
    for row in range(3):
        expected = Image.open(files.picture(row)).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(split.images[row], np.asarray(expected).transpose(2, 0, 1))


def test_the_public_generators_dialect_reads_the_same(files: ClevrFiles, cache: Path) -> None:
    release = open_split(files.root, "val", images=None, cache=cache / "a")
    for entry in files.questions:
        entry["program"] = [
            {"type": node["function"], "inputs": node["inputs"], "value_inputs": [], "_output": 0}
            for node in entry["program"]
        ]
        entry |= {"template_filename": "zero_hop.json", "image": "x", "question_family_index": 0}
    files.questions[0]["answer"] = 1
    files.questions[1]["answer"] = True
    files.write()
    generated = open_split(files.root, "val", images=None, cache=cache / "b")
    for name, array in release.arrays.items():
        np.testing.assert_array_equal(array, generated.arrays[name], err_msg=name)
    assert release.vocabulary == generated.vocabulary


def test_genuine_generator_files_are_read(clevr_official: Path, cache: Path) -> None:
    split = open_split(clevr_official, "val", images=None, cache=cache)
    assert (split.n_images, split.n_questions) == (100, 1000)
    assert set(split.vocabulary.words) <= set(clevr_v1().words)
    assert set(np.unique(split.types)) == set(range(len(QUESTION_TYPES)))
    assert split.families.min() >= 0 and split.families.max() <= 89
    records = json.loads((clevr_official / "questions/CLEVR_val_questions.json").read_text())["questions"]
    for number in (0, 17, 999):
        assert split.question_text(number).lower() == records[number]["question"].lower()


def test_the_test_split_has_questions_and_pictures_but_no_answers(tiny_clevr: Path, cache: Path) -> None:
    split = open_split(tiny_clevr, "test", images=32, cache=cache)
    assert not split.has_answers and not split.has_scenes
    assert split.images.shape == (6, 3, 32, 32)
    assert split.type_name(0) == "" and split.answer_text(0) == ""


def test_a_prepared_split_is_reused(files: ClevrFiles, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_split(files.root, "val", images=32, cache=cache)
    monkeypatch.setattr("rnlib.clevr.split.write_tables", _must_not_run)
    monkeypatch.setattr("rnlib.clevr.split.prepare_images", _must_not_run)
    assert open_split(files.root, "val", images=32, cache=cache).n_questions == 4


def test_changed_questions_make_the_cache_stale(files: ClevrFiles, cache: Path) -> None:
    before = open_split(files.root, "val", images=None, cache=cache)
    files.questions[0]["answer"] = "2"
    files.write()
    after = open_split(files.root, "val", images=None, cache=cache)
    assert after.answer_text(0) == "2" and after.fingerprint != before.fingerprint


def test_a_changed_picture_makes_the_cache_stale(files: ClevrFiles, cache: Path) -> None:
    open_split(files.root, "val", images=32, cache=cache)
    Image.new("RGB", (120, 80), "white").save(files.picture(1))
    assert (open_split(files.root, "val", images=32, cache=cache).images[1] == 255).all()


@pytest.mark.parametrize("array", ["tables/tokens", "images_32/images", "tables/manifest"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_cache_is_made_again(files: ClevrFiles, cache: Path, array: str, damage: str) -> None:
    before = open_split(files.root, "val", images=32, cache=cache)
    expected = (np.array(before.tokens), np.array(before.images))
    del before
    [target] = cache.rglob(f"{array}.{'json' if 'manifest' in array else 'npy'}")
    content = target.read_bytes()
    if damage == "delete":
        target.unlink()
    elif damage == "truncate":
        target.write_bytes(content[:-5])
    else:
        target.write_bytes(content[:-3] + bytes([content[-3] ^ 0xFF]) + content[-2:])
    again = open_split(files.root, "val", images=32, cache=cache)
    np.testing.assert_array_equal(again.tokens, expected[0])
    np.testing.assert_array_equal(again.images, expected[1])


def test_decoding_goes_on_where_it_was_killed(tiny_clevr: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "_CHUNK", 2)
    monkeypatch.setattr(images_module, "_SAVE_EVERY", 1)
    decode, decoded = images_module._decode_chunk, []

    def dies_at_the_sixth(pictures: list[Path], start: int, array_file: Path, size: int) -> int:
        if len(decoded) == 5:
            raise SystemExit
        decoded.append(start)
        return decode(pictures, start, array_file, size)

    monkeypatch.setattr(images_module, "_decode_chunk", dies_at_the_sixth)
    with pytest.raises(SystemExit):
        open_split(tiny_clevr, "train", images=32, cache=cache, workers=1)
    monkeypatch.setattr(images_module, "_decode_chunk", lambda *given: decoded.append(given[1]) or decode(*given))
    split = open_split(tiny_clevr, "train", images=32, cache=cache, workers=1)
    assert sorted(decoded) == list(range(0, 24, 2))  # each chunk once over both runs
    np.testing.assert_array_equal(split.images[0], images_module.read_image(split.image_path(0), 32))
    np.testing.assert_array_equal(split.images[-1], images_module.read_image(split.image_path(23), 32))


def test_decoding_in_parallel_gives_the_same(tiny_clevr: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "_CHUNK", 6)
    alone = open_split(tiny_clevr, "train", images=32, cache=cache / "a", workers=1)
    together = open_split(tiny_clevr, "train", images=32, cache=cache / "b", workers=2)
    np.testing.assert_array_equal(alone.images, together.images)


def test_check_reports_the_counts(tiny_clevr: Path) -> None:
    rows = {row["split"]: row for row in check_directory(tiny_clevr)}
    assert (rows["train"]["images"], rows["train"]["scenes"], rows["test"]["scenes"]) == (24, 24, 0)
    assert rows["val"]["official"] == "v1.0 has 15,000 / 149,991"


def _break_json(files: ClevrFiles) -> None:
    files.questions_file.write_bytes(files.questions_file.read_bytes()[:-40])


def _empty_file(files: ClevrFiles) -> None:
    files.questions_file.write_bytes(b"")


def _not_questions(files: ClevrFiles) -> None:
    files.questions_file.write_text('{"answers": []}')


def _no_questions(files: ClevrFiles) -> None:
    files.questions_file.write_text('{"questions": []}')


def _wrong_field(files: ClevrFiles) -> None:
    files.questions[2]["image_index"] = "two"
    files.write()


def _no_such_scene(files: ClevrFiles) -> None:
    files.questions[1]["image_index"] = 7
    files.write()


def _unknown_answer(files: ClevrFiles) -> None:
    files.questions[3]["answer"] = "huge"
    files.write()


def _answer_missing(files: ClevrFiles) -> None:
    del files.questions[3]["answer"]
    files.write()


def _unknown_type(files: ClevrFiles) -> None:
    files.questions[3]["program"][-1]["function"] = "query_smell"
    files.write()


def _unknown_color(files: ClevrFiles) -> None:
    files.scenes[1]["objects"][0]["color"] = "pink"
    files.write()


def _broken_relations(files: ClevrFiles) -> None:
    files.scenes[1]["relationships"]["left"] = [[5], []]
    files.write()


def _repeated_scene(files: ClevrFiles) -> None:
    files.scenes.insert(1, files.scenes[0])
    files.write()


def _family_out_of_range(files: ClevrFiles) -> None:
    files.questions[1]["question_family_index"] = 300
    files.write()


def _dangling_link(files: ClevrFiles) -> None:
    files.picture(1).unlink()
    files.picture(1).symlink_to("nowhere.png")


def _missing_picture(files: ClevrFiles) -> None:
    files.picture(1).unlink()


def _damaged_picture(files: ClevrFiles) -> None:
    files.picture(1).write_bytes(files.picture(1).read_bytes()[:2000])


def _no_picture(files: ClevrFiles) -> None:
    files.picture(1).write_text("this is not a picture")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_break_json, r"CLEVR_val_questions.json is not a CLEVR questions file.*damaged or cut short"),
        (_empty_file, r"CLEVR_val_questions.json is empty"),
        (_not_questions, r"expected JSON with the list 'questions'"),
        (_no_questions, r"expected questions, found an empty list"),
        (_wrong_field, r"question number 2 .*image_index"),
        (_no_such_scene, r"image_index 7 .*there is no scene 7"),
        (_unknown_answer, r"question number 3 .*'huge'"),
        (_answer_missing, r"1 of 4 without"),
        (_unknown_type, r"question number 3 .*'query_smell'"),
        (_unknown_color, r"scene number 1 .*expected a color out of cyan.*found 'pink'"),
        (_broken_relations, r"scene number 1 .*'left'"),
        (_repeated_scene, r"scene number 1 .*repeats the image_index 0"),
        (_family_out_of_range, r"question number 1 .*family index 300"),
        (_dangling_link, r"3 pictures, 1 of them missing, the first CLEVR_val_000001.png"),
        (_missing_picture, r"3 pictures, 1 of them missing, the first CLEVR_val_000001.png"),
        (_damaged_picture, r"CLEVR_val_000001.png cannot be read"),
        (_no_picture, r"CLEVR_val_000001.png cannot be read"),
    ],
)
def test_broken_data_is_one_clear_error_and_leaves_no_cache(
    files: ClevrFiles, cache: Path, fault: Callable[[ClevrFiles], None], message: str
) -> None:
    fault(files)
    with pytest.raises(DataError, match=message):
        open_split(files.root, "val", images=32, cache=cache)
    assert not [path for path in cache.rglob("images_32/*")]
    if "picture" not in fault.__name__ and "link" not in fault.__name__:
        assert not list(cache.rglob("tables/*"))


def test_check_finds_a_scene_too_many(files: ClevrFiles) -> None:
    _repeated_scene(files)
    with pytest.raises(DataError, match="repeats the image_index"):
        check_directory(files.root)


def test_a_disk_too_small_for_the_pictures(files: ClevrFiles, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rnlib.clevr.images.os.posix_fallocate", full)
    with pytest.raises(DataError, match="No space left on device"):
        open_split(files.root, "val", images=32, cache=cache)


@pytest.mark.parametrize("wrong", [{"images": -5}, {"images": 0}, {"workers": 0}])
def test_sizes_and_workers_below_one(files: ClevrFiles, cache: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"at least 1|1 to 4096"):
        open_split(files.root, "val", cache=cache, **wrong)  # type: ignore[arg-type]


def test_no_such_directory_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no such folder.*data synthesize"):
        open_split(tmp_path / "nowhere", "val")
    with pytest.raises(DataError, match=r"is not a CLEVR directory"):
        open_split(tmp_path, "val")


def test_a_split_that_is_not_there(files: ClevrFiles) -> None:
    with pytest.raises(DataError, match=r"has no split 'train'.*It has: val"):
        open_split(files.root, "train")


def test_a_cache_that_cannot_be_written(files: ClevrFiles, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot create the folder .*Choose a folder"):
        open_split(files.root, "val", images=None, cache=tmp_path / "file" / "cache")


def test_a_full_disk_leaves_nothing_half_written(
    files: ClevrFiles, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("rnlib.clevr.arrays.np.save", full)
        with pytest.raises(DataError, match="No space left on device"):
            open_split(files.root, "val", images=None, cache=cache)
    assert open_split(files.root, "val", images=None, cache=cache).n_questions == 4


def test_the_shipped_vocabulary_is_clevrs(seed_weights: Path) -> None:
    ours, theirs = clevr_v1(), json.loads((seed_weights / "vocabulary.json").read_text())
    assert list(ours.words) == theirs["words"] and list(ours.answers) == theirs["answers"]


def test_the_shipped_vocabulary_has_all_answers_once() -> None:
    assert set(clevr_v1().answers) == set(CLASS_OF_ANSWER)
    assert len(clevr_v1().words) == 82


@settings(deadline=None)
@given(st.lists(st.sampled_from(clevr_v1().words), min_size=1, max_size=45))
def test_a_question_survives_tokens_and_back(words: list[str]) -> None:
    text = detokenize(words)
    assert tokenize(text) == words
    assert clevr_v1().decode(clevr_v1().encode(text)) == text


def test_an_unknown_word_names_its_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"unknown word 'spheer'.*sphere"):
        clevr_v1().encode("How many red spheer are there?")
    with pytest.raises(ConfigError, match="found no words"):
        clevr_v1().encode("  ")


def test_a_damaged_vocabulary_file(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text('{"words": ["a"]}')
    with pytest.raises(DataError, match="is not a vocabulary"):
        Vocabulary.load(tmp_path / "v.json")


def test_words_are_case_insensitive() -> None:
    assert clevr_v1().encode("HOW many Cubes?") == clevr_v1().encode("how many cubes?")


def _must_not_run(*_: object, **__: object) -> None:
    raise AssertionError("the cache should have been used")


def test_a_part_of_a_split_has_its_pictures_and_their_questions_alone(tiny_clevr: Path) -> None:
    split = open_split(tiny_clevr, "train", images=32, verbose=False)
    part = part_of(split, 3, 9)
    inside = np.flatnonzero((split.image_of_question >= 3) & (split.image_of_question < 9))
    assert part.n_images == 6 and part.n_questions == len(inside) > 0
    assert part.image_indices == split.image_indices[3:9] and part.image_filenames == split.image_filenames[3:9]
    assert part.images is not None and split.images is not None
    for number, whole in enumerate(inside.tolist()):
        assert part.question_text(number) == split.question_text(whole)
        assert part.answer_text(number) == split.answer_text(whole)
        row, before = int(part.image_of_question[number]), int(split.image_of_question[whole])
        assert (part.codes[row] == split.codes[before]).all() and (part.images[row] == split.images[before]).all()
    assert part.fingerprint not in (split.fingerprint, part_of(split, 3, 8).fingerprint)
    for begin, end in ((4, 4), (-1, 3), (0, split.n_images + 1)):
        with pytest.raises(ConfigError, match="expected a part of"):
            part_of(split, begin, end)
