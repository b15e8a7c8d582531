"""The renderer: rays meet shapes where brute force finds them, light and shade fall where they must, and pictures
of official scenes look like the official pictures."""

from pathlib import Path
from typing import no_type_check

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image

from rnlib.clevr.constants import COLORS, RADII, SHAPES, VIEW
from rnlib.clevr.images import open_picture
from rnlib.clevr.schema import Scene, SceneObject, read_scenes
from rnlib.compiled import compiled
from rnlib.errors import DataError
from rnlib.synthesis import light as light_module
from rnlib.synthesis.camera import CAMERA, LAMPS, Camera, View
from rnlib.synthesis.camera_fit import fit_camera, fit_views, replay
from rnlib.synthesis.geometry import (
    BEVELS,
    BOUNDS,
    COVERED,
    MISSES,
    aim,
    bodies_of,
    dot,
    enter,
    enter_rounded,
    normal_at,
    own_frame,
    relative,
)
from rnlib.synthesis.light import EVERYTHING, find_shaders, light_up, unshaded
from rnlib.synthesis.pictures import draw
from rnlib.synthesis.scenes import sample_scene
from rnlib.synthesis.tracing import describe
from rnlib.synthesis.visibility import Solids, visible_pixels

STANDARD = View(Camera(np.array(CAMERA)), LAMPS)
COUNT = st.integers(0, 2**31)


@compiled
@no_type_check
def meet(bodies, body, starts, rays, rounded):
    """Ray parameters (n,) where rays (n, 3) in world coordinates enter one of the bodies; infinite where they miss."""
    found = np.empty(len(rays))
    for i in range(len(rays)):
        start, ray = relative(bodies[body], starts[i]), own_frame(bodies[body], (rays[i, 0], rays[i, 1], rays[i, 2]))
        found[i] = enter(bodies[body].shape, start, ray)
        if rounded:
            found[i] = enter_rounded(bodies[body].shape, start, ray, found[i])
    return found


@compiled
@no_type_check
def aims(bodies, body, starts, rays, slack):
    """`aim` of rays (n, 3) at one of the bodies."""
    found = np.empty(len(rays), np.int64)
    for i in range(len(rays)):
        ray = (rays[i, 0], rays[i, 1], rays[i, 2])
        found[i] = aim(bodies[body], (starts[i, 0], starts[i, 1], starts[i, 2]), ray, dot(ray, ray), slack)
    return found


def thing(
    shape: str,
    x: float = 0,
    y: float = 0,
    size: str = "large",
    color: str = "red",
    material: str = "rubber",
    turn: float = 0,
) -> SceneObject:
    return SceneObject((x, y, RADII[size]), (0.0, 0.0, 0.0), turn, size, color, material, shape)


def scene_of(objects: list[SceneObject]) -> Scene:
    return Scene(image_index=0, image_filename="", objects=objects, relationships={})


def inside(item: SceneObject, points: np.ndarray, rounded: bool) -> np.ndarray:
    """Whether points (n, 3) lie in an object: membership, written without any of the renderer's formulas."""
    radius = RADII[item.size]
    local = (points - item.coordinates) / radius
    if item.shape == "sphere":
        return (local**2).sum(1) < 1
    turn = item.rotation if item.shape == "cube" else 0.0
    across = np.stack([np.cos(turn) * local[:, 0] + np.sin(turn) * local[:, 1],
                       np.cos(turn) * local[:, 1] - np.sin(turn) * local[:, 0], local[:, 2]], 1)  # fmt: skip
    extent = np.abs(across) if item.shape == "cube" else np.abs(
        np.stack([np.hypot(across[:, 0], across[:, 1]), across[:, 2]], 1)
    )  # fmt: skip
    if not rounded:
        return (extent < 1).all(1)
    bevel = BEVELS[SHAPES.index(item.shape)]
    return np.linalg.norm(np.maximum(extent - (1 - bevel), 0), axis=1) < bevel


