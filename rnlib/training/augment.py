"""What training does at random: augmentation of pictures, for a whole batch at once on its device, and dropout.

Each picture is padded by 8 black pixels (of 128; a sixteenth of its side), cropped back at
a random place, and rotated by up to 2.8 degrees about its centre (Santoro et al. 2017:
136 pixels, 0.05 rad). Both are one affine
map, sampled bilinearly. What happens to a question's picture is drawn from (seed, epoch,
question), so it depends neither on the batch nor on the process.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

MAX_GAIN, MAX_TINT, MAX_OFFSET = 0.1, 0.04, 0.04
MAX_ANGLE = math.radians(2.8)


def padding(size: int) -> int:
    """How far a picture of `size` pixels may be shifted, in pixels: 8 for 128."""
    return size // 16


def draw_augmentations(seed: int, epoch: int, questions: int, size: int) -> Float[np.ndarray, "questions 3"]:
    """Shift in x and y (whole pixels, at most padding(size)) and angle (radians) of each question's picture."""
    generator = np.random.default_rng([seed, epoch, 1])
    shifts = generator.integers(-padding(size), padding(size) + 1, (questions, 2))
    angles = generator.uniform(-MAX_ANGLE, MAX_ANGLE, (questions, 1))
    return np.concatenate([shifts, angles], axis=1).astype(np.float32)


def draw_dropout(
    seed: int, epoch: int, step: int, questions: int, width: int, dropout: float
) -> Float[np.ndarray, "questions width"]:
    """What each unit is multiplied by in a step: 0 with probability `dropout`, else 1 / (1 - dropout)."""
    generator = np.random.default_rng([seed, epoch, 2, step])
    return (generator.random((questions, width), np.float32) >= dropout).astype(np.float32) / np.float32(1 - dropout)


def moved_points(
    points: Float[np.ndarray, "batch points 2"], draws: Float[np.ndarray, "batch 3"], size: int
) -> Float[np.ndarray, "batch points 2"]:
    """Where points (x, y) of pictures of `size` pixels are after `augment`, in pixels."""
    shifted = points - size / 2 + draws[:, None, :2]
    cos, sin = np.cos(draws[:, 2, None]), np.sin(draws[:, 2, None])
    x, y = shifted[:, :, 0], shifted[:, :, 1]
    return np.stack([cos * x + sin * y, cos * y - sin * x], axis=2) + size / 2


def mirror_points(
    points: Float[np.ndarray, "batch points 2"], mirrored: Bool[np.ndarray, " batch"], size: int
) -> Float[np.ndarray, "batch points 2"]:
    """Where points (x, y) of pictures of `size` pixels are after those marked were mirrored, in pixels."""
    x = np.where(mirrored[:, None], size - points[:, :, 0], points[:, :, 0])
    return np.stack([x, points[:, :, 1]], axis=2)


def draw_recoloring(seed: int, epoch: int, pictures: int, mirror: bool = True) -> Float[np.ndarray, "pictures 5"]:
    """Whether each picture is mirrored (1 or 0), the factors of its red, green and blue, and what is added to them.

    Half of the pictures are mirrored, none of them without `mirror`. A factor is one for the picture (1 +- 0.1) times
    one for the colour (1 +- 0.04); what is added is at most 0.04 of white.
    """
    generator = np.random.default_rng([seed, epoch, 3])
    mirrored = generator.integers(0, 2, (pictures, 1)) * mirror
    gains = 1 + generator.uniform(-MAX_GAIN, MAX_GAIN, (pictures, 1))
    tints = 1 + generator.uniform(-MAX_TINT, MAX_TINT, (pictures, 3))
    offsets = generator.uniform(-MAX_OFFSET, MAX_OFFSET, (pictures, 1))
    return np.concatenate([mirrored, gains * tints, offsets], axis=1).astype(np.float32)


def recolor(
    images: Float[Tensor, "batch 3 height width"], draws: Float[Tensor, "batch 5"]
) -> Float[Tensor, "batch 3 height width"]:
    """Mirror pictures with values in [0, 1] (left and right) and change their colours, as `draw_recoloring` says."""
    draws = draws.to(images.dtype)
    images = torch.where(draws[:, 0, None, None, None] > 0, images.flip(3), images)
    return (images * draws[:, 1:4, None, None] + draws[:, 4, None, None, None]).clamp(0, 1)


def augment(
    images: Float[Tensor, "batch channels height width"], draws: Float[Tensor, "batch 3"]
) -> Float[Tensor, "batch channels height width"]:
    """Shift pictures by (x, y) pixels, then rotate them counter-clockwise by an angle, about the centre."""
    _, _, height, width = images.shape
    shift_x, shift_y, angle = draws.to(images.dtype).unbind(1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    # affine_grid maps output to input in units of half a picture: undo the rotation, then the shift.
    rows = [
        torch.stack([cos, -sin * height / width, -2 * shift_x / width], 1),
        torch.stack([sin * width / height, cos, -2 * shift_y / height], 1),
    ]
    grid = torch.nn.functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


@dataclass(frozen=True)
class Augmentation:
    """What may happen to the pictures that a kind of objects reads.

    draw        (seed, epoch, pictures, size, mirror) -> a row of numbers for each picture. mirror: may it be mirrored?
    apply       pictures with values in [0, 1] and their rows -> the pictures that the network sees
    move        points (x, y) in pixels, rows, size of the pictures -> where the points are in these pictures
    placed      rows -> of which pictures the objects' x, y, z are still those of the scene
    words       a row -> what happens to the picture, for people
    """

    draw: Callable[[int, int, int, int, bool], np.ndarray]
    apply: Callable[[Tensor, Tensor], Tensor]
    move: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    placed: Callable[[np.ndarray], np.ndarray]
    words: Callable[[np.ndarray], str]


# By the name that a kind of objects gives (`ObjectEncoder.augmentation`).
AUGMENTATIONS = {
    "shift": Augmentation(
        draw=lambda seed, epoch, pictures, size, mirror: draw_augmentations(seed, epoch, pictures, size),
        apply=augment,
        move=moved_points,
        placed=lambda draws: np.zeros(len(draws), bool),
        words=lambda row: f"({row[0]:+.0f}, {row[1]:+.0f}) px, {math.degrees(row[2]):+.1f}°",
    ),
    "recolor": Augmentation(
        draw=lambda seed, epoch, pictures, size, mirror: draw_recoloring(seed, epoch, pictures, mirror),
        apply=recolor,
        move=lambda points, draws, size: mirror_points(points, draws[:, 0] > 0, size),
        placed=lambda draws: draws[:, 0] == 0,
        words=lambda row: f"red × {row[1]:.2f}, green × {row[2]:.2f}\nblue × {row[3]:.2f}, white {row[4]:+.2f}",
    ),
}
