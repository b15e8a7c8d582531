"""Questions and scenes of a split as arrays.

Questions: `tokens` (questions, longest) uint8, numbered from 1 in the order of first
appearance, zero-padded on the right; `lengths`; `answers` (0 = none); `image_of_question`
(row of the picture); `types` and `families` (255 = unknown); `program_lengths`.
Scenes (absent for test): `coordinates` (scenes, most, 3) world units, `codes`
(scenes, most, 4) colour, material, shape, size from 1, 0 = no object; `n_objects`;
`pixel_coords` (scenes, most, 3); `rotations`; `relationships` (scenes, 4, most) where bit
j of entry [r, i] says that object j lies in direction RELATIONS[r] of object i.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rnlib.clevr.cache import seal
from rnlib.clevr.constants import ATTRIBUTES, CLASS_OF_ANSWER, FAMILY_GROUPS, QUESTION_TYPES, RELATIONS
from rnlib.clevr.layout import ClevrDirectory, check_image
from rnlib.clevr.schema import QuestionRecord, SceneRecord, read_questions, read_scenes
from rnlib.clevr.vocabulary import Vocabulary, tokenize
from rnlib.errors import DataError
from rnlib.progress import progress

UNKNOWN = 255
_TYPE_NUMBER = {name: number for number, name in enumerate(QUESTION_TYPES)}


def write_tables(directory: ClevrDirectory, split: str, folder: Path, source: object, verbose: bool) -> None:
    """Read the JSON files of a split and write its arrays, vocabulary and picture names into `folder`."""
    arrays: dict[str, np.ndarray] = {}
    filenames: dict[int, str] = {}
    if directory.scenes(split).is_file():
        arrays, filenames = scene_arrays(read_scenes(directory.scenes(split)), directory.scenes(split))
    questions, vocabulary, filenames = question_arrays(directory.questions(split), filenames, verbose)
    arrays |= questions
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    extra = {
        "words": vocabulary.words,
        "answers": vocabulary.answers,
        "image_indices": list(filenames),
        "image_filenames": list(filenames.values()),
    }
    seal(folder, list(arrays), source, extra)


MOST = 16  # objects in a scene, as many as a row of `relationships` has bits; CLEVR has 10
_SCENE = np.dtype(
    [
        ("coordinates", np.float32, (MOST, 3)),
        ("codes", np.uint8, (MOST, len(ATTRIBUTES))),
        ("n_objects", np.uint8),
        ("pixel_coords", np.float32, (MOST, 3)),
        ("rotations", np.float32, MOST),
        ("relationships", np.uint16, (len(RELATIONS), MOST)),
    ]
)


def scene_arrays(scenes: Iterable[SceneRecord], path: Path) -> tuple[dict[str, np.ndarray], dict[int, str]]:
    """The scene arrays described on top of this module, and the pictures' names, both in the order of image_index.

    The scenes are used one by one: 70,000 of them at once would take a gigabyte.
    """
    rows: list[bytes] = []
    filenames: dict[int, str] = {}
    for scene in scenes:
        if len(scene.objects) > MOST:
            raise DataError(f"expected at most {MOST} objects in a scene (CLEVR has 10), found {len(scene.objects)}.")
        row = np.zeros((), _SCENE)
        row["n_objects"] = len(scene.objects)
        for column, item in enumerate(scene.objects):
            row["coordinates"][column] = item.coordinates
            row["pixel_coords"][column] = item.pixel_coords
            row["rotations"][column] = item.rotation
            row["codes"][column] = [
                values.index(getattr(item, attribute)) + 1 for attribute, values in ATTRIBUTES.items()
            ]
        for number, relation in enumerate(RELATIONS):
            for column, others in enumerate(scene.relationships[relation]):
                row["relationships"][number, column] = sum(1 << other for other in set(others))
        rows.append(row.tobytes())
        filenames[scene.image_index] = scene.image_filename
    if not rows:
        raise DataError(f"{path}: expected scenes, found an empty list. Fetch or make it again.")
    table = np.frombuffer(b"".join(rows), _SCENE)[np.argsort(list(filenames))]
    most = int(table["n_objects"].max())
    arrays = {name: table[name] for name in _SCENE.names or ()}
    for name in ("coordinates", "codes", "pixel_coords", "rotations"):
        arrays[name] = arrays[name][:, :most]
    arrays["relationships"] = arrays["relationships"][:, :, :most]
    return arrays, dict(sorted(filenames.items()))


def question_arrays(
    path: Path, filenames: dict[int, str], verbose: bool
) -> tuple[dict[str, np.ndarray], Vocabulary, dict[int, str]]:
    """The question arrays, the vocabulary in first-appearance order, and the picture of each image index.

    `filenames` are the scenes' pictures; where there are none (test), the questions name them.
    """
    words: dict[str, int] = {}
    answers: dict[str, int] = {}
    columns: dict[str, list[int]] = {
        name: [] for name in ("lengths", "answers", "image_index", "types", "families", "program_lengths")
    }
    flat = bytearray()
    asked: dict[int, str] = {}
    for position, question in enumerate(
        progress(read_questions(path), None, f"reading {path.name}", verbose, "questions")
    ):
        check_image(question.image_index, question.image_filename, filenames, path)
        asked[question.image_index] = question.image_filename
        numbers = [words.setdefault(word, len(words) + 1) for word in tokenize(question.question)]
        if not 0 < len(numbers) <= 255 or len(words) > 255:
            raise DataError(
                f"{path}: question number {position} (from 0) has {len(numbers)} words, and the file so far "
                f"{len(words)} different ones; expected 1 to 255 of each. Is this a CLEVR question file?"
            )
        flat.extend(numbers)
        columns["lengths"].append(len(numbers))
        columns["image_index"].append(question.image_index)
        columns["answers"].append(_answer_number(question, answers, path, position))
        columns["types"].append(_type_number(question, path, position))
        columns["families"].append(_family(question, path, position))
        columns["program_lengths"].append(len(question.program or ()))
    if not flat:
        raise DataError(f"{path}: expected questions, found an empty list. Fetch or make it again.")
    if not filenames:
        filenames = dict(sorted(asked.items()))
    row_of_image = {index: row for row, index in enumerate(filenames)}
    if 0 < columns["answers"].count(0) < len(columns["answers"]):
        raise DataError(
            f"{path}: expected an answer to every question (train, val) or to none (test), found "
            f"{columns['answers'].count(0)} of {len(columns['answers'])} without. The file is damaged."
        )
    images = columns.pop("image_index")
    arrays = {name: np.array(column, np.uint8) for name, column in columns.items()}
    arrays["image_of_question"] = np.array([row_of_image[index] for index in images], np.uint32)
    arrays["tokens"] = _padded(flat, arrays["lengths"])
    return arrays, Vocabulary(tuple(words), tuple(answers)), filenames


def _padded(flat: bytearray, lengths: np.ndarray) -> np.ndarray:
    tokens = np.zeros((len(lengths), int(lengths.max())), np.uint8)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = np.frombuffer(flat, np.uint8)
    return tokens


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
    """The global family index 0..89; the public generator counts within each of its template files."""
    if question.question_family_index is None:
        return UNKNOWN
    group = (question.template_filename or "").removesuffix(".json")
    family = question.question_family_index + (FAMILY_GROUPS[group].start if group in FAMILY_GROUPS else 0)
    if not 0 <= family < UNKNOWN:
        raise DataError(f"{path}: question number {position} (from 0) has the family index {family}; expected 0 to 89.")
    return family
