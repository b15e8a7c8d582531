"""A scene -> the picture that its camera takes: each object is ray cast within its own rectangle.

Spheres, cubes and cylinders are met by closed formulas, shaded by CLEVR's lights and kept by
depth, at twice the picture's resolution. The ground with its soft shadows is made on a coarse grid and
enlarged. Light is linear inside; the gamma is 2.0, so that a square root does the conversion.

Rubber is diffuse; metal is a coloured mirror of the ground, a dim sky and the lights (of no other
object). Source of colours, lights and materials: the CLEVR v1.0 generator's settings (FACTS 5).
"""

from typing import Any

import numpy as np
from PIL import Image

from rnlib.clevr.catalogue import COLORS_RGB, RADII
from rnlib.synthesis.scenes import Camera, Scene, focal_pixels

# The lamps: key, fill, back. Powers are relative; the sharpness is that of a lamp's image in metal.
PLACES = np.array([(6.45, -2.91, 4.26), (-4.67, -4.01, 3.01), (-1.17, 2.65, 5.82)])
TINTS = np.array([(1.0, 0.93, 0.82), (0.76, 0.82, 1.0), (1.0, 1.0, 1.0)])
POWERS = np.array([0.62, 0.30, 0.36])
SHARPNESS = np.array([[60.0], [60.0], [30.0]], dtype=np.float32)
GROUND = 0.30  # how much light the ground gives back
GROUND_AMBIENT = 0.55  # on the open ground, from all around
AMBIENT = 0.16  # on objects
SKY = 0.05
# CLEVR's pictures are less saturated than its nominal colours: exponents fitted to them (2.0 would be nominal).
RUBBER_EXPONENT, METAL_EXPONENT = 1.2, 1.5
BEVEL = 0.12  # of a cube's or cylinder's radius: where the normals turn around an edge
SHADOW_GRID = 4  # pixels of the picture to a cell of the ground's grid
OVERSAMPLING = 2

UNIT_CORNERS = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]  # x, y, z (or r, g, b) as three float32 arrays


def draw(scene: Scene, camera: Camera, size: tuple[int, int]) -> Image.Image:
    """The RGB picture of `scene`, `size` = (width, height) in pixels."""
    fine = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
    ground = _ground(scene, camera, size).resize(size, Image.Resampling.BILINEAR)
    canvas = np.array(ground.resize(fine, Image.Resampling.NEAREST))
    depth = np.full((fine[1], fine[0]), np.inf, dtype=np.float32)
    for item in scene["objects"]:
        _draw_object(canvas, depth, item, camera)
    return Image.fromarray(canvas).reduce(OVERSAMPLING)


def _rays(camera: Camera, size: tuple[int, int], columns: np.ndarray, rows: np.ndarray) -> Triple:
    """Directions through pixel centres (columns x rows of a picture of `size`), of depth 1, as x, y, z."""
    right, down, forward = camera.axes.astype(np.float32)
    focal = focal_pixels(size)
    u = ((columns + 0.5 - size[0] / 2) / focal).astype(np.float32)[None, :]
    v = ((rows + 0.5 - size[1] / 2) / focal).astype(np.float32)[:, None]
    return tuple(forward[k] + u * right[k] + v * down[k] for k in range(3))


