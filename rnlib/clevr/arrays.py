"""Questions and scenes of a split as arrays.

Questions: `tokens` (questions, longest), numbered from 1 in the order of first appearance, zero-padded on the right,
uint8 (int16 where there are more than 255 words); `lengths`; `answers` (0 = none); `image_of_question` (row of the
picture); `types` and `families` (255 = unknown); `program_lengths`. Empty where the split has no questions.
Scenes (absent where the split has none): `coordinates` (scenes, most, 3) world units, `codes` (scenes, most, 4)
colour, material, shape, size from 1, 0 = no object; `n_objects`; `pixel_coords` (scenes, most, 3); `rotations`;
`relationships` (scenes, 4, most), where bit j of entry [r, i] says that object j lies in direction RELATIONS[r] of
object i, uint16 (uint32 where there are more than 16 objects).
"""

from array import array
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from rnlib.clevr.cache import seal
from rnlib.clevr.constants import ATTRIBUTES, CLASS_OF_ANSWER, FAMILY_GROUPS, QUESTION_TYPES, RELATIONS
from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.schema import QuestionRecord, Scene, read_questions, read_scenes
from rnlib.clevr.vocabulary import Vocabulary, number_type, tokenize
from rnlib.errors import DataError
from rnlib.progress import progress

UNKNOWN = 255
MOST = 32  # objects in a scene, as many as a row of `relationships` has bits; CLEVR has 10
LONGEST = 255  # words of a question
_TYPE_NUMBER = {name: number for number, name in enumerate(QUESTION_TYPES)}
_CODES = {name: {value: code for code, value in enumerate(values, 1)} for name, values in ATTRIBUTES.items()}


class SplitTables(NamedTuple):
    """What the JSON files of a split say: arrays by name, words and answers, and the name of each picture."""

    arrays: dict[str, np.ndarray]
    vocabulary: Vocabulary
    filenames: dict[int, str]  # by image_index, in its order: that of the pictures' rows


def read_tables(directory: ClevrDirectory, split: str, verbose: bool) -> SplitTables:
    """Read the JSON files of a split whole. Raises DataError at the first fault, naming file and entry."""
    files = directory.files[split]
    arrays: dict[str, np.ndarray] = {}
    filenames: dict[int, str] = {}
    if files.scenes:
        arrays, filenames = scene_arrays(read_scenes(files.scenes), files.scenes)
    if files.questions:
        return _with_questions(files.questions, arrays, filenames, verbose)
    if not filenames:
        filenames = _numbered(directory.picture_names(split))
    return SplitTables(arrays | _no_questions(), Vocabulary((), ()), filenames)


def write_tables(directory: ClevrDirectory, split: str, folder: Path, source: object, verbose: bool) -> None:
    """Read the JSON files of a split and write its arrays, vocabulary and picture names into `folder`."""
    arrays, vocabulary, filenames = read_tables(directory, split, verbose)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    extra = {
        "words": vocabulary.words,
        "answers": vocabulary.answers,
        "image_indices": list(filenames),
        "image_filenames": list(filenames.values()),
    }
    seal(folder, list(arrays), source, extra)


def _numbered(names: list[str]) -> dict[int, str]:
    """Pictures by the number in their names (CLEVR_new_000012.png: 12); by their place where some have none."""
    numbers = [name.rpartition(".")[0].rpartition("_")[2] for name in names]
    if all(number.isdecimal() for number in numbers) and len(set(map(int, numbers))) == len(names):
        return dict(sorted(zip(map(int, numbers), names, strict=True)))
    return dict(enumerate(names))


def scene_arrays(scenes: Iterable[Scene], path: Path) -> tuple[dict[str, np.ndarray], dict[int, str]]:
    """The scene arrays described on top of this module, and the pictures' names, both in the order of image_index.

    The scenes are used one by one: 70,000 of them at once would take a gigabyte. Raises DataError for a scene of more
    than MOST objects.
    """
    counts, rotations = array("B"), array("f")
    coordinates, pixel_coords = array("f"), array("f")
    codes, relationships = array("B"), array("L")
    filenames: dict[int, str] = {}
    for position, scene in enumerate(scenes):
        if len(scene.objects) > MOST:
            raise DataError(
                f"{path}: scene number {position} (from 0) has {len(scene.objects)} objects; expected at most {MOST} "
                "(CLEVR has 10). Leave such scenes and their questions out."
            )
        counts.append(len(scene.objects))
        filenames[scene.image_index] = scene.image_filename
        for item in scene.objects:
            coordinates.extend(item.coordinates)
            pixel_coords.extend(item.pixel_coords)
            rotations.append(item.rotation)
            codes.extend(code[getattr(item, attribute)] for attribute, code in _CODES.items())
        for relation in RELATIONS:
            relationships.extend(sum(1 << other for other in set(others)) for others in scene.relationships[relation])
    if not filenames:
        raise DataError(f"{path}: expected scenes, found an empty list. Fetch or make it again.")
    n_objects = np.array(counts)
    most = int(n_objects.max())
    there = np.arange(most) < n_objects[:, None]
    bits = np.uint16 if most <= 16 else np.uint32
    arrays = {
        "coordinates": _scattered(np.array(coordinates).reshape(-1, 3), there),
        "codes": _scattered(np.array(codes).reshape(-1, len(ATTRIBUTES)), there),
        "n_objects": n_objects,
        "pixel_coords": _scattered(np.array(pixel_coords).reshape(-1, 3), there),
        "rotations": _scattered(np.array(rotations), there),
        "relationships": _scattered(
            np.array(relationships).astype(bits), np.repeat(there[:, None], len(RELATIONS), axis=1)
        ),
    }
    order = np.argsort(list(filenames))
    return {name: values[order] for name, values in arrays.items()}, dict(sorted(filenames.items()))


