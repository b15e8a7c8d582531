"""What all tests share: run-time checked annotations, the real inputs, a tiny synthetic CLEVR."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from jaxtyping import install_import_hook

# Before anything imports rnlib: from here on every annotation in it, shapes included, is checked
# when its function is called.
install_import_hook("rnlib", "beartype.beartype")

# Prepared arrays of the tests go to a folder of their own.
os.environ["RNLIB_CACHE"] = tempfile.mkdtemp(prefix="rnlib-test-cache-")

torch.set_num_threads(2)

_REAL_INPUTS = {
    "CLEVR_OFFICIAL": "a folder in the CLEVR layout made by the public CLEVR generator",
    "SEED_WEIGHTS": "the folder with original_fp_epoch_493.pth and ir_fp_epoch_312.pth",
}


def _real_input(variable: str) -> Path:
    """The folder that the environment variable names; the test is skipped, and says so, where it is not set."""
    if not os.environ.get(variable):
        pytest.skip(f"{variable} is not set: export {variable}=FOLDER, {_REAL_INPUTS[variable]}")
    folder = Path(os.environ[variable])
    if not folder.is_dir():
        pytest.fail(f"{variable} is {folder}: expected {_REAL_INPUTS[variable]}, found no such folder.")
    return folder


@pytest.fixture(scope="session")
def clevr_official() -> Path:
    """100 scenes rendered by the public CLEVR generator, with 1,000 questions (read-only)."""
    return _real_input("CLEVR_OFFICIAL")


@pytest.fixture(scope="session")
def seed_weights() -> Path:
    """The folder of the two weight files that the 2018 implementation released (read-only)."""
    return _real_input("SEED_WEIGHTS")


@pytest.fixture(scope="session")
def tiny_clevr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic CLEVR of 24 + 12 + 6 scenes at 120x80. Shared: copy it before changing anything in it."""
    from rnlib.synthesis import synthesize

    out = tmp_path_factory.mktemp("tiny_clevr")
    synthesize(out, train=24, val=12, test=6, seed=1, objects=(3, 6), images=(120, 80), progress=False)
    return out


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    """pyplot keeps figures until they are closed, and warns when there are many."""
    yield
    plt.close("all")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in a line of its own which real inputs were not there: green without them proves less."""
    absent = [variable for variable in _REAL_INPUTS if not os.environ.get(variable)]
    if absent:
        terminalreporter.section("REAL INPUTS NOT TESTED", yellow=True, bold=True)
        for variable in absent:
            terminalreporter.line(f"{variable} is not set: export {variable}=FOLDER, {_REAL_INPUTS[variable]}")
