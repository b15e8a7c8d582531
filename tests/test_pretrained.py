"""Released weights: found by name, fetched and checked, and made from a training with all that a card needs."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from rnlib.__main__ import main
from rnlib.clevr import clevr_v1
from rnlib.errors import DataError, WeightsError
from rnlib.evaluation.statistics import wilson
from rnlib.model import RelationNetwork, load_preset, load_weights, save_weights
from rnlib.model import pretrained as pretrained_module
from rnlib.model.pretrained import MESNICO_FILES, MesnicoFile, find_weights, released, shipped_folder
from rnlib.training import TrainingFolder
from rnlib.training.curves import reference_curves

SMALL = ["--set", "g_layers=[8,8,8]", "f_layers=[8,8]", "lstm_hidden=8"]


def test_every_shipped_file_is_what_its_json_says_and_has_a_card() -> None:
    for path in shipped_folder().glob("*.safetensors"):
        assert load_weights(path.stem).name == path.stem  # checks the sha256
        info = json.loads(path.with_suffix(".json").read_text())
        assert info["sha256"] in path.with_suffix(".md").read_text()
        assert (pd.read_csv(path.with_suffix(".csv"))["accuracy"] > 0).all()


def test_a_name_stands_for_a_shipped_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained_module, "shipped_folder", lambda: tmp_path)
    network = RelationNetwork(load_preset("small-sd"), clevr_v1())
    path = save_weights(tmp_path / "mine.safetensors", network, clevr_v1())
    assert find_weights("mine") == path and find_weights(path) == path
    assert "mine" in released()
    with pytest.raises(WeightsError, match="released name: mine, mesnico-original-fp, mesnico-ir-fp"):
        find_weights("yours")


def test_the_seeds_weights_are_fetched_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def fetch(url: str, part: Path, verbose: bool) -> None:
        fetched.append(url)
        part.write_bytes(b"weights")

    monkeypatch.setenv("RNLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(pretrained_module, "fetch", fetch)
    right = MesnicoFile("http://localhost/a.pth", hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr(
        pretrained_module, "MESNICO_FILES", {"a": right, "b": MesnicoFile("http://localhost/b.pth", "0" * 64)}
    )
    assert find_weights("a").read_bytes() == b"weights" == find_weights("a").read_bytes()
    assert fetched == ["http://localhost/a.pth"]
    with pytest.raises(WeightsError, match="not the file that was released: expected sha256 000"):
        find_weights("b")
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["a.pth"]


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, part: Path, verbose: bool) -> None:
        raise DataError(f"cannot download {url}: no route.")

    monkeypatch.setenv("RNLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(pretrained_module, "fetch", fetch)
    with pytest.raises(WeightsError, match=r"no route\. Or fetch https://github.com/.*give its path"):
        find_weights("mesnico-ir-fp")


def test_the_seeds_checksums_are_those_of_its_files(seed_weights: Path) -> None:
    for url, expected in MESNICO_FILES.values():
        assert hashlib.sha256((seed_weights / url.rsplit("/", 1)[1]).read_bytes()).hexdigest() == expected


def test_a_training_becomes_a_release(tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out, data = tmp_path / "run", tmp_path / "weights", ["--clevr", str(tiny_clevr)]
    to = ["--trained-on", "toy", "--out", str(out)]
    quick = ["--set", "epochs=2", "lr=1e-3", "lr_gamma=1", "--vocabulary", "clevr-v1.0"]
    fields = ["--set", "held_out=4", "--device", "cpu"]
    command = ["train", "--preset", "small-sd", *data, "--out", str(run), *quick, *fields]
    assert main([*command, *SMALL]) == 0
    said = [
        "--name",
        "mine",
        "--trained-on",
        "toy",
        "--out",
        str(out),
        "--evaluation",
        f"synthetic val={run / 'val'}",
        "--about",
        "A test.",
    ]
    assert main(["release", str(run), *said]) == 0
    asked = (run / "val/predictions.parquet").stat().st_mtime_ns
    assert main([*command, *SMALL]) == 0
    assert (run / "val/predictions.parquet").stat().st_mtime_ns == asked  # nothing is answered twice
    assert sorted(path.name for path in out.iterdir()) == ["mine.csv", "mine.json", "mine.md", "mine.safetensors"]
    weights = load_weights(out / "mine.safetensors")
    best = load_weights(TrainingFolder(run).weights("best"))
    for name, tensor in best.network.state_dict().items():
        assert torch.equal(weights.network.state_dict()[name], tensor)
    metrics = json.loads((run / "val/metrics.json").read_text())
    assert weights.info["metrics"]["synthetic val"] == metrics and "held_out" in weights.info["metrics"]
    card = (out / "mine.md").read_text()
    low, high = wilson(round(metrics["accuracy"] * metrics["n"]), metrics["n"])
    assert f"**{100 * metrics['accuracy']:.2f} ({100 * low:.2f} to {100 * high:.2f}; n = {metrics['n']})**" in card
    assert "A test." in card and "on toy, " in card and weights.info["sha256"] in card
    curve = pd.read_csv(out / "mine.csv")
    assert list(curve) == list(reference_curves()) and set(curve["set"]) == {"toy"}
    assert set(curve["curve"]) == {"state descriptions, released mine"}
    capsys.readouterr()
    assert (
        main(
            [
                "release",
                str(run),
                "--name",
                "x",
                "--trained-on",
                "toy",
                "--out",
                str(out),
                "--evaluation",
                "val=nowhere",
            ]
        )
        == 2
    )
    assert "Run 'rnlib evaluate' first" in capsys.readouterr().err
    assert not (out / "x.safetensors").exists()
    other = save_weights(tmp_path / "other.safetensors", RelationNetwork(best.preset, clevr_v1()), clevr_v1())
    assert (
        main(["evaluate", "--weights", str(other), *data, "--device", "cpu", "--out", str(tmp_path / "foreign")]) == 0
    )
    foreign = f"val={tmp_path / 'foreign'}"
    assert main(["release", str(run), "--name", "x", *to, "--evaluation", foreign]) == 2
    assert "evaluates other weights" in capsys.readouterr().err
    assert not (out / "x.safetensors").exists()


def test_a_release_counts_what_its_start_had_seen(
    tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "weights"
    said = ["--trained-on", "toy", "--about", "A test."]
    quick = ["--set", "epochs=2", "lr=1e-3", "lr_gamma=1", "--vocabulary", "clevr-v1.0"]
    command = ["train", "--preset", "small-sd", "--clevr", str(tiny_clevr), "--device", "cpu", *quick]
    assert main([*command, "--out", str(tmp_path / "small"), *SMALL]) == 0
    assert main(["release", str(tmp_path / "small"), "--name", "small", "--out", str(out), *said]) == 0
    larger = [SMALL[0], "g_layers=[72,8,8,8]", "question_layer=1", *SMALL[2:]]
    start = ["--init-from", str(out / "small.safetensors")]
    assert main([*command, "--out", str(tmp_path / "large"), *start, *larger]) == 0
    assert main(["release", str(tmp_path / "large"), "--name", "large", "--out", str(out), *said]) == 0
    small, large = (json.loads((out / f"{name}.json").read_text()) for name in ("small", "large"))
    before, curve = (pd.read_csv(out / f"{name}.csv") for name in ("small", "large"))
    assert len(before) == small["provenance"]["epoch"]
    assert set(before["curve"]) == {"state descriptions, released small"}
    pd.testing.assert_frame_equal(curve.head(len(before)), before)
    own = TrainingFolder(tmp_path / "large").history()["questions"].head(large["provenance"]["epoch"])
    assert list(curve["questions"].iloc[len(before) :]) == list(before["questions"].iloc[-1] + own)
    assert curve["minutes"].is_monotonic_increasing
    assert small["sha256"] in (out / "large.md").read_text()
    capsys.readouterr()
    (out / "small.csv").write_text(",".join(before) + "\na,b,1,,50\n")
    assert main(["release", str(tmp_path / "large"), "--name", "x", "--out", str(out), *said]) == 2
    assert "small.csv is damaged: expected a value in every row" in capsys.readouterr().err
    assert main(["release", str(tmp_path / "large"), "--name", "x", "--out", str(tmp_path / "empty"), *said]) == 2
    assert "Release those first" in capsys.readouterr().err
    assert not (tmp_path / "empty" / "x.safetensors").exists()