@settings(max_examples=60, deadline=None)
@given(COUNT, st.sampled_from(SHAPES), st.sampled_from(["large", "small"]), st.booleans())
def test_rays_meet_shapes_where_small_steps_along_them_first_get_inside(
    seed: int, shape: str, size: str, rounded: bool
) -> None:
    rng = np.random.default_rng(seed)
    item = thing(shape, *rng.uniform(-2, 2, 2), size=size, turn=rng.uniform(0, 360))
    bodies = bodies_of(scene_of([item]), 1)
    start = rng.normal(0, 1, (40, 3)) * 0.3 + [3, -3, 3]
    target = np.array(item.coordinates) + rng.uniform(-1.2, 1.2, (40, 3)) * RADII[size]
    ray = (target - start) * rng.uniform(0.5, 2, (40, 1))
    found = meet(bodies, 0, start, ray, rounded)
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
    bodies = bodies_of(scene_of([item]), 1)
    ray = rng.normal(size=(30, 3))
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    start = np.array(item.coordinates) + 3 * ray
    t = meet(bodies, 0, start, -ray, True)
    assert np.isfinite(t).all()
    points = start - t[:, None] * ray
    normal = np.array([normal_at(bodies[0], tuple(point)) for point in points])
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1)
    assert not inside(item, points + 0.05 * normal, rounded=True).any()
    assert inside(item, points - 0.05 * normal, rounded=True).all()


def equations(item: SceneObject, start: np.ndarray, ray: np.ndarray) -> float:
    """Where a ray first meets a sharp shape: the least root of its faces' equations at which the point lies on it."""
    radius, turn = RADII[item.size], item.rotation if item.shape == "cube" else 0.0
    back = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]]) / radius
    p, d = back @ (start - item.coordinates), back @ ray
    roots = []
    if item.shape != "cube":
        used = np.array([1, 1, item.shape == "sphere"])
        roots += list(np.roots([(used * d * d).sum(), 2 * (used * p * d).sum(), (used * p * p).sum() - 1]))
    if item.shape != "sphere":
        axes = range(3) if item.shape == "cube" else [2]
        roots += [(side - p[axis]) / d[axis] for axis in axes for side in (-1, 1)]
    real = [root.real for root in roots if abs(complex(root).imag) < 1e-12]
    places = [p + t * d for t in real]
    extent = [np.linalg.norm(q) if item.shape == "sphere" else
              np.abs(q).max() if item.shape == "cube" else
              max(np.hypot(q[0], q[1]), abs(q[2])) for q in places]  # fmt: skip
    return min([t for t, e in zip(real, extent, strict=True) if e < 1 + 1e-9], default=np.inf)


