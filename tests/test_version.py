"""What synthetic sets are made of stays the same as long as their VERSION does.

Scenes and questions to the ninth digit of every number; pictures within what machines round differently.
Where this fails, raise VERSION and DATE in rnlib/synthesis/settings.py and keep what the new version makes:
python tests/test_version.py
"""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np

from rnlib.synthesis import synthesize
from rnlib.synthesis.settings import VERSION

KEPT = Path(__file__).with_name("synthetic_version")  # .json: VERSION and digests; .npz: pictures
SIDE = 64
ADVICE = (
    "What synthetic sets hold has changed since version {version}. If that is meant, raise VERSION and DATE in "
    "rnlib/synthesis/settings.py, then keep what the new version makes: python tests/test_version.py"
)


def make(out: Path) -> tuple[dict[str, str], np.ndarray]:
    """Digests of the JSON files of a small set of all families, and its pictures, uint8 (pictures, 3, side, side)."""
    synthesize(out, train=12, val=60, test=2, seed=11, images=SIDE, objects=(1, 10), workers=1, verbose=False)
    digests, families = {}, set()
    for path in sorted(out.glob("*/*.json")):
        # To nine digits: the last ones differ from machine to machine.
        document = json.loads(path.read_bytes(), parse_float=lambda text: round(float(text), 9))
        del document["info"]["date"]
        families |= {row.get("question_family_index", 0) for row in document.get("questions", ())}
        digests[path.name] = hashlib.blake2b(json.dumps(document).encode(), digest_size=16).hexdigest()
    assert len(families) == 90
    return digests, np.load(out / f"images/CLEVR_train_{SIDE}.npy")


def test_nothing_in_a_synthetic_set_changes_without_a_new_version(tmp_path: Path) -> None:
    kept = json.loads(KEPT.with_suffix(".json").read_text())
    advice = ADVICE.format(version=kept["version"])
    assert kept["version"] == VERSION, f"VERSION is {VERSION}. {advice}"
    digests, pictures = make(tmp_path / "set")
    assert digests == kept["digests"], advice
    with np.load(KEPT.with_suffix(".npz")) as file:
        away = np.abs(pictures.astype(int) - file["pictures"])
    assert (away > 1).mean() < 1e-3, advice
    assert away.mean() < 0.05, advice  # nothing but roundings, not all of it one level brighter


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made, drawn = make(Path(folder) / "set")
    KEPT.with_suffix(".json").write_text(json.dumps({"version": VERSION, "digests": made}, indent=1) + "\n")
    np.savez_compressed(KEPT.with_suffix(".npz"), pictures=drawn)
