"""features, retrieve and train-attributes from the command line; wrong input is one line."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from clevr_files import ClevrFiles
from test_commands import refused

from rnlib.__main__ import main
from rnlib.clevr import clevr_v1
from rnlib.model import RelationNetwork, load_preset, save_weights
from rnlib.retrieval import load_features

SMALL = {"image_size": 32, "conv_channels": [4, 4, 4], "g_layers": [8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8}


def weights_file(folder: Path, preset: str) -> Path:
    return save_weights(
        folder / f"{preset}.safetensors", RelationNetwork(load_preset(preset, SMALL), clevr_v1()), clevr_v1()
    )


def test_the_classifier_stops_at_its_time_limit_and_continues(
    tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--set", "image_size=32", "conv_channels=[4,4,4]", "epochs=1", "share=1", "batch_size=8"]
    command = [
        "train-attributes",
        "--clevr",
        str(tiny_clevr),
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
        *small,
    ]
    assert main([*command, "--time-limit", "1e-9"]) == 0
    said = capsys.readouterr().out
    assert "the time limit of 1e-09 minutes is reached at epoch 1, step 1;" in said and "best" not in said
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "continuing at epoch 1, step 1" in said and "best: mean average precision" in said


@pytest.mark.slow
def test_features_of_weights_and_of_the_baseline_are_ranked(
    tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--clevr", str(tiny_clevr)]
    small = ["--set", "image_size=32", "conv_channels=[4,4,4]", "epochs=1", "share=1"]
    assert main(["train-attributes", *data, "--out", str(tmp_path / "cnn"), *small, "--device", "cpu"]) == 0
    assert "best: mean average precision" in capsys.readouterr().out
    files = []
    for name, weights in (
        ("rn", weights_file(tmp_path, "ir-fp")),
        ("sd", weights_file(tmp_path, "ir-sd")),
        ("cnn", tmp_path / "cnn/weights/best.safetensors"),
    ):
        files.append(str(tmp_path / f"features_{name}.safetensors"))
        assert main(["features", "--weights", str(weights), *data, "--out", files[-1], "--device", "cpu"]) == 0
        assert "of 12 pictures" in capsys.readouterr().out
    assert list(load_features(files[0]).vectors) == [
        "conv mean", "conv max", "conv flat", "pairs 2 mean", "pairs 2 max", "random",
    ]  # fmt: skip
    command = ["retrieve", "--features", *files, *data, "--queries", "4", "--k", "2", "5", "--out", str(tmp_path / "r")]
    (tmp_path / "again").mkdir()
    files.append(shutil.copy(files[0], tmp_path / "again"))  # a file of the same name hides none
    assert main([*command[:2], *files, *command[5:]]) == 0
    assert f"{tmp_path}/again/features_rn: conv mean" in capsys.readouterr().out
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "4 queries to 12 pictures" in printed and "attributes flat" in printed
    table = pd.read_csv(tmp_path / "r/rankings.csv")
    assert set(table["truth"]) == {"canonical soft", "literal soft", "node soft"}
    assert {"features_rn: pairs 2 mean", "features_sd: pairs 2 mean", "conv flat"} <= set(table["feature"])
    assert len(table) == 3 * 2 * (6 + 4 + 3)  # of state descriptions: mean, max and sum over pairs, and random
    assert {"spearman mean", "kendall half width", "ndcg@5 mean", "recall@5 mean", "queries"} <= set(table.columns)
    curves = pd.read_csv(tmp_path / "r/recall_curves.csv")
    assert list(curves.columns) == ["truth", "feature", "1", "2", "3", "4", "5"]
    assert len(pd.read_csv(tmp_path / "r/per_query.csv")) == 4 * len(table)


def test_wrong_input_is_one_line_and_leaves_nothing(
    tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, made, out = weights_file(tmp_path, "ir-fp"), tmp_path / "made.safetensors", tmp_path / "out"
    features = ("features", "--weights", weights, "--clevr", tiny_clevr, "--device", "cpu", "--out")
    assert "found 3. In later layers" in refused(capsys, *features, made, "--layer", "1", "3")
    assert "--images from 1 to 12" in refused(capsys, *features, made, "--images", "13")
    assert "NAME.safetensors, found made.npz" in refused(capsys, *features, tmp_path / "made.npz")
    assert not made.exists()
    without_pairs = weights_file(tmp_path, "cnn-lstm")
    assert (
        main(["features", "--weights", str(without_pairs), *map(str, features[3:]), str(tmp_path / "c.safetensors")])
        == 0
    )
    assert list(load_features(tmp_path / "c.safetensors").vectors) == ["conv mean", "conv max", "conv flat", "random"]
    assert main([*map(str, features), str(made)]) == 0
    capsys.readouterr()
    other = ClevrFiles(tmp_path / "other")
    retrieve = ("retrieve", "--features", made, "--out", out, "--queries", "4", "--clevr")
    assert "features of other pictures" in refused(capsys, *retrieve, other.root)
    assert "expected 1 to 11 neighbours" in refused(capsys, *retrieve, tiny_clevr)
    assert "neighbours, for the database" in refused(capsys, *retrieve, tiny_clevr, "--k", "0", "2")
    assert "--database of at least 3" in refused(capsys, *retrieve, tiny_clevr, "--k", "1", "--database", "2")
    assert "--queries from 2 to 12" in refused(capsys, *retrieve, tiny_clevr, "--k", "2", "--queries", "13")
    assert "found no such file" in refused(
        capsys, "retrieve", "--features", tmp_path / "no.safetensors", "--out", out, "--clevr", tiny_clevr
    )
    attributes = ("train-attributes", "--clevr", tiny_clevr, "--out", out, "--set", "image_size=32")
    assert "'share': expected float, found 2" in refused(capsys, *attributes, "share=2")
    assert "a preset that reads pixels" in refused(capsys, *attributes, "share=1", "--preset", "ir-sd")
    assert "a field of the classifier's recipe or of the preset" in refused(capsys, *attributes, "lr_gamma=2")
    assert "pictures that all have the same ones" in refused(capsys, *attributes)  # 5 % of 12 pictures
    assert not out.exists()