@settings(max_examples=60, deadline=None)
@given(COUNT, st.sampled_from(SHAPES))
def test_rays_enter_where_the_equations_of_the_faces_are_solved(seed: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    item = thing(shape, *rng.uniform(-2, 2, 2), turn=rng.uniform(0, 360))
    start = rng.normal((4, -4, 4), 1, (30, 3))
    ray = np.array(item.coordinates) + rng.uniform(-1, 1, (30, 3)) - start
    expected = [equations(item, *pair) for pair in zip(start, ray, strict=True)]
    assert np.isfinite(expected).any()
    np.testing.assert_allclose(meet(bodies_of(scene_of([item]), 1), 0, start, ray, False), expected, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(COUNT)
def test_no_ray_that_meets_an_object_is_left_out_as_passing_it_by(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bodies = bodies_of(sample_scene(rng, (3, 10), VIEW)[0], 1)
    points = np.column_stack([rng.uniform(-4, 4, (300, 2)), rng.uniform(0, 2, 300)])
    to = rng.normal(size=(300, 3)) * 3
    met, passed = 0, 0
    for body in range(len(bodies)):
        t = meet(bodies, body, points, to, False)
        aimed = aims(bodies, body, points, to, 0.0)
        hit = (t > 0) & (t < 1)
        assert not (hit & (aimed == MISSES)).any()
        met, passed = met + hit.sum(), passed + (aimed == MISSES).sum()
    assert met
    assert passed


@settings(max_examples=25, deadline=None)
@given(COUNT, st.sampled_from(SHAPES))
def test_a_bundle_of_rays_that_is_called_covered_meets_the_object_whole_and_one_that_misses_does_nowhere(
    seed: int, shape: str
) -> None:
    rng = np.random.default_rng(seed)
    bodies = bodies_of(scene_of([thing(shape, turn=rng.uniform(0, 360))]), 1)
    start = rng.uniform((-3, -3, -2), (3, 3, 4), (200, 3))
    ray = (bodies["centre"][0] + rng.normal(size=(200, 3)) * 0.7 - start) * rng.uniform(1.5, 3, (200, 1))
    aimed = aims(bodies, 0, start, ray, 0.5)
    assert (aimed == COVERED).any() and (aimed == MISSES).any()
    for _ in range(20):
        aside = rng.normal(size=(200, 3))
        aside *= 0.5 * rng.uniform(0, 1, (200, 1)) / np.linalg.norm(aside, axis=1, keepdims=True)
        t = meet(bodies, 0, start, ray + aside, False)
        hit = (t > 0) & (t < 1)
        assert hit[aimed == COVERED].all()
        assert not hit[aimed == MISSES].any()


@settings(max_examples=15, deadline=None)
@given(COUNT)
def test_what_is_left_out_for_a_whole_region_shades_no_point_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = describe(*([item] for item in sample_scene(rng, (5, 10), VIEW)), (128, 128))[0]
    left_out = 0
    for _ in range(20):
        centre, radius = (*rng.uniform(-4, 4, 2), rng.uniform(0, 1.5)), rng.uniform(0.05, 0.8)
        shaders = find_shaders(scene, centre, radius, -1)
        left_out += sum(not mask >> i & 1 for mask in shaders for i in range(scene["count"]))
        for point in np.array(centre) + rng.normal(size=(10, 3)) * radius / 4:
            if np.linalg.norm(point - centre) < radius:
                for light in range(4):
                    place = scene["lights"]["place"][light]
                    to = tuple(place if light == 3 else place - point)
                    every = unshaded(scene, light, tuple(point), to, -1, EVERYTHING[light])
                    assert unshaded(scene, light, tuple(point), to, -1, shaders[light]) == every
    assert left_out


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["lamp", "sun"])
def test_the_shade_of_a_light_is_the_part_of_it_that_random_rays_do_not_reach(
    shape: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lamp stands in one place; a sun, here a near one, stands as far from every point."""
    item = thing(shape, turn=0.6)
    lamp, half, light = np.array([3.0, 0.0, 4.0]), 0.8, {"lamp": 0, "sun": 3}[kind]
    axis = lamp / np.linalg.norm(lamp)
    side = np.array([0.0, 1.0, 0.0])
    sides = half * np.stack([side, np.cross(axis, side)], 1)
    monkeypatch.setattr(light_module, "_SIDES", np.stack([sides.T] * 4))
    monkeypatch.setattr(light_module, "SUN", lamp / light_module.SUN_FAR)
    bodies = bodies_of(scene_of([item]), 12 * 12)
    scene = np.zeros((), [("count", int), ("bodies", bodies.dtype, 1), ("lights", light_module.LIGHT, 4)])
    scene["lights"] = light_up(bodies, np.stack([lamp] * 3), 12)  # more places on the light: to compare closely
    scene["count"], scene["bodies"] = 1, bodies
    rng = np.random.default_rng(1)
    far, near = (-3, -1.1) if kind == "lamp" else (-1.9, -1.05)
    places = np.column_stack([np.linspace(far, near, 12), rng.uniform(-0.8, 0.8, 12), np.zeros(12)])
    seen, expected = [], []
    for place in places:
        to = lamp - place if kind == "lamp" else lamp
        seen.append(unshaded(scene[()], light, tuple(place), tuple(to), -1, -1))
        targets = place + to + rng.uniform(-1, 1, (400, 2)) @ sides.T
        along = np.linspace(0, 1, 300)[:, None, None]
        path = place + along * (targets - place)
        expected.append(1 - inside(item, path.reshape(-1, 3), False).reshape(300, 400).any(0).mean())
    assert 0.1 < np.mean(expected) < 0.9
    np.testing.assert_allclose(seen, expected, atol=0.09)


def test_a_picture_shows_each_object_where_and_as_large_as_the_visibility_rule_counts_it() -> None:
    for seed in range(2):
        scene, view = sample_scene(np.random.default_rng(seed), (4, 5), VIEW)
        counted = visible_pixels(view.camera, Solids.of_scene(scene))
        for item in scene.objects:
            item.material = "rubber"
        for i, item in enumerate(scene.objects):
            pair = [
                replace(scene, objects=[*scene.objects[:i], replace(item, color=color), *scene.objects[i + 1 :]])
                for color in ("yellow", "blue")
            ]
            yellow, blue = draw(pair, [view] * 2, VIEW).astype(int)
            differ = np.abs(yellow - blue).sum(2) > 100  # its light on the ground and its neighbours stays below
            assert differ.sum() == pytest.approx(counted[i], rel=0.03, abs=10)


@pytest.mark.parametrize("material", ["rubber", "metal"])
def test_colors_can_be_told_apart(material: str) -> None:
    scenes = [scene_of([thing("sphere", color=color, material=material)]) for color in COLORS]
    pictures = draw(scenes, [STANDARD] * len(COLORS), VIEW).astype(float)
    x, y, _ = STANDARD.camera.project(np.array([[0, 0, 0.7]]), VIEW)[0]
    patches = pictures[:, int(y) - 5 : int(y) + 25, int(x) - 20 : int(x) + 20].mean((1, 2))
    apart = np.linalg.norm(patches[:, None] - patches[None], axis=2)[np.triu_indices(len(COLORS), 1)]
    assert apart.min() > 15
    red = patches[COLORS.index("red")]
    assert red[0] > 1.5 * red[1:].max()


def test_an_object_shades_the_ground_away_from_a_lamp_and_the_lamps_jitter_moves_the_shade() -> None:
    empty, full = scene_of([thing("sphere", 9, 9)]), scene_of([thing("sphere", 9, 9), thing("cylinder")])
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
        pair = [scene_of([thing("sphere", -0.6, -0.7, material=material, color="gray"),
                             thing("sphere", 0.6, 0.7, color=color)]) for color in ("blue", "yellow")]  # fmt: skip
        blue, yellow = draw(pair, [STANDARD] * 2, VIEW).astype(float)
        x, y, _ = STANDARD.camera.project(np.array([[-0.6, -0.7, 0.7]]), VIEW)[0]
        patch = np.s_[int(y) - 25 : int(y) + 30, int(x) - 25 : int(x) + 25]
        changes[material] = np.abs(blue[patch] - yellow[patch]).max()
    assert changes["metal"] > 40
    assert changes["rubber"] < 2


def test_a_picture_has_the_same_bytes_every_time_and_in_any_company() -> None:
    made = [sample_scene(np.random.default_rng(seed), (3, 10), VIEW) for seed in range(6)]
    scenes, views = [scene for scene, _ in made], [view for _, view in made]
    first = draw(scenes, views, (128, 128))
    assert first.dtype == np.uint8 and first.shape == (6, 128, 128, 3)
    np.testing.assert_array_equal(first, draw(scenes, views, (128, 128)))
    np.testing.assert_array_equal(first[::-1], draw(scenes[::-1], views[::-1], (128, 128)))
    alone = np.concatenate([draw([scene], [view], (128, 128)) for scene, view in made])
    np.testing.assert_array_equal(first, alone)


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


@pytest.mark.parametrize("size", [(320, 240), (224, 224)])
def test_a_camera_of_another_picture_size_has_square_pixels(size: tuple[int, int]) -> None:
    """As the public generator's: a focal length of 35/32 times the width in pixels on both axes."""
    scene, view = sample_scene(np.random.default_rng(3), (6, 6), VIEW)
    right, down, depth = ((np.array([item.coordinates for item in scene.objects]) - view.camera.position)
                          @ view.camera.axes.T).T  # fmt: skip
    focal = 35 / 32 * size[0]
    for item, x, y, z in zip(scene.objects, right / depth, down / depth, depth, strict=True):
        item.pixel_coords = (round(size[0] / 2 + focal * x), round(size[1] / 2 + focal * y), z)
    camera = fit_camera(scene, size)
    assert camera.shape == size
    np.testing.assert_allclose(camera.position, view.camera.position, atol=0.03)
    # Its picture, too: the nearest object is where its pixel_coords are.
    near = min(scene.objects, key=lambda item: item.pixel_coords[2])
    near.material = "rubber"
    pictures = []
    for near.color in ("yellow", "blue"):
        pictures.append(replay([scene], size)[0].astype(int))
    rows, columns = np.nonzero(np.abs(pictures[0] - pictures[1]).sum(2) > 100)
    assert len(rows) > 100
    assert abs((columns.min() + columns.max()) / 2 - near.pixel_coords[0]) < 0.02 * size[0]
    assert abs((rows.min() + rows.max()) / 2 - near.pixel_coords[1]) < 0.02 * size[0]


@pytest.fixture(scope="module")
def replayed(clevr_official: Path) -> tuple[np.ndarray, np.ndarray]:
    """Official pictures of clevr_official and ours of the same scenes, 480x320."""
    scenes = list(read_scenes(clevr_official / "scenes" / "CLEVR_val_scenes.json"))[50:74]
    official = [np.asarray(open_picture(clevr_official / "images" / "val" / scene.image_filename)) for scene in scenes]
    return np.stack(official), replay(scenes)


@pytest.mark.slow
def test_replayed_pictures_have_the_colour_and_contrast_of_the_official_ones(
    replayed: tuple[np.ndarray, np.ndarray],
) -> None:
    """These scenes took no part in fitting the renderer's constants."""
    official, ours = (pictures.astype(float) for pictures in replayed)
    np.testing.assert_allclose(ours.mean((0, 1, 2)), official.mean((0, 1, 2)), atol=6)
    np.testing.assert_allclose(ours.std((1, 2)).mean(0), official.std((1, 2)).mean(0), atol=4)
    assert np.abs(ours - official).mean() < 6
    for a, b in zip(ours, official, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8


def test_official_objects_are_seen_where_their_pixel_coords_are(clevr_official: Path) -> None:
    scenes = list(read_scenes(clevr_official / "scenes" / "CLEVR_val_scenes.json"))
    for scene, view in zip(scenes, fit_views(scenes), strict=True):
        places = np.array([item.coordinates for item in scene.objects])
        pixels = np.array([item.pixel_coords for item in scene.objects])
        assert np.abs(view.camera.project(places, VIEW) - pixels)[:, :2].max() < 1


def test_every_bound_holds_its_shape() -> None:
    for shape, bound in zip(SHAPES, BOUNDS, strict=True):
        grid = np.random.default_rng(0).uniform(-1.8, 1.8, (20_000, 3)) * RADII["large"]
        item = thing(shape)
        points = grid[inside(item, grid + item.coordinates, False)]
        assert np.linalg.norm(points, axis=1).max() <= bound * RADII["large"]
