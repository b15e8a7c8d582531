"""Scenes and questions as in the JSON files, typed; other fields are ignored.

Both dialects are read: the v1.0 release, and files of the public generator (`type` for `function`, yes and no as JSON
true and false, counts as integers). A file is an object with the list, as in the release, the bare list, or JSON Lines
(one entry per line); a byte-order mark is skipped. A question file is 713 MB in full; so its questions are first cut
into raw pieces over a memory map, and each piece is decoded, used and dropped.
"""

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from rnlib.clevr.constants import ATTRIBUTES, RELATIONS
from rnlib.errors import DataError, reason
from rnlib.files import open_input, read_bytes

_Record = TypeVar("_Record")
ImageIndex = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class ProgramNode(msgspec.Struct, gc=False):
    """One step of a question's functional program. `type` is the public generator's name for `function`."""

    function: str = ""
    type: str | msgspec.UnsetType = msgspec.UNSET
    inputs: list[int] = []
    value_inputs: list[str] = []

    @property
    def name(self) -> str:
        return self.function or str(self.type or "")


Program = list[ProgramNode]


class QuestionRecord(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """One question, in the release's order of keys. `answer` and `program` are absent in the test split.

    Of a minimal pair (`rnlib.synthesis.minimal_pairs`): `partner` is the other question's index, `change` what differs.
    """

    question_index: int | None = None
    split: str = ""
    image_index: ImageIndex
    image_filename: str
    question: str
    answer: str | bool | int | None = None
    program: Program | None = None
    question_family_index: int | None = None
    template_filename: str | None = None
    partner: int | None = None
    change: str | None = None

    @property
    def answer_word(self) -> str | None:
        """The answer as the release spells it: 'yes', 'no', '0' to '10', or an attribute value."""
        if self.answer is None:
            return None
        if isinstance(self.answer, bool):
            return "yes" if self.answer else "no"
        return str(self.answer)


class SceneObject(msgspec.Struct, gc=False):
    """One object of a scene; `coordinates` are world units, `pixel_coords` are x, y in pixels and depth."""

    coordinates: tuple[float, float, float] = msgspec.field(name="3d_coords")
    pixel_coords: tuple[float, float, float]
    rotation: float
    size: str
    color: str
    material: str
    shape: str


class Scene(msgspec.Struct, gc=False, kw_only=True):
    """One scene, in the release's order of keys: its objects, and for each relation and object those that lie there."""

    split: str = ""
    image_index: ImageIndex
    image_filename: str
    objects: list[SceneObject]
    relationships: dict[str, list[list[int]]]
    directions: dict[str, tuple[float, float, float]] = {}


class _QuestionsFile(msgspec.Struct):
    questions: list[msgspec.Raw]


class _ScenesFile(msgspec.Struct):
    scenes: list[msgspec.Raw]


def read_questions(path: Path) -> Iterator[QuestionRecord]:
    """The questions of a file, one at a time, in its order. Raises DataError naming the question at fault."""
    decoder = msgspec.json.Decoder(QuestionRecord)
    with _entries(path, _QuestionsFile, "questions") as entries:
        for position, raw in enumerate(entries):
            yield _decode(decoder, raw, path, "question", position)


def raw_questions(path: Path) -> list[msgspec.Raw]:
    """The questions of a file as they are there, not decoded, in its order. They keep the file mapped."""
    with _entries(path, _QuestionsFile, "questions") as entries:
        return list(entries)


def count_entries(path: Path, key: str) -> int:
    """The number of "questions" or "scenes" in a file. Raises DataError where it is no such file."""
    with _entries(path, _QuestionsFile if key == "questions" else _ScenesFile, key) as entries:
        return sum(1 for _ in entries)


def read_scenes(path: Path) -> Iterator[Scene]:
    """The scenes of a file, one at a time, in its order, checked. Raises DataError naming the scene at fault."""
    decoder = msgspec.json.Decoder(Scene)
    seen: set[int] = set()
    with _entries(path, _ScenesFile, "scenes") as entries:
        for position, raw in enumerate(entries):
            scene = _decode(decoder, raw, path, "scene", position)
            _check_scene(scene, path, position)
            if scene.image_index in seen:
                raise DataError(
                    f"{path}: scene number {position} (from 0) repeats the image_index {scene.image_index}; expected "
                    "each once. The file was put together wrongly: fetch or make it again."
                )
            seen.add(scene.image_index)
            yield scene


FORGET_EVERY = 20_000  # entries; 20 MB of questions
_LINE = 1 << 20  # bytes within which the first line of JSON Lines ends


@contextmanager
def _entries(path: Path, kind: type[_QuestionsFile] | type[_ScenesFile], key: str) -> Iterator[Iterator[msgspec.Raw]]:
    with open_input(path) as file:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty: expected JSON with the list '{key}'. Fetch or make it again.")
        try:
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise DataError(f"cannot read {path}: {reason(error)}. Check its size, and the disk.") from None
        try:
            entries = _cut(buffer, kind, key)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(
                f"{path} is not a CLEVR {key} file: expected JSON with the list '{key}' ({reason(error)}). "
                "The file is damaged or cut short: fetch or make it again."
            ) from None
        # The raw entries point into the map, which closes itself when the last of them is dropped.
        yield _forgetting(entries, buffer)


def _cut(buffer: mmap.mmap, kind: type[_QuestionsFile] | type[_ScenesFile], key: str) -> list[msgspec.Raw]:
    """The raw entries of a file in any of its three forms."""
    content = memoryview(buffer)[3:] if buffer[:3] == b"\xef\xbb\xbf" else memoryview(buffer)
    start = bytes(content[:_LINE]).lstrip()
    if start.startswith(b"["):
        return msgspec.json.decode(content, type=list[msgspec.Raw])
    line, _, more = start.partition(b"\n")
    if line.startswith(b"{") and line.rstrip().endswith(b"}") and b'"image_index"' in line and _is_entry(line):
        return msgspec.json.Decoder(msgspec.Raw).decode_lines(content) if more else [msgspec.Raw(bytes(content))]
    decoded: object = msgspec.json.decode(content, type=kind)
    entries: list[msgspec.Raw] = getattr(decoded, key)
    return entries


def _is_entry(line: bytes) -> bool:
    """Whether a line is a question or a scene, and not a whole file on one line."""
    try:
        return "image_index" in msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False


def _forgetting(entries: list[msgspec.Raw], buffer: mmap.mmap) -> Iterator[msgspec.Raw]:
    """The entries one by one; what has been read of the map does not stay in memory, for the file is still there."""
    for position, entry in enumerate(entries):
        if position % FORGET_EVERY == 0 and hasattr(mmap, "MADV_DONTNEED"):
            buffer.madvise(mmap.MADV_DONTNEED)
        yield entry


def _decode(
    decoder: "msgspec.json.Decoder[_Record]", raw: msgspec.Raw, path: Path, noun: str, position: int
) -> _Record:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: {noun} number {position} (from 0) is not a CLEVR {noun}: {reason(error)}.") from None


def _check_scene(scene: Scene, path: Path, position: int) -> None:
    where = f"{path}: scene number {position} (from 0)"
    for number, item in enumerate(scene.objects):
        for attribute, values in ATTRIBUTES.items():
            if getattr(item, attribute) not in values:
                raise DataError(
                    f"{where}, object {number}: expected a {attribute} out of {', '.join(values)}, "
                    f"found '{getattr(item, attribute)}'. Is this a CLEVR v1.0 scene?"
                )
    count = len(scene.objects)
    for relation in RELATIONS:
        lists = scene.relationships.get(relation, [])
        if len(lists) != count or any(not 0 <= j < count for entry in lists for j in entry):
            raise DataError(
                f"{where}: expected for the relation '{relation}' one list of object numbers below {count} "
                f"for each of the {count} objects, found {lists}. The scene is damaged."
            )


def one_scene(source: Path | Mapping[str, Any], name: str = "") -> Scene:
    """A scene as CLEVR's scene files have it, or from a file; of a file's several scenes, that of the picture `name`.

    A file may hold one scene alone. Raises DataError where there is no such scene or it is none.
    """
    if isinstance(source, Mapping):
        try:
            scene = msgspec.convert(source, Scene)
        except msgspec.ValidationError as error:
            raise DataError(f"expected a scene as in CLEVR's scene files, found another thing: {error}.") from None
        _check_scene(scene, Path("scene"), 0)
        return scene
    try:
        scene = msgspec.json.decode(read_bytes(source).removeprefix(b"\xef\xbb\xbf"), type=Scene)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        scenes = list(read_scenes(source))
    else:
        _check_scene(scene, source, 0)
        scenes = [scene]
    chosen = [scene for scene in scenes if scene.image_filename == name] or scenes
    if len(chosen) != 1:
        raise DataError(
            f"{source} holds {len(scenes):,} scenes: expected one, or one whose image_filename is that of the picture "
            f"('{name}')."
        )
    return chosen[0]
