"""Questions and scenes of a split as arrays.

Questions: `tokens` (questions, longest) uint8, numbered from 1 in the order of first
appearance, zero-padded on the right; `lengths`; `answers` (0 = none); `image_of_question`
(row of the picture); `types` and `families` (255 = unknown); `program_lengths`.
Scenes (absent for test): `coordinates` (scenes, most, 3) world units, `codes`
(scenes, most, 4) colour, material, shape, size from 1, 0 = no object; `n_objects`;
`pixel_coords` (scenes, most, 3); `rotations`; `relationships` (scenes, 4, most) where bit
j of entry [r, i] says that object j lies in direction RELATIONS[r] of object i.
"""

from pathlib import Path

import numpy as np

from rnlib.clevr.cache import seal
from rnlib.clevr.catalogue import ATTRIBUTES, CLASS_OF_ANSWER, FAMILY_GROUPS, QUESTION_TYPES, RELATIONS
from rnlib.clevr.layout import ClevrDirectory, check_image
from rnlib.clevr.records import QuestionRecord, SceneRecord, read_questions, read_scenes
from rnlib.clevr.vocabulary import Vocabulary, tokenize
from rnlib.errors import DataError
from rnlib.progress import progress

UNKNOWN = 255
_TYPE_NUMBER = {name: number for number, name in enumerate(QUESTION_TYPES)}


def write_tables(directory: ClevrDirectory, split: str, folder: Path, source: object, show: bool) -> None:
    """Read the JSON files of a split and write its arrays, vocabulary and picture names into `folder`."""
    scenes = read_all_scenes(directory, split)
    arrays = scene_arrays(scenes) if scenes else {}
    filenames = {scene.image_index: scene.image_filename for scene in scenes}
    del scenes
    questions, vocabulary, filenames = question_arrays(directory.questions(split), filenames, show)
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


def read_all_scenes(directory: ClevrDirectory, split: str) -> list[SceneRecord]:
    """The scenes of a split in the order of their image index; none where the split has no scene file (test)."""
    if not directory.scenes(split).is_file():
        return []
    scenes = sorted(read_scenes(directory.scenes(split)), key=lambda scene: scene.image_index)
    if not scenes:
        raise DataError(f"{directory.scenes(split)}: expected scenes, found an empty list. Fetch or make it again.")
    return scenes


def scene_arrays(scenes: list[SceneRecord]) -> dict[str, np.ndarray]:
    """The scene arrays described on top of this module."""
    most = max(len(scene.objects) for scene in scenes)
    if most > 16:
        raise DataError(f"expected at most 16 objects in a scene (CLEVR has 10), found {most}.")
    shape = (len(scenes), most)
    arrays: dict[str, np.ndarray] = {
        "coordinates": np.zeros((*shape, 3), np.float32),
        "codes": np.zeros((*shape, len(ATTRIBUTES)), np.uint8),
        "n_objects": np.array([len(scene.objects) for scene in scenes], np.uint8),
        "pixel_coords": np.zeros((*shape, 3), np.float32),
        "rotations": np.zeros(shape, np.float32),
        "relationships": np.zeros((len(scenes), len(RELATIONS), most), np.uint16),
    }
    for row, scene in enumerate(scenes):
        for column, item in enumerate(scene.objects):
            arrays["coordinates"][row, column] = item.coordinates
            arrays["pixel_coords"][row, column] = item.pixel_coords
            arrays["rotations"][row, column] = item.rotation
            arrays["codes"][row, column] = [
                values.index(getattr(item, attribute)) + 1 for attribute, values in ATTRIBUTES.items()
            ]
        for number, relation in enumerate(RELATIONS):
            for column, others in enumerate(scene.relationships[relation]):
                arrays["relationships"][row, number, column] = sum(1 << other for other in set(others))
    return arrays


def question_arrays(
    path: Path, filenames: dict[int, str], show: bool
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
        progress(read_questions(path), None, f"reading {path.name}", show, "questions")
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
