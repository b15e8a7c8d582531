"""Which CLEVR set a run works on: the one given by path, else the synthetic one of notebook 01."""

from pathlib import Path

import msgspec

from rnlib.clevr.layout import ClevrDirectory
from rnlib.files import read_json
from rnlib.runs.folder import RunFolder
from rnlib.runs.pipeline import require

EXPLORATION = "01_data_exploration"


class _Data(msgspec.Struct):
    """What notebook 01 says of the set that it looked at."""

    clevr: str


def clevr_of_run(folder: RunFolder, clevr: str) -> Path:
    """The CLEVR directory for a notebook: `clevr` where it names one, else what notebook 01 of this run made.

    Notebook 01 is executed first if it has not been. Raises DataError where the directory is
    not a CLEVR set.
    """
    if clevr:
        return ClevrDirectory.find(clevr).root
    exploration = require(folder, EXPLORATION)
    return ClevrDirectory.find(read_json(exploration.path("data.json"), _Data).clevr).root
