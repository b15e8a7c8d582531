"""What CLEVR v1.0 is made of: attribute values, question types, answer classes, counts.

Source: Johnson et al. 2017, "CLEVR: A Diagnostic Dataset for Compositional Language and
Elementary Visual Reasoning", and the v1.0 files. Orders matter: the integer codes of
the state-description presets are positions in these tuples, counted from 1.
"""

from collections.abc import Sequence

from rnlib.errors import ConfigError

COLORS = ("cyan", "blue", "yellow", "purple", "red", "green", "gray", "brown")
MATERIALS = ("rubber", "metal")
SHAPES = ("sphere", "cube", "cylinder")
SIZES = ("large", "small")

# How the colours look (sRGB, 0..255), how large the sizes are (world units), where objects can be, and what the
# relations mean: j is left of i if it lies in that direction of i.
COLORS_RGB = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
VIEW = (480, 320)  # width and height in pixels of CLEVR's pictures
RADII = {"large": 0.7, "small": 0.35}
HALF_WIDTH = 3.0  # x and y of every object lie in [-3, 3]
# Directions are those of the camera before its jitter, hence the same in every scene.
DIRECTIONS: dict[str, tuple[float, float, float]] = {
    "left": (-0.656311, -0.754490, 0.0),
    "right": (0.656311, 0.754490, 0.0),
    "front": (0.754490, -0.656311, 0.0),
    "behind": (-0.754490, 0.656311, 0.0),
    "above": (0.0, 0.0, 1.0),
    "below": (0.0, 0.0, -1.0),
}

# Attributes in the order of a state-description row (after x, y, z).
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "color": COLORS,
    "material": MATERIALS,
    "shape": SHAPES,
    "size": SIZES,
}

# How questions word values and relations; what is not here is called by its name.
SYNONYMS = {
    "large": ("large", "big"),
    "small": ("small", "tiny"),
    "metal": ("metal", "metallic", "shiny"),
    "rubber": ("rubber", "matte"),
    "sphere": ("sphere", "ball"),
    "cube": ("cube", "block"),
    "cylinder": ("cylinder",),
    "left": ("left of", "to the left of", "on the left side of"),
    "right": ("right of", "to the right of", "on the right side of"),
    "front": ("in front of",),
    "behind": ("behind",),
}

RELATIONS = ("left", "right", "front", "behind")

# The 13 question types (the last function of a question's program) in their 5 groups.
TYPE_GROUPS: dict[str, tuple[str, ...]] = {
    "count": ("count",),
    "exist": ("exist",),
    "compare numbers": ("equal_integer", "less_than", "greater_than"),
    "query attribute": ("query_size", "query_color", "query_material", "query_shape"),
    "compare attribute": ("equal_size", "equal_color", "equal_material", "equal_shape"),
}
QUESTION_TYPES = tuple(kind for kinds in TYPE_GROUPS.values() for kind in kinds)
GROUP_OF_TYPE = {kind: group for group, kinds in TYPE_GROUPS.items() for kind in kinds}

# The six classes of answers; an answer of another class than the truth's is "invalid".
ANSWER_CLASSES: dict[str, tuple[str, ...]] = {
    "number": tuple(str(n) for n in range(11)),
    "material": MATERIALS,
    "color": COLORS,
    "shape": SHAPES,
    "size": SIZES,
    "exist": ("yes", "no"),
}
CLASS_OF_ANSWER = {answer: name for name, answers in ANSWER_CLASSES.items() for answer in answers}

# The 90 question families of the release, by global index.
FAMILY_GROUPS: dict[str, range] = {
    "compare_integer": range(0, 9),
    "comparison": range(9, 25),
    "three_hop": range(25, 31),
    "single_and": range(31, 36),
    "same_relate": range(36, 64),
    "single_or": range(64, 72),
    "one_hop": range(72, 78),
    "two_hop": range(78, 84),
    "zero_hop": range(84, 90),
}


def family_numbers(names: Sequence[str | int]) -> list[int]:
    """The numbers of question families, given as groups ("single_or") or as numbers from 0 to 89.

    Raises ConfigError for anything else.
    """
    numbers: list[int] = []
    for name in names:
        if name in FAMILY_GROUPS:
            numbers += FAMILY_GROUPS[str(name)]
        elif str(name).isdecimal() and int(name) < 90:
            numbers.append(int(name))
        else:
            raise ConfigError(
                f"expected question families as groups ({', '.join(FAMILY_GROUPS)}) or as numbers from 0 to 89, "
                f"found '{name}'."
            )
    return numbers


SPLITS = ("train", "val", "test")

# (images, questions) of the CLEVR v1.0 download.
OFFICIAL_COUNTS = {"train": (70_000, 699_989), "val": (15_000, 149_991), "test": (15_000, 149_988)}
