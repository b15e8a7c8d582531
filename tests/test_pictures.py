"""The renderer: rays meet shapes where brute force finds them, light and shade fall where they must, and pictures
of genuine scenes look like the genuine pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rnlib.clevr.catalogue import COLORS, RADII, SHAPES, VIEW
from rnlib.clevr.images import open_picture
from rnlib.errors import DataError
from rnlib.synthesis import light as light_module
from rnlib.synthesis.bodies import BEVELS, BOUNDS, Bodies, Rows
from rnlib.synthesis.camera import CAMERA, LAMPS, Camera, View
from rnlib.synthesis.light import near_rays, unshaded
from rnlib.synthesis.pictures import draw
from rnlib.synthesis.replay import fit_camera, fit_views, replay
from rnlib.synthesis.scenes import sample_scene
from rnlib.synthesis.visibility import Solids, visible_pixels

STANDARD = View(Camera(np.array(CAMERA)), LAMPS)
COUNT = st.integers(0, 2**31)


def thing(
    shape: str,
    x: float = 0,
    y: float = 0,
    size: str = "large",
    color: str = "red",
    material: str = "rubber",
    turn: float = 0,
) -> dict[str, Any]:
    place = [x, y, RADII[size]]
    return {"shape": shape, "size": size, "color": color, "material": material, "rotation": turn, "3d_coords": place}


def inside(item: dict[str, Any], points: np.ndarray, rounded: bool) -> np.ndarray:
    """Whether points (n, 3) lie in an object: membership, written without any of the renderer's formulas."""
    radius = RADII[item["size"]]
    local = (points - item["3d_coords"]) / radius
    if item["shape"] == "sphere":
        return (local**2).sum(1) < 1
    turn = item["rotation"] if item["shape"] == "cube" else 0.0
    across = np.stack([np.cos(turn) * local[:, 0] + np.sin(turn) * local[:, 1],
                       np.cos(turn) * local[:, 1] - np.sin(turn) * local[:, 0], local[:, 2]], 1)  # fmt: skip
    extent = np.abs(across) if item["shape"] == "cube" else np.abs(
        np.stack([np.hypot(across[:, 0], across[:, 1]), across[:, 2]], 1)
    )  # fmt: skip
    if not rounded:
        return (extent < 1).all(1)
    bevel = BEVELS[SHAPES.index(item["shape"])]
    return np.linalg.norm(np.maximum(extent - (1 - bevel), 0), axis=1) < bevel


@settings(max_examples=60, deadline=None)
@given(COUNT, st.sampled_from(SHAPES), st.sampled_from(["large", "small"]), st.booleans())
def test_rays_meet_shapes_where_small_steps_along_them_first_get_inside(
    seed: int, shape: str, size: str, rounded: bool
) -> None:
    rng = np.random.default_rng(seed)
    item = thing(shape, *rng.uniform(-2, 2, 2), size=size, turn=rng.uniform(0, 360))
    bodies = Bodies.of([{"objects": [item]}], "cpu")
    start = rng.normal(0, 1, (40, 3)) * 0.3 + [3, -3, 3]
    target = np.array(item["3d_coords"]) + rng.uniform(-1.2, 1.2, (40, 3)) * RADII[size]
    ray = (target - start) * rng.uniform(0.5, 2, (40, 1))
    columns = [torch.tensor(values.T, dtype=torch.float32) for values in (start, ray)]
    found = bodies.meet(torch.zeros(40, dtype=torch.long), columns[0], columns[1], rounded=rounded).numpy()
    steps = np.linspace(0, 3, 3001)
    for i in range(40):
        within = inside(item, start[i] + steps[:, None] * ray[i], rounded)
        length = np.linalg.norm(ray[i]) * (steps[1] - steps[0])  # of a step
        if within.sum() * length > 0.15 * RADII[size]:  # a ray that grazes may go either way
            assert abs(found[i] - steps[within.argmax()]) * np.linalg.norm(ray[i]) < (0.08 if rounded else 0.03)
        elif not within.any() and not rounded:
            assert np.isinf(found[i]) or np.abs(steps - found[i]).min() < 2e-3


