"""How CLEVR's scenes are lit: three square lamps and a weak sun over a grey ground, before a lit backdrop.

All light is linear RGB, in the unit in which the ground's own radiance is written to the picture.
The geometry is that of the generator's settings. The powers below were fitted by least squares
to 50 official pictures (open ground, then rubber surfaces, then what metal spheres
mirror in each direction), whose lamps' jitter averages out.
"""

from typing import no_type_check

import numpy as np

from rnlib.compiled import compiled
from rnlib.synthesis.camera import LAMPS
from rnlib.synthesis.geometry import COVERED, CUBE, SPHERE, UNSURE, aim, dot, in_own_frames, minus, relative

# Radiance of the ground a unit of cos * cos / distance^2 away from key, fill and back lamp (rows; RGB).
POWERS = np.array([(5.60, 5.20, 4.45), (1.33, 1.45, 1.80), (2.70, 2.70, 2.70)])
LAMP_HALF_SIDES = np.array([0.25, 0.25, 0.5])
SUN = np.array([0.4055, -0.1879, 0.8946])  # direction to the sun
SUN_POWER = 0.070
SUN_WIDTH = 0.08  # half side of the sun, in units of its distance
SUN_FAR = 30.0  # how far from every point the sun is taken to be
AMBIENT = 0.066  # on the open ground, from all around
SAMPLES = 3  # rays to a lamp: SAMPLES^2
FAINT = 1e-5  # light so weak that its shadows are not looked for

# A lamp's jitter moves it and does not turn it: it looks along its way from its unjittered place to the origin.
_AXES = LAMPS / np.linalg.norm(LAMPS, axis=1, keepdims=True)
_SUN = len(LAMPS)  # the sun's number among the lights
LAST_BIT = 62  # of a mask of bodies
EVERYTHING = (-1, -1, -1, -1)  # shaders of which no body is left out


LIGHT = np.dtype(
    [
        ("place", float, 3),  # of the centre; of the sun: relative to the point that it shines on
        ("slack", float),  # how far from the centre the outermost of its places lie
    ],
    align=True,
)


def light_up(bodies: np.ndarray, lamps: np.ndarray, samples: int = SAMPLES) -> np.ndarray:
    """The lights of a scene: key, fill and back lamp at `lamps` (3, 3), then the sun; LIGHT (4,).

    Fills `lights` of the bodies: each light is a square of samples x samples places.
    """
    lights = np.zeros(len(_SIDES), LIGHT)
    lights["place"] = [*lamps, SUN_FAR * SUN]
    lights["slack"] = np.linalg.norm(_SIDES.sum(1), axis=1) * (1 - 1 / samples)
    bodies["lights"] = _places(bodies, lights["place"], _SIDES, samples)
    return lights


def _places(bodies: np.ndarray, centres: np.ndarray, sides: np.ndarray, samples: int) -> np.ndarray:
    """Places on lights with these centres (4, 3) and half sides (4, 2, 3), in each body's frame: (bodies, 4, 3, n)."""
    steps = (np.arange(samples) + 0.5) * (2 / samples) - 1
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij")).reshape(2, -1)
    points = (centres[:, None] + np.einsum("lsx,sk->lkx", sides, grid)).reshape(-1, 3)
    origins = np.repeat([1.0, 1.0, 1.0, 0.0], samples**2)[:, None] * bodies["centre"][:, None]
    return in_own_frames(bodies, points - origins).reshape(len(bodies), 4, samples**2, 3).transpose(0, 1, 3, 2)


def _square(axis: np.ndarray) -> np.ndarray:
    """Two unit vectors (2, 3) at right angles to an axis and to each other."""
    flat = np.array([-axis[1], axis[0], 0.0]) / np.hypot(axis[0], axis[1])
    return np.stack([flat, np.cross(axis, flat)])


# Half the two sides of each light.
_SIDES = np.stack(
    [half * _square(axis) for half, axis in zip((*LAMP_HALF_SIDES, SUN_WIDTH * SUN_FAR), (*_AXES, SUN), strict=True)]
)


@compiled
@no_type_check
def falling(scene, point, normal, own, shaders):
    """Direct light on a point with this unit normal: red, green and blue of the lamps, then that of the sun.

    With the cosine to the normal and shadows. own: the body that the point lies on, which does not shade
    itself; -1: the ground. shaders: of each light the bodies that can shade the point, as `find_shaders` has them.
    """
    red, green, blue = 0.0, 0.0, 0.0
    for lamp in range(_SUN):
        to = minus(scene.lights[lamp].place, point)
        square = dot(to, to)
        leaving = max(dot(to, _AXES[lamp]), 0.0)
        light = max(dot(to, normal), 0.0) * leaving / (square * square)
        if light > FAINT:
            light *= unshaded(scene, lamp, point, to, own, shaders[lamp])
        red += light * POWERS[lamp, 0]
        green += light * POWERS[lamp, 1]
        blue += light * POWERS[lamp, 2]
    sun = max(dot(SUN, normal), 0.0) * SUN_POWER
    if sun > 0:
        to = scene.lights[_SUN].place
        sun *= unshaded(scene, _SUN, point, (to[0], to[1], to[2]), own, shaders[_SUN])
    return red, green, blue, sun


