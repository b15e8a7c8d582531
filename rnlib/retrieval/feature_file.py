"""Features on disk: one safetensors file with an array a feature, the pictures they are of, and where they come from.

Nothing in it depends on a vocabulary, and nothing in it can execute code.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float, Integer
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from rnlib.clevr.split import Split
from rnlib.errors import DataError, reason
from rnlib.files import atomic_write, open_input, remove_leftovers

FORMAT = "rnlib-features-1"
LARGEST = 1e15  # of a feature: squares and their sums are float32 numbers too


@dataclass(frozen=True)
class FeatureSet:
    """Features of some pictures of a split.

    vectors: by the feature's name, a row a picture. image_index: CLEVR's index of each row's picture. info: split,
    fingerprints of its data, and whatever else says where the vectors come from.
    """

    vectors: dict[str, Float[np.ndarray, "pictures _"]]
    image_index: Integer[np.ndarray, " pictures"]
    info: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        vectors: dict[str, Float[np.ndarray, "pictures _"]],
        split: Split,
        pictures: Integer[np.ndarray, " pictures"],
        **info: Any,
    ) -> "FeatureSet":
        """Features of rows `pictures` of a split. Raises DataError where a number is not finite."""
        described = {"split": split.name, "data": split.fingerprint, "pictures": split.image_fingerprint, **info}
        made = cls(vectors, np.array(split.image_indices)[pictures], described)
        made.require_finite("these features")
        return made

    def require_finite(self, what: str) -> None:
        """Raise DataError naming the first feature and picture with a NaN, an infinity or too large a number."""
        for name, values in self.vectors.items():
            bad = np.flatnonzero(~(np.abs(values) < LARGEST).all(1))
            if len(bad):
                raise DataError(
                    f"expected finite numbers in {what}, found NaN, infinity or more than {LARGEST:g} in '{name}' "
                    f"of {len(bad)} of {len(values)} pictures, first of picture {self.image_index[bad[0]]}. The "
                    "weights diverged or the file is damaged: make the features again from other weights."
                )

    def rows_in(self, split: Split) -> Integer[np.ndarray, " pictures"]:
        """The row in `split` of each picture. Raises DataError where these are features of other pictures."""
        known = {"split": split.name, "data": split.fingerprint, "pictures": split.image_fingerprint}
        for key, value in known.items():
            if value and self.info.get(key) != value:  # a split opened without pictures does not know them
                raise DataError(
                    f"expected features of '{split.name}' of {split.directory.root} ({key} {value[:12]}), found "
                    f"features of other pictures ({key} {str(self.info.get(key))[:12]}). Make them again on this set."
                )
        row_of = {index: row for row, index in enumerate(split.image_indices)}
        return np.array([row_of[index] for index in self.image_index.tolist()])


def save_features(path: Path | str, features: FeatureSet) -> Path:
    """Write a feature set; returns the path. Raises DataError for a name without .safetensors, and for a full disk."""
    path = _checked_suffix(Path(path))
    arrays = {f"feature {name}": np.ascontiguousarray(values) for name, values in features.vectors.items()}
    arrays["image_index"] = np.ascontiguousarray(features.image_index.astype(np.int64))
    # The file sorts its arrays; `names` keeps their order.
    texts = {"names": json.dumps(list(features.vectors)), "info": json.dumps(features.info, allow_nan=False)}
    content = save(arrays, {"format": FORMAT, **texts})
    remove_leftovers(path)
    with atomic_write(path) as file:
        file.write(content)
    return path


def load_features(path: Path | str) -> FeatureSet:
    """Read a feature set. Raises DataError where the file is absent, damaged, of another format, or not finite."""
    path = _checked_suffix(Path(os.path.expanduser(path)))
    if not os.path.exists(path):
        raise DataError(f"expected features at {path}, found no such file. Make them with 'rnlib features'.")
    open_input(path).close()
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise DataError(f"{path}: expected the format {FORMAT}, found {metadata.get('format', 'none')}.")
            names = msgspec.json.decode(metadata["names"], type=list[str])
            vectors = {name: file.get_tensor(f"feature {name}") for name in names}
            index, info = file.get_tensor("image_index"), msgspec.json.decode(metadata["info"], type=dict[str, Any])
    except (SafetensorError, KeyError, msgspec.DecodeError, RecursionError) as error:
        raise DataError(
            f"{path} is not a file of features ({reason(error)}). It is damaged: make the features again."
        ) from None
    shapes = all(values.ndim == 2 and len(values) == len(index) for values in vectors.values()) and index.ndim == 1
    kinds = all(values.dtype.kind == "f" for values in vectors.values()) and index.dtype == np.int64
    if not (vectors and len(index) and shapes and kinds):
        raise DataError(f"{path}: expected a row a picture in each feature, found other shapes. Make it again.")
    features = FeatureSet(vectors, index, info)
    features.require_finite(str(path))
    return features


def _checked_suffix(path: Path) -> Path:
    if path.suffix != ".safetensors":
        raise DataError(f"expected features in a file NAME.safetensors, found {path.name}.")
    return path
