"""The code of docs/extending.md runs as it stands there; the data set for loops of one's own."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from rnlib.clevr.split import open_split
from rnlib.errors import DataError
from rnlib.model import ClevrDataset, NetworkInputs, load_preset, objects

TEXT = (Path(__file__).resolve().parents[1] / "docs/extending.md").read_text()
BLOCKS = dict(
    zip(re.findall(r"^## (.*)$", TEXT, re.M), re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S), strict=True)
)


@pytest.mark.parametrize("title", BLOCKS)
def test_the_code_runs(
    title: str,
    tiny_clevr: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = BLOCKS[title]
    assert len(code.splitlines()) <= 30
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(objects, "KINDS", dict(objects.KINDS))
    exec(compile(code.replace("DIR", str(tiny_clevr)), title, "exec"), {"__name__": "extending"})
    said = capsys.readouterr().out
    expected = {
        "Bring your own loop": "epoch 2: loss",
        "Add a metric": "truth",
        "Add an object encoder": "val_loss",
        "Add a data set": "2 What color is it? red",
    }
    assert expected[title] in said


@pytest.mark.parametrize("preset", ["medium-sd", "ir-fp"])
def test_an_example_is_what_the_network_reads(tiny_clevr: Path, preset: str) -> None:
    chosen = load_preset(preset, {"image_size": 32})
    split = open_split(tiny_clevr, "val", images=chosen.picture_size, verbose=False)
    examples, inputs = ClevrDataset(split, chosen), NetworkInputs.of(split, chosen, split.vocabulary)
    assert len(examples) == split.n_questions
    visual, tokens, answer = next(iter(DataLoader(examples, batch_size=5)))
    numbers = np.arange(5)
    torch.testing.assert_close(visual, inputs.visual(split.image_of_question[numbers]))
    longest = inputs.question(numbers)
    assert torch.equal(tokens[:, : longest.shape[1]], longest.long()) and not tokens[:, longest.shape[1] :].any()
    assert torch.equal(answer, inputs.answer(numbers))
    assert torch.equal(examples[-1][1], examples[len(examples) - 1][1])
    with pytest.raises(IndexError, match="below"):
        examples[len(examples)]


def test_a_split_without_answers_is_refused(tiny_clevr: Path) -> None:
    chosen = load_preset("ir-fp", {"image_size": 32})
    split = open_split(tiny_clevr, "test", images=32, verbose=False)
    with pytest.raises(DataError, match="expected answers"):
        ClevrDataset(split, chosen)
