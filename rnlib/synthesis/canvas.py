"""From light to the bytes of a picture: sRGB, a coarse grid spread over a finer one, and the finer one averaged.

Pixels lie in the middles of squares: pixel i of n is at (i + 0.5) / n of the picture's width.
"""

from typing import no_type_check

import numpy as np

from rnlib.compiled import compiled

OVERSAMPLING = 2  # rays to objects across a pixel, and as many down

# sRGB of linear light 0..1, at even steps: between them a straight line is never off by more than 2e-5.
_STEPS = 4096
_LINEAR = np.arange(_STEPS + 1) / _STEPS
_SRGB = np.where(_LINEAR < 0.0031308, _LINEAR * 12.92, 1.055 * _LINEAR ** (1 / 2.4) - 0.055)


@compiled
@no_type_check
def put(canvas, row, column, light):
    """Write linear light (red, green, blue) into a canvas, float32 (rows, columns, 3), as sRGB 0..1."""
    for channel in range(3):
        place = min(max(light[channel], 0.0), 1.0) * _STEPS
        step = min(int(place), _STEPS - 1)
        canvas[row, column, channel] = _SRGB[step] + (place - step) * (_SRGB[step + 1] - _SRGB[step])


@compiled
@no_type_check
def neighbours(at, fine, coarse):
    """Of pixel `at` of `fine`, the two pixels of `coarse` around its middle, and the second one's weight."""
    place = max((at + 0.5) * coarse / fine - 0.5, 0.0)
    one = min(int(place), coarse - 1)
    return one, min(one + 1, coarse - 1), place - one


@compiled
@no_type_check
def spread(coarse, owner, canvas):
    """Fill the pixels of `canvas` that belong to nobody (owner < 0) with those of `coarse` around them, bilinearly."""
    height, width, _ = canvas.shape
    line = np.empty((coarse.shape[1], 3), np.float32)
    columns = np.empty((width, 2), np.int64)
    weights = np.empty(width, np.float32)
    for column in range(width):
        columns[column, 0], columns[column, 1], weights[column] = neighbours(column, width, coarse.shape[1])
    for row in range(height):
        above, below, part = neighbours(row, height, coarse.shape[0])
        part = np.float32(part)
        for column in range(coarse.shape[1]):
            for channel in range(3):
                upper = coarse[above, column, channel]
                line[column, channel] = upper + part * (coarse[below, column, channel] - upper)
        for column in range(width):
            if owner[row, column] < 0:
                left, right = columns[column]
                for channel in range(3):
                    first = line[left, channel]
                    canvas[row, column, channel] = first + weights[column] * (line[right, channel] - first)


@compiled
@no_type_check
def reduce(canvas, picture):
    """Average a canvas of sRGB 0..1 into uint8 `picture`, OVERSAMPLING = 2 times smaller: weights 1, 3, 3, 1 both ways.

    At the border, those of the pixels that are there.
    """
    height, width, _ = picture.shape
    line = np.empty((2 * width, 3), np.float32)
    for row in range(height):
        above, below = max(2 * row - 1, 0), min(2 * row + 2, 2 * height - 1)
        top, bottom = np.float32(row > 0), np.float32(row < height - 1)
        whole = 1 / (6 + top + bottom)
        for column in range(2 * width):
            for channel in range(3):
                middle = canvas[2 * row, column, channel] + canvas[2 * row + 1, column, channel]
                ends = top * canvas[above, column, channel] + bottom * canvas[below, column, channel]
                line[column, channel] = 3 * middle + ends
        for column in range(width):
            left, right = max(2 * column - 1, 0), min(2 * column + 2, 2 * width - 1)
            first, last = np.float32(column > 0), np.float32(column < width - 1)
            scale = 255 * whole / (6 + first + last)
            for channel in range(3):
                middle = line[2 * column, channel] + line[2 * column + 1, channel]
                ends = first * line[left, channel] + last * line[right, channel]
                picture[row, column, channel] = int((3 * middle + ends) * scale + 0.5)