@settings(max_examples=40, deadline=None)
@given(COUNT, st.sampled_from(SHAPES))
def test_normals_are_the_directions_in_which_one_leaves_a_shape(seed: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    item = thing(shape, 0.3, -0.2, turn=rng.uniform(0, 360))
    bodies = Bodies.of([{"objects": [item]}], "cpu")
    ray = rng.normal(size=(30, 3))
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    start = np.array(item["3d_coords"]) + 3 * ray
    which = torch.zeros(30, dtype=torch.long)
    start_t, ray_t = (torch.tensor(values.T, dtype=torch.float32) for values in (start, -ray))
    t = bodies.meet(which, start_t, ray_t, rounded=True)
    assert t.isfinite().all()
    points = start_t + t * ray_t
    normal = bodies.normal(which, points)
    torch.testing.assert_close(normal.norm(dim=0), torch.ones(30))
    out, back = ((points + distance * normal).T.numpy().astype(float) for distance in (0.05, -0.05))
    assert not inside(item, out, rounded=True).any()
    assert inside(item, back, rounded=True).all()


@settings(max_examples=25, deadline=None)
@given(COUNT)
def test_no_ray_that_meets_an_object_is_left_out_as_passing_it_by(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = [sample_scene(rng, (3, 10), VIEW)[0] for _ in range(2)]
    bodies = Bodies.of(scenes, "cpu")
    scene = torch.tensor(rng.integers(0, 2, 300))
    points = torch.tensor(np.vstack([rng.uniform(-4, 4, (2, 300)), rng.uniform(0, 2, (1, 300))]), dtype=torch.float32)
    to = torch.tensor(rng.normal(size=(3, 300)) * 3, dtype=torch.float32)
    pairs = set(zip(*(column.tolist() for column in near_rays(bodies, Rows(scene), points, to, None)), strict=True))
    every = [(ray, body) for ray in range(300) for body in range(len(bodies.scene)) if bodies.scene[body] == scene[ray]]
    ray, body = (torch.tensor(column) for column in zip(*every, strict=True))
    t = bodies.meet(body, points[:, ray], to[:, ray])
    met = {(r, b) for r, b, hit in zip(ray.tolist(), body.tolist(), ((t > 0) & (t < 1)).tolist(), strict=True) if hit}
    assert met
    assert met <= pairs
    assert len(pairs) < len(every)


def test_rows_spread_what_a_scene_has() -> None:
    table = torch.arange(6.0).reshape(2, 3)
    scene = torch.tensor([0, 0, 1, 1, 2, 2])
    torch.testing.assert_close(Rows(scene, even=True).of(table), Rows(scene).of(table))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shade_of_a_lamp_is_the_part_of_it_that_random_rays_do_not_reach(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light_module, "SAMPLES", 12)
    item = thing(shape, turn=0.6)
    bodies = Bodies.of([{"objects": [item]}], "cpu")
    rng = np.random.default_rng(1)
    lamp, half = np.array([3.0, 0.0, 4.0]), 0.8
    places = np.column_stack([np.linspace(-3, -1.1, 12), rng.uniform(-0.8, 0.8, 12), np.zeros(12)])
    points = torch.tensor(places.T, dtype=torch.float32)
    to = torch.tensor(lamp[:, None] - places.T, dtype=torch.float32)
    axis = lamp / np.linalg.norm(lamp)
    side = np.array([0.0, 1.0, 0.0])
    sides = half * np.stack([side, np.cross(axis, side)], 1)
    rows, wanted = Rows(torch.zeros(12, dtype=torch.long)), torch.ones(12, dtype=torch.bool)
    square = torch.tensor(sides, dtype=torch.float32)[..., None]
    seen = unshaded(bodies, rows, points, to, square, None, wanted)
    expected = []
    for place in places:
        targets = lamp + rng.uniform(-1, 1, (400, 2)) @ sides.T
        along = np.linspace(0, 1, 300)[:, None, None]
        path = place + along * (targets - place)
        expected.append(1 - inside(item, path.reshape(-1, 3), False).reshape(300, 400).any(0).mean())
    assert 0.1 < np.mean(expected) < 0.9
    np.testing.assert_allclose(seen.numpy(), expected, atol=0.09)


def test_a_picture_shows_each_object_where_and_as_large_as_the_visibility_rule_counts_it() -> None:
    for seed in range(2):
        scene, view = sample_scene(np.random.default_rng(seed), (4, 5), VIEW)
        counted = visible_pixels(view.camera, Solids.of_scene(scene))
        for item in scene["objects"]:
            item["material"] = "rubber"
        for i, item in enumerate(scene["objects"]):
            pair = [
                dict(scene, objects=[*scene["objects"][:i], dict(item, color=color), *scene["objects"][i + 1 :]])
                for color in ("yellow", "blue")
            ]
            yellow, blue = draw(pair, [view] * 2, VIEW).astype(int)
            differ = np.abs(yellow - blue).sum(2) > 100  # its light on the ground and its neighbours stays below
            assert differ.sum() == pytest.approx(counted[i], rel=0.03, abs=10)


@pytest.mark.parametrize("material", ["rubber", "metal"])
def test_colors_can_be_told_apart(material: str) -> None:
    scenes = [{"objects": [thing("sphere", color=color, material=material)]} for color in COLORS]
    pictures = draw(scenes, [STANDARD] * len(COLORS), VIEW).astype(float)
    x, y, _ = STANDARD.camera.project(np.array([[0, 0, 0.7]]), VIEW)[0]
    patches = pictures[:, int(y) - 5 : int(y) + 25, int(x) - 20 : int(x) + 20].mean((1, 2))
    apart = np.linalg.norm(patches[:, None] - patches[None], axis=2)[np.triu_indices(len(COLORS), 1)]
    assert apart.min() > 15
    red = patches[COLORS.index("red")]
    assert red[0] > 1.5 * red[1:].max()


def test_an_object_shades_the_ground_away_from_a_lamp_and_the_lamps_jitter_moves_the_shade() -> None:
    empty, full = {"objects": [thing("sphere", 9, 9)]}, {"objects": [thing("sphere", 9, 9), thing("cylinder")]}
    moved = View(STANDARD.camera, LAMPS * [-1, -1, 1])
    shades = []
    for view in (STANDARD, moved):
        pair = draw([empty, full], [view, view], VIEW).astype(float).mean(3)
        darker = pair[0] - pair[1]
        shades.append(darker)
        assert pair[1].min() > 0
    away = STANDARD.camera.project(-LAMPS[1:2] * [0.33, 0.33, 0], VIEW)[0]  # from the fill lamp: a place in full view
    row, column = round(away[1]), round(away[0])
    assert shades[0][row, column] > 1
    assert shades[0][row, column] > 1 + shades[1][row, column]


def test_metal_mirrors_its_neighbour_and_rubber_does_not() -> None:
    changes = {}
    for material in ("metal", "rubber"):
        pair = [{"objects": [thing("sphere", -0.6, -0.7, material=material, color="gray"),
                             thing("sphere", 0.6, 0.7, color=color)]} for color in ("blue", "yellow")]  # fmt: skip
        blue, yellow = draw(pair, [STANDARD] * 2, VIEW).astype(float)
        x, y, _ = STANDARD.camera.project(np.array([[-0.6, -0.7, 0.7]]), VIEW)[0]
        patch = np.s_[int(y) - 25 : int(y) + 30, int(x) - 25 : int(x) + 25]
        changes[material] = np.abs(blue[patch] - yellow[patch]).max()
    assert changes["metal"] > 40
    assert changes["rubber"] < 2


def test_a_batch_has_the_same_bytes_every_time_and_its_company_changes_but_roundings() -> None:
    made = [sample_scene(np.random.default_rng(seed), (3, 10), VIEW) for seed in range(6)]
    scenes, views = [scene for scene, _ in made], [view for _, view in made]
    first = draw(scenes, views, (128, 128))
    assert first.dtype == np.uint8 and first.shape == (6, 128, 128, 3)
    np.testing.assert_array_equal(first, draw(scenes, views, (128, 128)))
    alone = np.concatenate([draw([scene], [view], (128, 128)) for scene, view in made])
    difference = np.abs(first.astype(int) - alone)
    assert (difference > 1).mean() < 1e-3


def test_small_pictures_are_the_large_ones_squeezed() -> None:
    made = [sample_scene(np.random.default_rng(seed), (3, 10), VIEW) for seed in range(4)]
    scenes, views = [scene for scene, _ in made], [view for _, view in made]
    small = draw(scenes, views, (128, 128)).astype(float)
    large = [
        Image.fromarray(picture).resize((128, 128), Image.Resampling.BILINEAR) for picture in draw(scenes, views, VIEW)
    ]
    assert np.abs(small - np.stack([np.asarray(picture) for picture in large])).mean() < 1.5


def test_a_fitted_camera_is_the_one_that_saw_the_scene() -> None:
    for seed in range(5):
        scene, view = sample_scene(np.random.default_rng(seed), (3, 10), VIEW)
        np.testing.assert_allclose(fit_camera(scene).position, view.camera.position, atol=0.02)
        scene, view = sample_scene(np.random.default_rng(seed), (3, 10), (240, 160))
        np.testing.assert_allclose(fit_camera(scene, (240, 160)).position, view.camera.position, atol=0.02)


def test_a_scene_of_another_picture_size_is_refused() -> None:
    scene, _ = sample_scene(np.random.default_rng(0), (5, 5), (240, 160))
    with pytest.raises(DataError, match=r"480x320 picture; the best one is \d+\.\d pixels off"):
        fit_camera(scene)


@pytest.fixture(scope="module")
def replayed(clevr_official: Path) -> tuple[np.ndarray, np.ndarray]:
    """Genuine pictures of clevr_official and ours of the same scenes, 480x320."""
    scenes = json.loads((clevr_official / "scenes" / "CLEVR_val_scenes.json").read_text())["scenes"][50:74]
    genuine = [
        np.asarray(open_picture(clevr_official / "images" / "val" / scene["image_filename"])) for scene in scenes
    ]
    return np.stack(genuine), replay(scenes)


def test_replayed_pictures_have_the_colour_and_contrast_of_the_genuine_ones(
    replayed: tuple[np.ndarray, np.ndarray],
) -> None:
    """These scenes took no part in fitting the renderer's constants."""
    genuine, ours = (pictures.astype(float) for pictures in replayed)
    np.testing.assert_allclose(ours.mean((0, 1, 2)), genuine.mean((0, 1, 2)), atol=6)
    np.testing.assert_allclose(ours.std((1, 2)).mean(0), genuine.std((1, 2)).mean(0), atol=4)
    assert np.abs(ours - genuine).mean() < 6
    for a, b in zip(ours, genuine, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8


def test_genuine_objects_are_seen_where_their_pixel_coords_are(clevr_official: Path) -> None:
    scenes = json.loads((clevr_official / "scenes" / "CLEVR_val_scenes.json").read_text())["scenes"]
    for scene, view in zip(scenes, fit_views(scenes), strict=True):
        places = np.array([item["3d_coords"] for item in scene["objects"]])
        pixels = np.array([item["pixel_coords"] for item in scene["objects"]])
        assert np.abs(view.camera.project(places, VIEW) - pixels)[:, :2].max() < 1


def test_every_bound_holds_its_shape() -> None:
    for shape, bound in zip(SHAPES, BOUNDS, strict=True):
        grid = np.random.default_rng(0).uniform(-1.8, 1.8, (20_000, 3)) * RADII["large"]
        item = thing(shape)
        points = grid[inside(item, grid + item["3d_coords"], False)]
        assert np.linalg.norm(points, axis=1).max() <= bound * RADII["large"]