def _ground(scene: Scene, camera: Camera, size: tuple[int, int]) -> Image.Image:
    """The lit ground with the objects' shadows, one pixel a cell of SHADOW_GRID pixels."""
    coarse = (-(-size[0] // SHADOW_GRID), -(-size[1] // SHADOW_GRID))
    dx, dy, dz = _rays(camera, coarse, np.arange(coarse[0]), np.arange(coarse[1]))
    # Towards the horizon CLEVR's ground curves up: farther than 40 units nothing changes.
    px, py, pz = camera.position.tolist()
    t = np.minimum(pz / np.maximum(-dz, 1e-3), 40.0)
    x, y = px + t * dx, py + t * dy
    light = np.full((*x.shape, 3), GROUND_AMBIENT, dtype=np.float32)
    contact = np.ones_like(x)
    objects = []
    for item in scene["objects"]:
        radius = RADII[item["size"]]
        to_x, to_y = item["3d_coords"][0] - x, item["3d_coords"][1] - y
        level = to_x * to_x + to_y * to_y
        objects.append((radius, to_x, to_y, level + radius * radius))
        contact *= 1 - 0.45 * np.exp(-((level / (1.05 * radius) ** 2) ** 2))
    for (lamp_x, lamp_y, lamp_z), tint, power in zip(PLACES.tolist(), TINTS, POWERS.tolist(), strict=True):
        tx, ty = lamp_x - x, lamp_y - y
        square = tx * tx + ty * ty + lamp_z * lamp_z
        lit = power * lamp_z / np.sqrt(square) * _falloff(square)
        for radius, to_x, to_y, distance in objects:
            # How far along the line from ground to lamp the object's centre lies, and its distance from that line.
            along = (to_x * tx + to_y * ty + radius * lamp_z) / square
            gap = np.sqrt(np.maximum(distance - along * along * square, 0.0))
            soft = 0.15 * radius + 1.3 * np.maximum(along, 0.0)
            lit *= 1 - 0.95 * (along > 0) * np.clip(0.5 + (radius - gap) / soft, 0.0, 1.0)
        light += lit[..., None] * tint.astype(np.float32)
    return Image.fromarray(_to_bytes(GROUND * light * contact[..., None]))


def _draw_object(canvas: np.ndarray, depth: np.ndarray, item: dict[str, Any], camera: Camera) -> None:
    """Cast the rays that can meet `item`; write what is nearer than `depth` to both arrays."""
    size = (depth.shape[1], depth.shape[0])
    centre, radius = np.array(item["3d_coords"]), RADII[item["size"]]
    turn = item["rotation"] % (2 * np.pi) if item["shape"] == "cube" else 0.0  # the others are round
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    to_world = radius * np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    pixels = camera.project(centre + UNIT_CORNERS @ to_world.T, size)[:, :2]
    low = np.clip(np.floor(pixels.min(0)), 0, size).astype(int)
    high = np.clip(np.ceil(pixels.max(0)), 0, size).astype(int)
    if (low >= high).any():
        return
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    dx, dy, dz = _rays(camera, size, np.arange(low[0], high[0]), np.arange(low[1], high[1]))

    # In the object's own frame: turned by its rotation (radians), its centre the origin, its radius 1.
    ox, oy, oz = ((camera.position - centre) / radius).tolist()
    origin = (cos * ox + sin * oy, cos * oy - sin * ox, oz)
    ray = (cos * dx + sin * dy, cos * dy - sin * dx, dz)
    t = {"sphere": _meet_sphere, "cube": _meet_cube, "cylinder": _meet_cylinder}[item["shape"]](origin, ray) * radius
    hit = np.flatnonzero(t < depth[window])
    if not len(hit):
        return
    t, dx, dy, dz = (values.ravel()[hit] for values in (t, dx, dy, dz))
    scaled = t / radius
    at_x, at_y, at_z = (origin[k] + scaled * ray[k].ravel()[hit] for k in range(3))
    nx, ny, nz = _normal(item["shape"], at_x, at_y, at_z)
    normal = np.stack([cos * nx - sin * ny, sin * nx + cos * ny, nz])
    view = np.stack([dx, dy, dz]) * (-1 / np.sqrt(dx * dx + dy * dy + dz * dz))
    facing = (normal * view).sum(0)
    mirrored = (2 * facing) * normal - view
    height = radius * (1 + at_z)
    metal = item["material"] == "metal"
    nominal = np.array(COLORS_RGB[item["color"]], dtype=np.float32)[:, None] / 255
    if metal:
        light = _metal(_lamps(centre), height, facing, mirrored, nominal**METAL_EXPONENT)
    else:
        light = _rubber(_lamps(centre), height, normal, mirrored, nominal**RUBBER_EXPONENT)
    rows, columns = np.divmod(hit, high[0] - low[0])
    at = (rows + low[1]) * size[0] + columns + low[0]
    canvas.reshape(-1, 3)[at] = _to_bytes(light).T
    depth.reshape(-1)[at] = t


def _lamps(centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors from an object's centre to the lamps (lamps, 3), and their light on it (3, lamps)."""
    offsets = PLACES - centre
    square = (offsets**2).sum(1)
    light = (POWERS * _falloff(square))[:, None] * TINTS
    return (offsets / np.sqrt(square)[:, None]).astype(np.float32), light.T.astype(np.float32)


def _falloff(square: np.ndarray) -> np.ndarray:
    """Light at a squared distance from a lamp: softer than 1 / square, for the lamps are areas."""
    return 45.0 / (square + 25.0)


def _meet_sphere(origin: Any, ray: Triple) -> np.ndarray:
    """Ray parameter where each ray first meets the unit sphere; infinity where it misses."""
    a = ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2
    b = origin[0] * ray[0] + origin[1] * ray[1] + origin[2] * ray[2]
    c = origin[0] ** 2 + origin[1] ** 2 + origin[2] ** 2 - 1
    root = b * b - a * c
    return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.float32(np.inf))


def _meet_slab(origin: float, ray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ray parameters of entering and leaving -1 <= coordinate <= 1."""
    inverse = 1 / np.where(np.abs(ray) < 1e-6, np.float32(1e-6), ray)
    one, other = (-1 - origin) * inverse, (1 - origin) * inverse
    return np.minimum(one, other), np.maximum(one, other)


def _meet_cube(origin: Any, ray: Triple) -> np.ndarray:
    """As _meet_sphere, for the cube [-1, 1]^3."""
    slabs = [_meet_slab(origin[k], ray[k]) for k in range(3)]
    enter = np.maximum(np.maximum(slabs[0][0], slabs[1][0]), slabs[2][0])
    leave = np.minimum(np.minimum(slabs[0][1], slabs[1][1]), slabs[2][1])
    return np.where(enter < leave, enter, np.float32(np.inf))


def _meet_cylinder(origin: Any, ray: Triple) -> np.ndarray:
    """As _meet_sphere, for the upright cylinder of radius 1 between z = -1 and 1."""
    a = ray[0] ** 2 + ray[1] ** 2
    b = origin[0] * ray[0] + origin[1] * ray[1]
    square = b * b - a * (origin[0] ** 2 + origin[1] ** 2 - 1)
    root = np.sqrt(np.maximum(square, 0))
    bottom, top = _meet_slab(origin[2], ray[2])
    enter, leave = np.maximum((-b - root) / a, bottom), np.minimum((-b + root) / a, top)
    return np.where((square > 0) & (enter < leave), enter, np.float32(np.inf))


def _normal(shape: str, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Triple:
    """Unit normals at points of a unit shape's surface; over BEVEL they turn smoothly around an edge."""
    if shape == "sphere":
        return x, y, z
    if shape == "cube":
        x, y, z = (np.sign(c) * np.maximum(np.abs(c) - (1 - BEVEL), 1e-4) for c in (x, y, z))
    else:
        out = np.hypot(x, y)
        part = np.maximum(out - (1 - BEVEL), 1e-4) / np.maximum(out, 1e-4)
        x, y, z = x * part, y * part, np.sign(z) * np.maximum(np.abs(z) - (1 - BEVEL), 0)
    length = 1 / np.sqrt(x * x + y * y + z * z)
    return x * length, y * length, z * length


def _rubber(
    lamps: tuple[np.ndarray, np.ndarray],
    height: np.ndarray,
    normal: np.ndarray,
    mirrored: np.ndarray,
    color: np.ndarray,
) -> np.ndarray:
    """Diffuse light of all lamps, light from around, and a faint gloss: linear RGB, (3, pixels)."""
    directions, tints = lamps
    facing = np.maximum(_times(directions, normal), 0)
    gloss = np.maximum(_times(directions, mirrored), 0) ** 4 * facing
    # A surface that looks down sees the ground, near which it is dark.
    around = AMBIENT * (0.75 + 0.25 * normal[2]) * np.minimum(0.55 + 0.6 * height, 1.0)
    return (_times(tints, facing) + around) * (0.85 * color) + _times(0.05 * tints, gloss)


def _metal(
    lamps: tuple[np.ndarray, np.ndarray],
    height: np.ndarray,
    facing: np.ndarray,
    mirrored: np.ndarray,
    color: np.ndarray,
) -> np.ndarray:
    """A coloured mirror of ground, sky and lamps: linear RGB, (3, pixels)."""
    directions, tints = lamps
    up = mirrored[2]
    # Where the mirrored ray falls: far ground is lit well, ground beneath the object lies in its shadow.
    down = np.clip(0.5 - 4.0 * up, 0.0, 1.0)
    near = np.minimum(0.5 * height / np.maximum(-up, 0.05), 1.0)
    world = SKY * (1 + up) * (1 - down) + down * (0.04 + 0.36 * near)
    angle = _times(directions, mirrored) - 1
    shine = _times(tints, 4.5 * np.exp(SHARPNESS * angle) + 0.3 * np.exp(7.0 * angle))
    fresnel = (1 - np.clip(facing, 0.0, 1.0)) ** 4
    return (world + shine) * (color + 0.35 * fresnel) + 0.35 * shine


def _times(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """matrix (3, 3) @ rows (3, pixels), on one thread: the product of a library would start several."""
    return np.einsum("kj,ji->ki", matrix, rows)


def _to_bytes(linear: np.ndarray) -> np.ndarray:
    return (np.sqrt(np.clip(linear, 0.0, 1.0)) * 255.0 + 0.5).astype(np.uint8)
