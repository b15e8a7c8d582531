"""Edited scenes: what follows from the objects is as if they had been there from the start; broken rules are named."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnlib.clevr.constants import DIRECTIONS, RADII, VIEW
from rnlib.clevr.schema import Scene
from rnlib.synthesis.camera import View
from rnlib.synthesis.editing import (
    ambiguous,
    broken_rules,
    change_object,
    hidden,
    outside,
    remove_object,
    too_close,
    with_objects,
)
from rnlib.synthesis.scenes import sample_scene


def a_scene(seed: int, objects: tuple[int, int] = (3, 10)) -> tuple[Scene, View]:
    return sample_scene(np.random.default_rng(seed), objects, VIEW)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_a_scene_given_its_own_objects_is_itself_and_breaks_no_rule(seed: int) -> None:
    scene, view = a_scene(seed)
    assert with_objects(scene, view.camera, scene.objects) == scene
    assert broken_rules(scene, view.camera) == []


def test_a_changed_size_changes_height_and_place_in_the_picture() -> None:
    scene, view = a_scene(1)
    other = {"large": "small", "small": "large"}[scene.objects[2].size]
    changed = change_object(scene, view.camera, 2, size=other)
    assert changed.objects[2].coordinates == (*scene.objects[2].coordinates[:2], RADII[other])
    assert changed.objects[2].pixel_coords != scene.objects[2].pixel_coords
    assert changed.relationships == scene.relationships
    assert changed.objects[:2] == scene.objects[:2]


def test_without_an_object_the_relations_of_the_others_stay() -> None:
    scene, view = a_scene(3, (5, 5))
    left = remove_object(scene, view.camera, 1)
    assert left.objects == [item for i, item in enumerate(scene.objects) if i != 1]
    for name, rows in scene.relationships.items():
        kept = [[j - (j > 1) for j in row if j != 1] for i, row in enumerate(rows) if i != 1]
        assert left.relationships[name] == kept
    alone = remove_object(*a_scene(3, (1, 1))[:1], view.camera, 0)
    assert alone.objects == [] and broken_rules(alone, view.camera) == []


@pytest.mark.parametrize(
    ("aside", "apart", "found"), [(0.39, 2.0, "less than 0.4 apart"), (0.41, 2.0, None), (0.6, 0.5, "closer than 0.25")]
)
def test_rules_between_two_objects(aside: float, apart: float, found: str | None) -> None:
    scene, view = a_scene(5, (2, 2))
    right, front = (np.array(DIRECTIONS[name]) for name in ("right", "front"))
    first, second = (msgspec.structs.replace(item, size="small") for item in scene.objects)
    first = msgspec.structs.replace(first, coordinates=tuple((-right - front).tolist()))
    second = msgspec.structs.replace(
        second, coordinates=tuple((-right - front + aside * right + apart * front).tolist())
    )
    scene = with_objects(scene, view.camera, [first, second])
    said = broken_rules(scene, view.camera)
    assert any(found in rule for rule in said) if found else said == []
    assert bool(ambiguous(scene)) == (min(aside, apart) < 0.4)
    assert bool(too_close(scene)) == (np.hypot(aside, apart) < 0.95)


def test_hidden_and_outside_are_said() -> None:
    scene, view = a_scene(7, (2, 2))
    towards = view.camera.position[:2] / np.linalg.norm(view.camera.position[:2])
    large, small = (msgspec.structs.replace(item, shape="cube") for item in scene.objects)
    large = msgspec.structs.replace(large, size="large", coordinates=(0.0, 0.0, 0.0))
    behind = tuple((-1.2 * towards).tolist())
    small = msgspec.structs.replace(small, size="small", coordinates=(*behind, 0.0))
    scene = with_objects(scene, view.camera, [large, small])
    assert hidden(scene, view.camera) == [1] and outside(scene) == []
    assert any("is hidden" in rule for rule in broken_rules(scene, view.camera))
    away = change_object(scene, view.camera, 0, coordinates=(3.1, 0.0, 0.0))
    assert outside(away) == [0]
    assert any("more than 3" in rule for rule in broken_rules(away, view.camera))
