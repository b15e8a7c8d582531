"""Synthetic CLEVR: the v1.0 layout, true answers, CLEVR's rules for scenes, and the same bytes every time."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rnlib.clevr.catalogue import ATTRIBUTES, CLASS_OF_ANSWER, FAMILY_GROUPS, QUESTION_TYPES, RELATIONS
from rnlib.clevr.vocabulary import clevr_v1, tokenize
from rnlib.errors import ConfigError, DataError
from rnlib.synthesis import execute, synthesize, write
from rnlib.synthesis.pictures import COLORS_RGB, draw
from rnlib.synthesis.questions import SUPPORTED, ask, select_families
from rnlib.synthesis.scenes import DIRECTIONS, RADII, relationships, sample_scene

SMALL = (96, 64)
FEW = {"train": 4, "val": 3, "test": 2, "image_size": SMALL, "progress": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """150 scenes of train, 6 of val, 5 of test, of all families."""
    out = tmp_path_factory.mktemp("synthetic") / "set"
    return synthesize(out, train=150, val=6, test=5, seed=3, image_size=SMALL, workers=1, progress=False)


def load(out: Path, kind: str, split: str) -> list[dict]:
    return json.loads((out / kind / f"CLEVR_{split}_{kind}.json").read_text())[kind]


def bytes_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_layout_and_keys_are_those_of_the_release(made):
    files = {path for path in bytes_of(made) if not path.startswith("images/")}
    assert files == {
        "synthesis.json",
        "scenes/CLEVR_train_scenes.json",
        "scenes/CLEVR_val_scenes.json",
        "questions/CLEVR_train_questions.json",
        "questions/CLEVR_val_questions.json",
        "questions/CLEVR_test_questions.json",
    }
    for split, number in (("train", 150), ("val", 6), ("test", 5)):
        names = sorted(path.name for path in (made / "images" / split).iterdir())
        assert names == [f"CLEVR_{split}_{i:06d}.png" for i in range(number)]
        document = json.loads((made / "questions" / f"CLEVR_{split}_questions.json").read_text())
        assert set(document) == {"info", "questions"}
        assert set(document["info"]) == {"date", "version", "split", "license"}
        assert document["info"]["split"] == split
        rows = document["questions"]
        assert [row["question_index"] for row in rows] == list(range(len(rows)))
        keys = {"split", "image_index", "image_filename", "question", "question_index"}
        if split != "test":
            keys |= {"answer", "program", "question_family_index"}
        assert all(set(row) == keys for row in rows)
        assert all(row["image_filename"] == f"CLEVR_{split}_{row['image_index']:06d}.png" for row in rows)
    scene = load(made, "scenes", "train")[7]
    assert set(scene) == {"split", "image_index", "image_filename", "objects", "relationships", "directions"}
    assert scene["image_index"] == 7
    keys = {"3d_coords", "pixel_coords", "rotation", "size", "color", "material", "shape"}
    assert all(set(item) == keys for item in scene["objects"])
    for row in load(made, "questions", "train"):
        for node in row["program"]:
            assert set(node) == {"function", "inputs", "value_inputs"}
    with Image.open(made / "images/train/CLEVR_train_000000.png") as image:
        assert (image.size, image.mode) == (SMALL, "RGB")


def test_every_answer_is_what_its_program_gives(made):
    for split in ("train", "val"):
        scenes = load(made, "scenes", split)
        rows = load(made, "questions", split)
        assert len(rows) > 9 * len(scenes)
        for row in rows:
            assert execute(row["program"], scenes[row["image_index"]]) == row["answer"], row["question"]


def test_all_types_and_only_supported_families_occur(made):
    rows = load(made, "questions", "train")
    assert {row["program"][-1]["function"] for row in rows} == set(QUESTION_TYPES)
    allowed = {index for group in SUPPORTED for index in FAMILY_GROUPS[group]}
    found = {row["question_family_index"] for row in rows}
    assert found <= allowed
    assert len(found) > 0.9 * len(allowed)


def test_families_have_the_types_of_the_release():
    kinds = {family.index: family.kind for family in select_families(None)}
    assert [kinds[i] for i in FAMILY_GROUPS["one_hop"]] == [
        "count",
        "exist",
        "query_size",
        "query_color",
        "query_material",
        "query_shape",
    ]
    assert [kinds[i] for i in (0, 4, 8)] == ["equal_integer", "less_than", "greater_than"]
    assert [kinds[i] for i in (9, 12, 13, 24)] == ["equal_size", "equal_shape", "equal_size", "equal_shape"]
    assert [kinds[i] for i in (36, 40, 52, 63)] == ["exist", "count", "query_color", "query_material"]


def test_questions_use_the_words_of_clevr_and_are_not_repeated_on_a_scene(made):
    vocabulary = clevr_v1()
    rows = [row for split in ("train", "val", "test") for row in load(made, "questions", split)]
    words = {word for row in rows for word in tokenize(row["question"])}
    assert words <= set(vocabulary.words)
    assert len(words) > 60
    assert all(row["question"].endswith("?") and row["question"][0].isupper() for row in rows)
    train = [row for row in rows if row["split"] == "train"]
    assert {row["answer"] for row in train} <= set(vocabulary.answers)
    assert len({(row["image_index"], row["question"]) for row in train}) == len(train)


def test_answers_are_balanced(made):
    answers: dict[str, Counter] = {}
    for row in load(made, "questions", "train"):
        answers.setdefault(row["program"][-1]["function"], Counter())[row["answer"]] += 1
    share = {kind: found.most_common(1)[0][1] / found.total() for kind, found in answers.items()}
    assert 0.4 < answers["exist"]["yes"] / answers["exist"].total() < 0.6
    assert share["count"] < 0.45
    assert share["query_color"] < 0.3
    assert share["query_shape"] < 0.5
    for kind in ("query_size", "query_material"):
        assert share[kind] < 0.65
    for attribute in ATTRIBUTES:
        assert answers[f"query_{attribute}"].keys() == set(ATTRIBUTES[attribute])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), most=st.integers(3, 10))
def test_scenes_keep_the_rules_of_clevr(seed, most):
    scene, _ = sample_scene(np.random.default_rng(seed), (3, most), (480, 320))
    items = scene["objects"]
    assert 3 <= len(items) <= most
    centres = np.array([item["3d_coords"] for item in items])
    radii = np.array([RADII[item["size"]] for item in items])
    assert (np.abs(centres[:, :2]) <= 3).all()
    assert np.array_equal(centres[:, 2], radii)
    for i in range(len(items)):
        assert all(items[i][attribute] in values for attribute, values in ATTRIBUTES.items())
        assert 0 <= items[i]["rotation"] < 360
        x, y, depth = items[i]["pixel_coords"]
        assert isinstance(x, int)
        assert isinstance(y, int)
        assert 0 < x < 480
        assert 0 < y < 320
        assert 5 < depth < 20
        for j in range(i):
            apart = centres[j] - centres[i]
            assert np.hypot(apart[0], apart[1]) >= 0.25 + radii[i] + radii[j]
            assert all(abs(apart @ np.array(DIRECTIONS[name])) >= 0.4 for name in RELATIONS)
    for name in RELATIONS:
        direction = np.array(DIRECTIONS[name])
        expected = [
            [j for j in range(len(items)) if (centres[j] - centres[i]) @ direction > 0.2] for i in range(len(items))
        ]
        assert scene["relationships"][name] == expected


@pytest.mark.parametrize("color", ATTRIBUTES["color"])
def test_an_object_shows_its_colour_where_the_scene_says_it_is(color):
    """The nearest object is painted and looked up at its pixel_coords: pictures and scenes speak of the same place."""
    scene, camera = sample_scene(np.random.default_rng(2), (6, 6), (480, 320))
    nearest = min(scene["objects"], key=lambda item: item["pixel_coords"][2])
    nearest |= {"color": color, "material": "rubber"}
    picture = np.asarray(draw(scene, camera, (480, 320)), dtype=float)
    x, y, _ = nearest["pixel_coords"]
    seen = picture[y - 3 : y + 4, x - 3 : x + 4].mean((0, 1))
    # The pictures are less saturated than the nominal colours (an exponent of 0.6), under light of another strength.
    tones = {name: (np.array(rgb) / 255) ** 0.6 for name, rgb in COLORS_RGB.items()}
    best = max(tones, key=lambda name: float(tones[name] @ seen / np.linalg.norm(tones[name])))
    assert best == color


def test_metal_is_told_from_rubber_and_shapes_from_each_other():
    scene, camera = sample_scene(np.random.default_rng(5), (1, 1), (480, 320))
    x, y, _ = scene["objects"][0]["pixel_coords"]
    patches = {}
    for material in ATTRIBUTES["material"]:
        for shape in ATTRIBUTES["shape"]:
            scene["objects"][0] |= {"material": material, "shape": shape, "color": "gray", "size": "large"}
            picture = np.asarray(draw(scene, camera, (480, 320)), dtype=float)
            patches[material, shape] = picture[y - 40 : y + 41, x - 40 : x + 41]
    for shape in ATTRIBUTES["shape"]:
        assert np.ptp(patches["metal", shape]) > np.ptp(patches["rubber", shape]) + 10
    outlines = [patches["rubber", shape] for shape in ATTRIBUTES["shape"]]
    assert all(np.abs(a - b).max() > 30 for a, b in zip(outlines, outlines[1:] + outlines[:1], strict=True))


def test_the_same_bytes_with_one_process_and_two(tmp_path):
    one = synthesize(tmp_path / "one", workers=1, **FEW)
    two = synthesize(tmp_path / "two", workers=2, **FEW)
    assert bytes_of(one) == bytes_of(two)
    other = synthesize(tmp_path / "other", seed=1, **FEW)
    assert bytes_of(one).keys() == bytes_of(other).keys()
    assert bytes_of(one)["scenes/CLEVR_val_scenes.json"] != bytes_of(other)["scenes/CLEVR_val_scenes.json"]


def test_an_interrupted_set_is_completed_to_the_same_bytes(tmp_path, monkeypatch):
    whole = bytes_of(synthesize(tmp_path / "whole", **FEW))
    out = tmp_path / "killed"
    drawn = 0

    def draw_five(*arguments):
        nonlocal drawn
        drawn += 1
        if drawn > 5:
            raise KeyboardInterrupt
        return draw(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(write, "draw", draw_five)
        with pytest.raises(KeyboardInterrupt):
            synthesize(out, **FEW)
    assert len(list(out.rglob("*.png"))) == 5
    (out / "questions" / ".CLEVR_val_questions.json.abc.part").write_text("what a killed process leaves")
    synthesize(out, **FEW)
    assert bytes_of(out) == whole

    # Files lost from a complete set are made again, and nothing is done where all are there.
    (out / "images/train/CLEVR_train_000002.png").unlink()
    (out / "questions/CLEVR_test_questions.json").unlink()
    synthesize(out, **FEW)
    assert bytes_of(out) == whole
    monkeypatch.setattr(write, "_write_split", lambda *_: pytest.fail("made again"))
    synthesize(out, **FEW)


def test_another_set_is_not_overwritten(tmp_path):
    out = synthesize(tmp_path / "set", **FEW)
    before = bytes_of(out)
    with pytest.raises(DataError, match="seed: 0 there, 1 asked"):
        synthesize(out, seed=1, **FEW)
    assert bytes_of(out) == before
    (out / "synthesis.json").unlink()
    with pytest.raises(DataError, match="Choose another directory"):
        synthesize(out, **FEW)


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
        ({"seed": -1}, "seed"),
        ({"image_size": (480, 0)}, "image_size"),
        ({"questions_per_scene": 0}, "questions_per_scene"),
        ({"workers": 0}, "workers"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        synthesize(tmp_path / "set", **(FEW | arguments))
    assert not (tmp_path / "set").exists()


def test_no_possible_question_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="more objects"):
        synthesize(tmp_path / "set", **FEW, objects=(1, 1), families=["three_hop"])


def test_programs_on_a_scene_known_by_heart():
    """A small red metal cube stands left of a large blue rubber ball."""
    scene = {
        "objects": [
            {"size": "small", "color": "red", "material": "metal", "shape": "cube"},
            {"size": "large", "color": "blue", "material": "rubber", "shape": "sphere"},
        ],
        "relationships": {"left": [[], [0]], "right": [[1], []], "front": [[], []], "behind": [[], []]},
    }

    def node(function, inputs=(), *values, key="function"):
        return {key: function, "inputs": list(inputs), "value_inputs": list(values)}

    red = [node("scene"), node("filter_color", [0], "red"), node("unique", [1])]
    assert execute([*red, node("query_shape", [2])], scene) == "cube"
    assert execute([*red, node("relate", [2], "right"), node("count", [3])], scene) == "1"
    assert execute([*red, node("relate", [2], "left"), node("exist", [3])], scene) == "no"
    assert execute([*red, node("same_size", [2]), node("count", [3])], scene) == "0"
    assert execute([node("scene"), node("union", [0, 0]), node("count", [1])], scene) == "2"
    both = [*red, node("relate", [2], "right"), node("intersect", [1, 3]), node("exist", [4])]
    assert execute(both, scene) == "no"
    counts = [node("scene"), node("count", [0]), node("filter_size", [0], "large"), node("count", [2])]
    assert execute([*counts, node("greater_than", [1, 3])], scene) == "yes"
    assert execute([*counts, node("less_than", [1, 3])], scene) == "no"
    assert execute([*counts, node("equal_integer", [1, 3])], scene) == "no"
    assert execute([node("scene", key="type"), node("count", [0], key="type")], scene) == "2"
    with pytest.raises(DataError, match="exactly one object, found 2"):
        execute([node("scene"), node("unique", [0]), node("query_color", [1])], scene)
    with pytest.raises(DataError, match="guess"):
        execute([node("guess")], scene)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_named_objects_are_unique_and_no_relation_is_idle(seed):
    """Each related set differs from what the same words name in the whole scene (else the question is degenerate)."""
    scene, _ = sample_scene(np.random.default_rng(seed), (3, 10), (480, 320))
    for row in ask(Random(seed), scene, select_families(["one_hop", "two_hop"]), 10):
        program = row["program"]
        at = next(i for i in range(len(program) - 1, -1, -1) if program[i]["function"] == "relate")
        filters = [node for node in program[at + 1 :] if node["function"].startswith("filter")]
        everywhere = [
            i
            for i, item in enumerate(scene["objects"])
            if all(item[CLASS_OF_ANSWER[node["value_inputs"][0]]] == node["value_inputs"][0] for node in filters)
        ]
        count = [
            *program[: at + 1 + len(filters)],
            {"function": "count", "inputs": [at + len(filters)], "value_inputs": []},
        ]
        assert int(execute(count, scene)) < len(everywhere)


def test_programs_and_relations_agree_with_the_public_generator(clevr_official):
    """The 1,000 stored answers and the relationships of its 100 scenes."""
    scenes = {scene["image_index"]: scene for scene in load(clevr_official, "scenes", "val")}
    rows = load(clevr_official, "questions", "val")
    assert len(rows) == 1000
    words = {True: "yes", False: "no"}
    for row in rows:
        truth = row["answer"]
        answer = words[truth] if isinstance(truth, bool) else str(truth)
        assert execute(row["program"], scenes[row["image_index"]]) == answer
    for scene in scenes.values():
        centres = np.array([item["3d_coords"] for item in scene["objects"]])
        assert relationships(centres) == scene["relationships"]
