"""The camera of any CLEVR scene, so that this renderer can draw it again: how faithful it is shows side by side.

A scene file does not say where the camera was, but it holds each object both in the
world and in the picture, from which the place follows. Lamps leave no such trace: they
are at their unjittered places.
"""

from collections.abc import Sequence

import numpy as np
import scipy
from jaxtyping import UInt8

from rnlib.clevr.constants import VIEW
from rnlib.clevr.schema import Scene
from rnlib.errors import DataError
from rnlib.synthesis.camera import CAMERA, LAMPS, Camera, View

DEPTH_WEIGHT = 200.0  # pixel_coords' x and y are rounded to whole pixels, the depth is exact
FARTHEST_OFF = 2.0  # pixels between an object and where the found camera sees it


def fit_camera(scene: Scene, size: tuple[int, int] = VIEW) -> Camera:
    """The camera that saw a scene, by least squares from its objects' 3d_coords and pixel_coords.

    size: (width, height) of the picture that pixel_coords speak of. As the public generator makes them, pictures of any
    size have square pixels; a 3:2 view squeezed to `size` is tried too. Raises DataError for an empty scene, and where
    no camera near CLEVR's fits: pixel_coords of another picture size, or a scene of another generator. Source: the
    public CLEVR generator (camera); it fits all official scenes within 0.65 pixel.
    """
    if not scene.objects:
        raise DataError(f"scene {scene.image_index}: expected objects, from which the camera follows, found none.")
    # A view of CLEVR's proportions is CLEVR's, whatever its size: so its numbers are the same to the last bit.
    shape = VIEW if size[0] * VIEW[1] == size[1] * VIEW[0] else size
    fits = [_fit(scene, size, shape) for shape in dict.fromkeys((shape, VIEW))]
    camera, off = min(fits, key=lambda fit: fit[1])
    if off > FARTHEST_OFF:
        raise DataError(
            f"scene {scene.image_index}: expected a camera like CLEVR's that sees every object within "
            f"{FARTHEST_OFF:g} pixels of its pixel_coords in a {size[0]}x{size[1]} picture; the best one is {off:.1f} "
            "pixels off. Give a set with CLEVR's camera and picture size."
        )
    return camera


def _fit(scene: Scene, size: tuple[int, int], shape: tuple[int, int]) -> tuple[Camera, float]:
    """The best camera with a view of `shape`, and how many pixels it is off at most."""
    places = np.array([item.coordinates for item in scene.objects])
    pixels = np.array([item.pixel_coords for item in scene.objects], dtype=float)

    def misses(position: np.ndarray) -> np.ndarray:
        return Camera(position, shape).project(places, size) - pixels

    found = scipy.optimize.least_squares(
        lambda position: (misses(position) * [1, 1, DEPTH_WEIGHT]).ravel(), np.array(CAMERA)
    )
    return Camera(found.x, shape), float(np.abs(misses(found.x)[:, :2]).max())


def fit_views(scenes: Sequence[Scene], size: tuple[int, int] = VIEW) -> list[View]:
    """The views of scenes, ready to be drawn: fitted cameras, lamps where they are before their jitter."""
    return [View(fit_camera(scene, size), LAMPS) for scene in scenes]


def replay(scenes: Sequence[Scene], size: tuple[int, int] = VIEW) -> UInt8[np.ndarray, "scenes height width 3"]:
    """Pictures of scenes whose pixel_coords speak of pictures of `size`, drawn again in that size."""
    from rnlib.synthesis.pictures import draw  # loads numba, which fitting cameras can do without

    return draw(scenes, fit_views(scenes, size), size)
