"""CLEVR files become arrays that hold just what the files say; broken files become one clear error."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clevr_files import CUBE, ClevrFiles, question
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rnlib.clevr import ClevrDirectory, check_directory, clevr_v1, detokenize, open_split, tokenize
from rnlib.clevr import images as images_module
from rnlib.clevr.cache import locked
from rnlib.clevr.constants import CLASS_OF_ANSWER, COLORS, QUESTION_TYPES, RELATIONS
from rnlib.clevr.split import QUESTION_ARRAYS, SCENE_ARRAYS
from rnlib.clevr.subsets import join, part_of, with_questions
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import ConfigError, DataError
from rnlib.files import reserve_space


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
    for name in (*QUESTION_ARRAYS, *SCENE_ARRAYS):
        np.testing.assert_array_equal(getattr(release, name), getattr(generated, name), err_msg=name)
    assert release.vocabulary == generated.vocabulary


def test_official_generator_files_are_read(clevr_official: Path, cache: Path) -> None:
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

    def dies_at_the_sixth(array_file: Path, size: int, chunk: tuple[int, list[Path]]) -> int:
        if len(decoded) == 5:
            raise SystemExit
        decoded.append(chunk[0])
        return decode(array_file, size, chunk)

    monkeypatch.setattr(images_module, "_decode_chunk", dies_at_the_sixth)
    with pytest.raises(SystemExit):
        open_split(tiny_clevr, "train", images=32, cache=cache, workers=1)
    monkeypatch.setattr(images_module, "_decode_chunk", lambda *given: decoded.append(given[2][0]) or decode(*given))
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

    monkeypatch.setattr("rnlib.files.os.posix_fallocate", full)
    with pytest.raises(DataError, match="No space left on device"):
        open_split(files.root, "val", images=32, cache=cache)


@pytest.mark.parametrize("system", ["Linux", "macOS"])
def test_a_files_space_is_taken_at_once_and_its_content_stays(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == "macOS":
        monkeypatch.delattr("rnlib.files.os.posix_fallocate")
    path, size = tmp_path / "array", (1 << 24) + (1 << 20) + 7
    with open(path, "wb") as file:
        file.write(b"head")
        file.truncate(size)
    assert 512 * path.stat().st_blocks < size
    reserve_space(path)
    assert 512 * path.stat().st_blocks >= size == path.stat().st_size
    assert path.read_bytes() == b"head" + bytes(size - 4)


def test_one_process_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    program = f"from pathlib import Path; from rnlib.clevr.cache import locked; folder = Path({str(tmp_path)!r})\n"
    program += "print('waits', flush=True)\nwith locked(folder): print((folder / 'done').exists())"
    with locked(tmp_path):
        other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None and other.stdout.readline() == "waits\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1)
        (tmp_path / "done").touch()
    assert other.communicate(timeout=60)[0] == "True\n"


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


def _generator_output(files: ClevrFiles) -> str:
    """The public generator's own folder: files at the top, pictures in images/, a file per scene in scenes/."""
    files.questions_file.rename(files.root / "CLEVR_questions.json")
    files.scenes_file.rename(files.root / "CLEVR_scenes.json")
    for index in range(3):
        files.picture(index).rename(files.root / "images" / files.picture(index).name)
        (files.root / "scenes" / f"CLEVR_val_{index:06d}.json").write_text(json.dumps(files.scenes[index]))
    (files.root / "images" / files.split).rmdir()
    return "val"


def _jpg(files: ClevrFiles) -> str:
    for index in range(3):
        picture = Image.open(files.picture(index))
        picture.save(files.picture(index).with_suffix(".jpg"), quality=100, subsampling=0)
        files.picture(index).unlink()
    return "val"


def _json_lines(files: ClevrFiles) -> str:
    for path, entries in ((files.questions_file, files.questions), (files.scenes_file, files.scenes)):
        path.unlink()
        path.with_suffix(".jsonl").write_text("\n".join(map(json.dumps, entries)) + "\n")
    return "val"


def _bare_list_with_byte_order_mark(files: ClevrFiles) -> str:
    files.questions_file.write_text(json.dumps(files.questions), encoding="utf-8-sig")
    return "val"


def _byte_order_mark(files: ClevrFiles) -> str:
    for path in (files.questions_file, files.scenes_file):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return "val"


@pytest.mark.parametrize(
    "form", [_generator_output, _jpg, _json_lines, _bare_list_with_byte_order_mark, _byte_order_mark]
)
def test_a_set_in_another_form_reads_the_same(
    files: ClevrFiles, cache: Path, form: Callable[[ClevrFiles], str]
) -> None:
    expected = open_split(files.root, "val", images=32, cache=cache / "a")
    split = form(files)
    found = open_split(files.root, split, images=32, cache=cache / "b")
    assert found.directory.splits() == [split]
    assert found.fingerprint == expected.fingerprint and found.image_filenames == expected.image_filenames
    assert expected.images is not None and found.images is not None
    np.testing.assert_allclose(
        np.asarray(found.images, int), np.asarray(expected.images, int), atol=60 if form is _jpg else 0
    )
    assert found.picture(1).shape == (80, 120, 3)
    [row] = check_directory(files.root)
    assert (row["images"], row["scenes"], row["questions"], row["pictures"]) == (3, 3, 4, "files")


