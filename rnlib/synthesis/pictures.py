"""Scenes and views -> the pictures that their cameras take, a batch at a time, on a CPU or a GPU.

An analytic ray caster: of each object only the rays within its own rectangle are cast, the nearest hit
of each ray stays, and it is lit by `surfaces`. Objects are cast at OVERSAMPLING times
the picture's resolution, the smooth ground on a grid of its own. Colours are sRGB.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from rnlib.clevr.catalogue import VIEW
from rnlib.synthesis.bodies import Bodies, Rows, Vectors
from rnlib.synthesis.camera import View, focal_pixels
from rnlib.synthesis.scenes import Scene
from rnlib.synthesis.surfaces import ground, metal, rubber

OVERSAMPLING = 2
GROUND_CELLS = 240  # most cells of the ground's grid across a picture
FARTHEST = 40.0  # of the ground: beyond, towards the horizon, nothing changes
AT_ONCE = 4  # pictures drawn together on a CPU: what they need stays near its caches


def draw(
    scenes: Sequence[Scene], views: Sequence[View], size: tuple[int, int], device: str = "cpu"
) -> UInt8[np.ndarray, "scenes height width 3"]:
    """RGB pictures of scenes as their views show them, 0..255.

    size: (width, height) in pixels, to which CLEVR's 3:2 view is squeezed. On one device the same batch
    gives the same bytes; the company of other scenes in a batch may change roundings.
    """
    step = AT_ONCE if device == "cpu" else len(scenes)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a process draws fastest alone on a core, and bytes would depend on their number
    try:
        with torch.inference_mode():
            parts = [
                _draw(Bodies.of(scenes[start : start + step], device), views[start : start + step], size, device)
                for start in range(0, len(scenes), step)
            ]
            return torch.cat(parts).cpu().numpy()
    finally:
        torch.set_num_threads(threads)


def _draw(bodies: Bodies, views: Sequence[View], size: tuple[int, int], device: str) -> UInt8[Tensor, "n h w 3"]:
    cameras = _Cameras(views, device)
    lamps = torch.tensor(np.stack([view.lamps for view in views]), dtype=torch.float32, device=device)
    fine = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
    canvas = _ground(bodies, lamps, cameras, size, fine)
    body, pixel = _fragments(bodies, cameras, fine)
    ray = cameras.rays(pixel, fine)
    start = cameras.position[:, bodies.scene[body]]
    t = bodies.meet(body, start, ray, rounded=True)
    nearest = t.new_full((len(views) * fine[0] * fine[1],), torch.inf).scatter_reduce(0, pixel, t, "amin")
    first = torch.nonzero(t.isfinite() & (t == nearest[pixel]))[:, 0]
    body, pixel, ray, t = body[first], pixel[first], ray[:, first], t[first]
    points = start[:, first] + t * ray
    normal = bodies.normal(body, points)

    light = torch.empty_like(points)
    is_metal = bodies.metal[body]
    rows = torch.nonzero(~is_metal)[:, 0]
    light[:, rows] = rubber(bodies, lamps, body[rows], points[:, rows], normal[:, rows])
    rows = torch.nonzero(is_metal)[:, 0]
    # Neighbouring rays are mirrored to different places of a square: together they blur.
    column, row = pixel[rows] % fine[0], pixel[rows] // fine[0] % fine[1]
    spread = torch.stack([column % 2 * 2 + row // 2 % 2, row % 2 * 2 + column // 2 % 2]) / 1.5 - 1
    light[:, rows] = metal(bodies, lamps, body[rows], points[:, rows], normal[:, rows], ray[:, rows], spread)

    canvas.view(3, -1)[:, pixel] = _srgb(light)
    picture = torch.nn.functional.interpolate(
        canvas.transpose(0, 1), (size[1], size[0]), mode="bilinear", antialias=True, align_corners=False
    )
    return (picture * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1)


class _Cameras:
    """The cameras of a batch of views."""

    def __init__(self, views: Sequence[View], device: str) -> None:
        axes = np.stack([view.camera.axes for view in views])
        position = np.stack([view.camera.position for view in views])
        self.axes = torch.tensor(axes, dtype=torch.float32, device=device)  # (views, right / down / forward, xyz)
        self.position = torch.tensor(position.T, dtype=torch.float32, device=device)

    def rays(self, pixel: Int[Tensor, " rays"], size: tuple[int, int]) -> Float[Tensor, "3 rays"]:
        """Directions of depth 1 through the centres of pixels, numbered over (views, height, width)."""
        column, line = pixel % size[0], pixel // size[0]
        view, row = line // size[1], line % size[1]
        focal = focal_pixels(VIEW)
        u = ((column + 0.5) / size[0] - 0.5) * (VIEW[0] / focal)
        v = ((row + 0.5) / size[1] - 0.5) * (VIEW[1] / focal)
        right, down, forward = self.axes.permute(1, 2, 0)[:, :, view]
        return forward + u * right + v * down

    def project(self, points: Float[Tensor, "3 bodies corners"], view: Tensor, size: tuple[int, int]) -> Tensor:
        """Where points appear in a picture of `size`, (2, bodies, corners) in pixels."""
        offset = points - self.position[:, view, None]
        right, down, depth = torch.einsum("sax,xsc->asc", self.axes[view], offset)
        focal = focal_pixels(VIEW)
        u = (focal * right / depth / VIEW[0] + 0.5) * size[0]
        v = (focal * down / depth / VIEW[1] + 0.5) * size[1]
        return torch.stack([u, v])


def _fragments(bodies: Bodies, cameras: _Cameras, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(body, pixel) of each ray that may meet each body: those within the rectangle around its corners."""
    places = cameras.project(bodies.corners(), bodies.scene, size)
    limit = places.new_tensor(size)[:, None]
    low = places.amin(2).floor().clamp(min=0).minimum(limit).long()
    high = places.amax(2).ceil().clamp(min=0).minimum(limit).long()
    width, height = high - low
    area = width * height
    body = torch.repeat_interleave(torch.arange(len(area), device=area.device), area)
    index = torch.arange(len(body), device=area.device) - (area.cumsum(0) - area)[body]
    column = low[0, body] + index % width[body]
    row = low[1, body] + index // width[body]
    return body, (bodies.scene[body] * size[1] + row) * size[0] + column


def _ground(
    bodies: Bodies, lamps: Tensor, cameras: _Cameras, size: tuple[int, int], fine: tuple[int, int]
) -> Float[Tensor, "3 views height width"]:
    """The ground in sRGB, at the resolution `fine`."""
    cell = -(-size[0] // GROUND_CELLS)
    coarse = (-(-size[0] // cell), -(-size[1] // cell))
    count = cameras.position.shape[1]
    pixel = torch.arange(count * coarse[0] * coarse[1], device=lamps.device)
    scene = pixel // (coarse[0] * coarse[1])
    ray = cameras.rays(pixel, coarse)
    start = Rows(scene, even=True).of(cameras.position)
    reach = (start[2] / -ray[2].clamp(max=-1e-3)).clamp(max=FARTHEST)
    points = start + reach * ray
    points[2] = 0
    light = _srgb(ground(bodies, lamps, Rows(scene, even=True), points)).view(3, count, coarse[1], coarse[0])
    return torch.nn.functional.interpolate(light, (fine[1], fine[0]), mode="bilinear", align_corners=False)


def _srgb(linear: Vectors) -> Vectors:
    """Linear light to sRGB, both 0..1."""
    linear = linear.clamp(0, 1)
    return torch.where(linear < 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=1e-4) ** (1 / 2.4) - 0.055)
