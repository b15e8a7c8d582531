"""Scenes: 1-10 objects placed by CLEVR's rules before a camera, and their spatial relations.

Source of the rules and numbers: Johnson et al. 2017, section 3, and the CLEVR v1.0 generator's
settings (scene sampling, directions).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from rnlib.clevr.constants import COLORS, DIRECTIONS, HALF_WIDTH, MATERIALS, RADII, RELATIONS, SHAPES, SIZES
from rnlib.clevr.schema import Scene, SceneObject
from rnlib.synthesis.camera import View, sample_view
from rnlib.synthesis.visibility import Solids, all_visible

GAP = 0.25  # least room between two objects, their radii taken off
MARGIN = 0.4  # least separation along each cardinal direction
RELATION_THRESHOLD = 0.2  # j is left of i when (c_j - c_i) . left exceeds this
LEAST_VISIBLE = 200  # pixels of a 480x320 picture that must show an object
MOST_OBJECTS = 10
TRIES = 50  # places tried for an object before all are drawn again

Place = tuple[float, float]


# CLEVR-CoGenT's two conditions: the colors of each shape (Johnson et al. 2017, section 4.7).
_SOME, _OTHERS = ("gray", "blue", "brown", "yellow"), ("red", "green", "purple", "cyan")
ANY_COLOR = dict.fromkeys(SHAPES, COLORS)
COGENT_COLORS = {
    "A": {"sphere": COLORS, "cube": _SOME, "cylinder": _OTHERS},
    "B": {"sphere": COLORS, "cube": _OTHERS, "cylinder": _SOME},
}


def sample_scene(
    rng: np.random.Generator,
    objects: tuple[int, int],
    size: tuple[int, int],
    colors_of: Mapping[str, Sequence[str]] = ANY_COLOR,
) -> tuple[Scene, View]:
    """Draw a scene without names (split, image_index, image_filename are the writer's) and its view.

    objects: fewest and most objects, both included. size: (width, height) of the picture, for
    pixel_coords. Their number and the view are drawn once; the objects anew until they keep all rules.
    colors_of: the colors of each shape.
    """
    n = int(rng.integers(objects[0], objects[1] + 1))
    view = sample_view(rng)
    while True:
        size_at, shape_at, color_at, material_at = (
            rng.integers(len(values), size=n).tolist() for values in (SIZES, SHAPES, COLORS, MATERIALS)
        )
        sizes, shapes = [SIZES[k] for k in size_at], [SHAPES[k] for k in shape_at]
        materials = [MATERIALS[k] for k in material_at]
        colors = [colors_of[shape][k % len(colors_of[shape])] for shape, k in zip(shapes, color_at, strict=True)]
        radii = [RADII[name] for name in sizes]
        places = _place(rng, radii)
        if places is None:
            continue
        rotations = rng.uniform(0.0, 360.0, n)
        centres = np.column_stack([places, radii])
        if all_visible(view.camera, Solids(shapes, centres, np.array(radii), rotations), LEAST_VISIBLE):
            break
    pixels = view.camera.project(centres, size).tolist()
    made = [
        SceneObject((x, y, z), (round(across), round(down), depth), *rest)
        for (x, y, z), (across, down, depth), *rest in zip(
            centres.tolist(), pixels, rotations.tolist(), sizes, colors, materials, shapes, strict=True
        )
    ]
    scene = Scene(
        image_index=0, image_filename="", objects=made, relationships=relationships(centres), directions=DIRECTIONS
    )
    return scene, view


def relationships(centres: np.ndarray) -> dict[str, list[list[int]]]:
    """For each relation and each object i of `centres` (n, 3): the objects that lie in that direction from i."""
    result = {}
    for name in RELATIONS:
        along = centres @ np.array(DIRECTIONS[name])
        beyond = along[None, :] - along[:, None] > RELATION_THRESHOLD
        result[name] = [np.flatnonzero(row).tolist() for row in beyond]
    return result


def _place(rng: np.random.Generator, radii: list[float]) -> list[Place] | None:
    """Places that keep CLEVR's distances and margins, or None where TRIES draws for one object all failed.

    In plain numbers: most pairs fail at the first comparison, which arrays would not notice.
    """
    (right_x, right_y, _), (front_x, front_y, _) = DIRECTIONS["right"], DIRECTIONS["front"]
    taken: list[tuple[float, float, float, float, float]] = []
    for radius in radii:
        for x, y in rng.uniform(-HALF_WIDTH, HALF_WIDTH, (TRIES, 2)).tolist():
            right, front = right_x * x + right_y * y, front_x * x + front_y * y
            for other_x, other_y, other_right, other_front, room in taken:
                if abs(right - other_right) < MARGIN or abs(front - other_front) < MARGIN:
                    break
                if (x - other_x) ** 2 + (y - other_y) ** 2 < (radius + room) ** 2:
                    break
            else:
                taken.append((x, y, right, front, radius + GAP))
                break
        else:
            return None
    return [(x, y) for x, y, *_ in taken]