def test_splits_are_those_that_the_directory_holds(tmp_path: Path, cache: Path) -> None:
    for name in ("valB", "trainA", "valA", "new", "testB", "testA"):
        files = ClevrFiles(tmp_path / "clevr", name)
    files.questions_file.unlink()
    ClevrFiles(tmp_path / "clevr", "train")
    directory = ClevrDirectory.find(tmp_path / "clevr")
    assert directory.splits() == ["train", "trainA", "valA", "valB", "testA", "testB", "new"]
    assert directory.with_answers() == ["train", "trainA", "valA", "valB", "testB", "new"]
    unanswered = directory.questions("train")
    unanswered.write_text(re.sub(r'"answer": "\w+"', '"answer": null', unanswered.read_text()))
    assert ClevrDirectory.find(tmp_path / "clevr").with_answers() == ["trainA", "valA", "valB", "testB", "new"]
    assert open_split(tmp_path / "clevr", "valB", images=32, cache=cache).n_questions == 4
    without = open_split(tmp_path / "clevr", "testA", images=32, cache=cache)
    assert (without.n_questions, without.n_images, without.has_scenes, without.has_answers) == (0, 3, True, False)
    with pytest.raises(DataError, match=r"expected the questions of 'testA' in .*Use a split with questions"):
        without.require_questions()
    with pytest.raises(DataError, match=r"has no split 'valC'.*It has: train, trainA"):
        open_split(tmp_path / "clevr", "valC")


def test_pictures_alone_are_a_split(files: ClevrFiles, cache: Path) -> None:
    files.questions_file.unlink()
    files.scenes_file.unlink()
    files.picture(1).unlink()
    split = open_split(files.root, "val", images=32, cache=cache)
    assert split.image_indices == [0, 2] and split.n_questions == 0 and not split.has_scenes
    with pytest.raises(DataError, match=r"expected scenes, but .* does not exist"):
        _ = split.codes
    files.picture(0).rename(files.root / "images" / "val" / "holiday.jpeg")
    split = open_split(files.root, "val", images=32, cache=cache)
    assert (split.image_indices, split.image_filenames) == ([0, 1], ["CLEVR_val_000002.png", "holiday.jpeg"])


def test_a_set_without_scenes_or_programs(files: ClevrFiles, cache: Path) -> None:
    files.scenes_file.unlink()
    for entry in files.questions:
        del entry["program"], entry["question_family_index"]
    files.questions_file.write_text(json.dumps({"questions": files.questions}))
    split = open_split(files.root, "val", images=32, cache=cache)
    assert split.has_answers and not split.has_scenes and not split.has_programs
    assert split.type_name(0) == "" and set(split.families.tolist()) == {255}


def test_families_of_templates_that_are_not_clevrs_are_unknown(files: ClevrFiles, cache: Path) -> None:
    names = ("my_templates.json", "templates/zero_hop.json", "zero_hop.json", "C:/clevr/one_hop")
    for entry, name, index in zip(files.questions, names, (0, 1, 6, 2), strict=True):
        entry |= {"template_filename": name, "question_family_index": index}
    files.write()
    assert open_split(files.root, "val", images=None, cache=cache).families.tolist() == [255, 85, 255, 74]


def test_more_words_than_a_byte_can_number(files: ClevrFiles, cache: Path) -> None:
    words = [f"word{number}" for number in range(360)]
    files.questions = [question(0, " ".join(words[k : k + 60]), "1", "count") for k in range(0, 360, 60)]
    files.write()
    split = open_split(files.root, "val", images=None, cache=cache)
    assert split.vocabulary.words == tuple(words) and int(split.tokens.max()) == 360
    assert [split.question_text(k).lower() for k in range(6)] == [entry["question"] for entry in files.questions]
    assert split.vocabulary.word_table_from(split.vocabulary).tolist() == list(range(361))
    few = with_questions(split, np.array([5]))
    joined = join([few, few], split.vocabulary)
    assert joined.question_text(1) == split.question_text(5) and joined.codes.shape == (6, 2, 4)


def test_empty_scenes_and_scenes_of_more_than_16_objects(files: ClevrFiles, cache: Path) -> None:
    files.scenes[0] |= {"objects": [], "relationships": {name: [] for name in RELATIONS}}
    many = [dict(CUBE, color=COLORS[k % 8]) for k in range(20)]
    files.scenes[1] |= {"objects": many, "relationships": {name: [[19]] * 19 + [[]] for name in RELATIONS}}
    files.write()
    split = open_split(files.root, "val", images=None, cache=cache)
    assert split.n_objects.tolist() == [0, 20, 2] and split.codes.shape == (3, 20, 4)
    assert split.relationships[1, 0].tolist() == [1 << 19] * 19 + [0] and not split.relationships[0].any()
    files.scenes[1] |= {"objects": [CUBE] * 33, "relationships": {name: [[]] * 33 for name in RELATIONS}}
    files.write()
    with pytest.raises(DataError, match=r"scene number 1 .*has 33 objects; expected at most 32"):
        open_split(files.root, "val", images=None, cache=cache)


def test_check_names_what_later_commands_refuse(files: ClevrFiles, cache: Path) -> None:
    for fault in (_unknown_answer, _unknown_type, _answer_missing):
        broken = ClevrFiles(files.root / fault.__name__)
        fault(broken)
        with pytest.raises(DataError) as opened:
            open_split(broken.root, "val", images=None, cache=cache)
        with pytest.raises(DataError) as checked:
            check_directory(broken.root)
        assert str(opened.value) == str(checked.value)