def _scattered(flat: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Entries one after another at the places that are `there`, zeros elsewhere."""
    whole = np.zeros((*there.shape, *flat.shape[1:]), flat.dtype)
    whole[there] = flat
    return whole


_COLUMNS = ("lengths", "answers", "types", "families", "program_lengths")


def _no_questions() -> dict[str, np.ndarray]:
    columns = {name: np.zeros(0, np.uint8) for name in _COLUMNS}
    return {**columns, "tokens": np.zeros((0, 0), np.uint8), "image_of_question": np.zeros(0, np.uint32)}


def _with_questions(path: Path, arrays: dict[str, np.ndarray], filenames: dict[int, str], verbose: bool) -> SplitTables:
    """Adds the questions' arrays, and the vocabulary in the order of first appearance.

    `filenames` are the scenes' pictures; where there are none (test), the questions name them.
    """
    words: dict[str, int] = {}
    answers: dict[str, int] = {}
    columns = {name: array("B") for name in _COLUMNS}
    flat, images = array("H"), array("L")
    asked: dict[int, str] = {}
    for position, question in enumerate(
        progress(read_questions(path), None, f"reading {path.name}", verbose, "questions")
    ):
        _check_image(question, filenames, path)
        asked[question.image_index] = question.image_filename
        numbers = [words.setdefault(word, len(words) + 1) for word in tokenize(question.question)]
        program_length = len(question.program or ())
        if not 0 < len(numbers) <= LONGEST or program_length > 255:
            raise DataError(
                f"{path}: question number {position} (from 0) has {len(numbers)} words and a program of "
                f"{program_length} steps; expected 1 to {LONGEST} words and at most 255 steps. Is this a CLEVR "
                "question file?"
            )
        flat.extend(numbers)
        images.append(question.image_index)
        columns["lengths"].append(len(numbers))
        columns["answers"].append(_answer_number(question, answers, path, position))
        columns["types"].append(_type_number(question, path, position))
        columns["families"].append(_family(question, path, position))
        columns["program_lengths"].append(program_length)
    if not flat:
        raise DataError(f"{path}: expected questions, found an empty list. Fetch or make it again.")
    without = columns["answers"].count(0)
    if 0 < without < len(images):
        raise DataError(
            f"{path}: expected an answer to every question (train, val) or to none (test), found "
            f"{without} of {len(images)} without. The file is damaged."
        )
    vocabulary = Vocabulary(tuple(words), tuple(answers))
    filenames = filenames or dict(sorted(asked.items()))
    row_of_image = {index: row for row, index in enumerate(filenames)}
    arrays |= {name: np.array(column) for name, column in columns.items()}
    arrays["image_of_question"] = np.array([row_of_image[index] for index in images], np.uint32)
    lengths = arrays["lengths"]
    there = np.arange(int(lengths.max())) < lengths[:, None]
    arrays["tokens"] = _scattered(np.array(flat).astype(number_type(len(words))), there)
    return SplitTables(arrays, vocabulary, filenames)


def _check_image(question: QuestionRecord, scene_images: dict[int, str], path: Path) -> None:
    """Raise DataError where a question's picture is not the one of its scene. No scenes (test): nothing to check."""
    index, filename = question.image_index, question.image_filename
    if scene_images and scene_images.get(index) != filename:
        expected = f"scene {index} has {scene_images[index]}" if index in scene_images else f"there is no scene {index}"
        raise DataError(
            f"{path}: a question asks about image_index {index} ({filename}), but {expected} "
            f"among the {len(scene_images)} scenes. Questions and scenes are of different sets, or one file is damaged."
        )


def _answer_number(question: QuestionRecord, answers: dict[str, int], path: Path, position: int) -> int:
    answer = question.answer_word
    if answer is None:
        return 0
    if answer not in CLASS_OF_ANSWER:
        raise DataError(
            f"{path}: question number {position} (from 0) has the answer '{answer}', which is not one of CLEVR's "
            f"{len(CLASS_OF_ANSWER)} answers. Is this a CLEVR question file?"
        )
    return answers.setdefault(answer, len(answers) + 1)


def _type_number(question: QuestionRecord, path: Path, position: int) -> int:
    if not question.program:
        return UNKNOWN
    name = question.program[-1].name
    if name not in _TYPE_NUMBER:
        raise DataError(
            f"{path}: the program of question number {position} (from 0) ends in '{name}'; expected one of "
            f"{', '.join(QUESTION_TYPES)}."
        )
    return _TYPE_NUMBER[name]


def _family(question: QuestionRecord, path: Path, position: int) -> int:
    """The global family index 0..89; UNKNOWN for a template that is not CLEVR's.

    The public generator counts within each of its template files.
    """
    family = question.question_family_index
    if family is None:
        return UNKNOWN
    if question.template_filename:
        group = FAMILY_GROUPS.get(PurePath(question.template_filename).stem, range(0))
        return group[family] if 0 <= family < len(group) else UNKNOWN
    if not 0 <= family < UNKNOWN:
        raise DataError(f"{path}: question number {position} (from 0) has the family index {family}; expected 0 to 89.")
    return family