@compiled
@no_type_check
def unshaded(scene, light, point, to, own, shaders):
    """The part of a light that a point sees, 0..1; `to` leads from the point to its middle.

    The parts that several objects leave are multiplied, as if independent.
    """
    seen, square = 1.0, dot(to, to)
    for i in range(scene.count):
        if shaders >> min(i, LAST_BIT) & 1 and i != own:
            aimed = aim(scene.bodies[i], point, to, square, scene.lights[light].slack)
            if aimed == UNSURE:
                seen *= _left(scene.bodies[i], light, point)
            if aimed == COVERED or seen == 0:
                return 0.0
    return seen


@compiled
@no_type_check
def _left(body, light, point):
    """The part of a light that a body leaves to a point outside it: of the rays to the light's places those that pass.

    In the body's own frame, by whether a ray's part between point and light comes into the shape. The light itself is
    outside. A point within a body, or under it, is not shaded by it.
    """
    shape, places = body.shape, body.lights[light]
    x, y, z = relative(body, point)
    from_x, from_y, from_z = (0.0, 0.0, 0.0) if light == _SUN else (x, y, z)
    count, met = places.shape[1], 0
    level = x * x + y * y
    if shape == SPHERE:
        c = level + z * z - 1
        if c <= 0:
            return 1.0
        for k in range(count):
            along, across, up = places[0, k] - from_x, places[1, k] - from_y, places[2, k] - from_z
            a = along * along + across * across + up * up
            b = x * along + y * across + z * up
            met += (b < 0) & (-b < a) & (b * b > a * c)
    elif shape == CUBE:
        if max(abs(x), abs(y), abs(z)) <= 1:
            return 1.0
        for k in range(count):
            # Half the ray's part, and its middle. It misses where one of six planes parts it from the cube:
            # parallel to two faces, or to the ray and an edge.
            along, across, up = (places[0, k] - from_x) / 2, (places[1, k] - from_y) / 2, (places[2, k] - from_z) / 2
            mid_x, mid_y, mid_z = x + along, y + across, z + up
            met += (
                (abs(mid_x) < 1 + abs(along))
                & (abs(mid_y) < 1 + abs(across))
                & (abs(mid_z) < 1 + abs(up))
                & (abs(mid_y * up - mid_z * across) < abs(across) + abs(up))
                & (abs(mid_z * along - mid_x * up) < abs(along) + abs(up))
                & (abs(mid_x * across - mid_y * along) < abs(along) + abs(across))
            )
    else:
        if level <= 1 and abs(z) <= 1:
            return 1.0
        for k in range(count):
            # The ray between the heights of bottom and top, and there its nearest to the axis.
            along, across, up = places[0, k] - from_x, places[1, k] - from_y, places[2, k] - from_z
            inverse = 1 / (1e-6 if abs(up) < 1e-6 else up)
            one, other = (-1 - z) * inverse, (1 - z) * inverse
            first, last = max(min(one, other), 0.0), min(max(one, other), 1.0)
            a = max(along * along + across * across, 1e-12)
            b = x * along + y * across
            nearest = min(max(-b / a, first), last)
            met += (first < last) & ((a * nearest + 2 * b) * nearest + level < 1)
    return 1.0 - met / count


@compiled
@no_type_check
def find_shaders(scene, centre, radius, own):
    """Of each light the bodies that may shade some point of a ball, the only ones to be tried there: four bit masks.

    Bit i is of body i; bodies beyond LAST_BIT share it.
    """
    return (
        _shaders(scene, scene.lights[0], minus(scene.lights[0].place, centre), centre, radius, own),
        _shaders(scene, scene.lights[1], minus(scene.lights[1].place, centre), centre, radius, own),
        _shaders(scene, scene.lights[2], minus(scene.lights[2].place, centre), centre, radius, own),
        _shaders(scene, scene.lights[3], minus(scene.lights[3].place, (0.0, 0.0, 0.0)), centre, radius, own),
    )


@compiled
@no_type_check
def _shaders(scene, light, to, centre, radius, own):
    mask = 0
    for i in range(scene.count):
        x, y, z = minus(scene.bodies[i].centre, centre)
        along = min(max(dot((x, y, z), to) / dot(to, to), 0.0), 1.0)
        aside = minus((x, y, z), (along * to[0], along * to[1], along * to[2]))
        reach = scene.bodies[i].bound + light.slack + radius
        if i != own and dot(aside, aside) < reach * reach:
            mask |= 1 << min(i, LAST_BIT)
    return mask
