"""The command line does what it says, and answers bad input with one line, exit code 2 and nothing half-written."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from clevr_files import ClevrFiles

from rnlib.__main__ import COMMANDS, build_parser, main
from rnlib.clevr import clevr_v1
from rnlib.commands.options import Several, parse_set
from rnlib.fields import fields_of
from rnlib.model import Preset, RelationNetwork, load_preset, save_weights
from rnlib.retrieval import AttributeRecipe
from rnlib.training import Recipe, TrainingFolder
from rnlib.training.recipe import Stage

SMALL = ["--set", "g_layers=[8,8,8]", "f_layers=[8,8]", "lstm_hidden=8", "image_size=32"]
QUICK = ["--set", "epochs=1", "lr=1e-3", "lr_gamma=1", "--vocabulary", "clevr-v1.0", "--device", "cpu"]


def weights_file(folder: Path, preset: str = "original-sd") -> Path:
    small = {"g_layers": [8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8, "image_size": 32}
    network = RelationNetwork(load_preset(preset, small), clevr_v1())
    return save_weights(folder / f"{preset}.safetensors", network, clevr_v1())


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line that a command says to bad input."""
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


def all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        for command in action.choices.values() if isinstance(action, argparse._SubParsersAction) else ():
            yield from all_actions(command)


@pytest.mark.slow
def test_one_command_makes_its_data_trains_within_time_limits_and_evaluates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(run: Path, limit: str) -> list[str]:
        data = ["--synthetic", "12:6:1", "--cache", str(tmp_path / "cache")]
        fields = ["--set", "held_out=4", "group_questions=true", "batch_size=30"]
        command = ["train", "--preset", "ir-fp", "--out", str(run), *data, "--time-limit", limit]
        return [*command, *fields, *QUICK, *SMALL]

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(command(whole, "0")) == 0
    assert "accuracy on val" in capsys.readouterr().out
    assert main(command(parts, "1e-9")) == 0
    said = capsys.readouterr().out
    assert "is reached at epoch 1, step 1; the state is saved, run again to continue" in said
    assert "accuracy" not in said and (parts / "state" / "last.pt").stat().st_size < 1_000_000
    for _ in range(4):
        assert main(command(parts, "1e-9")) == 0
    first, second = (json.loads((run / "val" / "metrics.json").read_text()) for run in (whole, parts))
    assert first == second and first["n"] == 60  # six scenes of val, ten questions each
    weights = [(run / "weights" / "best.safetensors").read_bytes() for run in (whole, parts)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "either --clevr DIR or --synthetic"),
        (["--clevr", "x", "--synthetic", "1:1:1"], "either --clevr DIR or --synthetic"),
        (["--synthetic", "70000"], "expected --synthetic TRAIN:VAL:SEED"),
    ],
)
def test_training_data_comes_from_one_place(
    data: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, "train", "--preset", "ir-fp", "--out", tmp_path / "run", *data)
    assert not (tmp_path / "run").exists()


def test_a_profiles_file_gives_preset_and_recipe_and_options_override_it(
    tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = tmp_path / "02_train_state_descriptions.yaml"
    params.write_text(
        "run: mine\npreset: small-sd\ng_layers: [8, 8]\nf_layers: [8, 8]\ndropout: 0.1\nepochs: 7\nkeep: every:1\n"
        "vocabulary: clevr-v1.0\nlr: 2e-3\nweight_decay: 0\nforget_bias: 1.5\nheld_out: 4\nlstm_hidden: 16\n"
    )
    data = ["--clevr", str(tiny_clevr), "--device", "cpu"]
    fields = ["--set", "epochs=1", "lstm_hidden=8", "lr_schedule=cosine", "curriculum=[{objects: 9, epochs: 1}]"]
    assert main(["train", *fields, "--params", str(params), *data, "--out", str(tmp_path / "run")]) == 0
    config = json.loads((tmp_path / "run/run.json").read_text())
    assert config["preset"]["name"] == "small-sd" and config["preset"]["g_layers"] == [8, 8]
    assert (config["preset"]["dropout"], config["preset"]["lstm_hidden"]) == (0.1, 8)
    assert TrainingFolder(tmp_path / "run").weights("epoch_0001").is_file()
    recipe = config["recipe"]
    assert (recipe["epochs"], recipe["lr"], recipe["forget_bias"], recipe["held_out"]) == (1, 2e-3, 1.5, 4)
    assert recipe["lr_schedule"] == "cosine"
    assert [(stage["objects"], stage["epochs"], stage["patience"]) for stage in recipe["curriculum"]] == [(9, 1, 3)]
    assert recipe["lr_gamma"] == 1 and recipe["batch_size"] == 64  # the notebook's defaults
    capsys.readouterr()
    out = ("--out", tmp_path / "other")
    assert "neither" in refused(capsys, "train", *data, *out)
    assert "none.yaml, found none" in refused(capsys, "train", "--params", tmp_path / "none.yaml", *data, *out)
    params.write_text("preset: small-sd\ninit_question: medium-sd\n")
    assert "expected no init_question, found medium-sd" in refused(capsys, "train", "--params", params, *data, *out)
    params.write_text("a: [1\n")
    assert "is not valid YAML" in refused(capsys, "train", "--params", params, *data, *out)
    for twice in ("lr: 1e-3\nlr: 2e-3\n", "curriculum:\n  - {objects: 3, objects: 4}\n"):
        params.write_text(twice)
        assert "is given twice" in refused(capsys, "train", "--params", params, *data, *out)
    params.write_text("lr_schedul: cosine\n")
    assert "Did you mean 'lr_schedule'" in refused(capsys, "train", "--params", params, *data, *out)
    params.write_text("epoch: 3\n")
    assert "Did you mean 'epochs'" in refused(capsys, "train", "--params", params, *data, *out)


def test_an_option_of_several_values_given_again_takes_more() -> None:
    parser = build_parser("retrieve")
    basis = ["retrieve", "--clevr", "c", "--features", "a", "--out", "o"]
    assert parser.parse_args(basis).k == [10, 100, 1000]
    assert parser.parse_args([*basis, "--k", "1", "2", "--k", "3"]).k == [1, 2, 3]
    assert parser.parse_args([*basis, "--features", "b"]).features == [Path("a"), Path("b")]
    assert parser.parse_args(basis).k == [10, 100, 1000]
    several = [action for command in COMMANDS for action in all_actions(build_parser(command)) if action.nargs == "+"]
    assert len(several) > 10 and all(isinstance(action, Several) for action in several)  # no command has another kind


def test_train_evaluate_and_predict(tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, data = tmp_path / "run", ["--clevr", str(tiny_clevr)]
    assert main(["train", "--preset", "ir-fp", *data, "--out", str(run), *QUICK, *SMALL, "--keep", "every:1"]) == 0
    assert "best validation accuracy" in capsys.readouterr().out
    weights = str(TrainingFolder(run).weights("epoch_0001"))
    assert main(["evaluate", "--weights", weights, *data, "--out", str(tmp_path / "eval")]) == 0
    printed = capsys.readouterr().out
    metrics = json.loads((tmp_path / "eval/metrics.json").read_text())
    assert set(metrics) == {"accuracy", "loss", "n", "invalid", "by_type", "by_group", "by_answer_class"}
    assert metrics["n"] == 120 and f"{100 * metrics['accuracy']:.2f} % of 120 questions" in printed
    assert all(set(entry) == {"n", "accuracy"} for entry in metrics["by_type"].values())
    assert all(set(entry) == {"n", "accuracy", "invalid"} for entry in metrics["by_answer_class"].values())
    predictions = pd.read_parquet(tmp_path / "eval/predictions.parquet")
    assert len(predictions) == 120 and predictions["correct"].mean() == pytest.approx(metrics["accuracy"])
    assert main(["predict", "--weights", weights, *data, "--split", "test", "--out", str(tmp_path / "a.txt")]) == 0
    answers = (tmp_path / "a.txt").read_text().splitlines()
    assert len(answers) == 60 and set(answers) <= set(clevr_v1().answers)


def test_training_continues_with_the_same_command(
    tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--preset", "question-only", "--clevr", str(tiny_clevr), "--out", str(tmp_path / "run"), *QUICK]
    assert main(command) == 0
    assert main([*command, "--set", "epochs=2"]) == 0
    assert "continuing at epoch 2" in capsys.readouterr().out
    assert TrainingFolder(tmp_path / "run").history()["epoch"].tolist() == [1, 2]


def test_set_reaches_recipe_and_preset_and_the_last_value_counts(tiny_clevr: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fields = ["--set", "dropout=0.2", "question_layer=1", "aggregation_layer=null", "--set", "dropout=0.1"]
    command = ["train", "--preset", "original-sd", "--clevr", str(tiny_clevr), "--out", str(run)]
    assert main([*command, *QUICK, *SMALL, *fields]) == 0
    assert json.loads((run / "run.json").read_text())["recipe"]["lr"] == 1e-3
    preset = json.loads((run / "run.json").read_text())["preset"]
    assert (preset["dropout"], preset["question_layer"], preset["g_layers"]) == (0.1, 1, [8, 8, 8])


def test_synthesize_check_and_prepare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "clevr")
    sizes = ["--train", "3", "--val", "2", "--test", "1", "--images", "120x80", "--objects", "3-4"]
    assert main(["data", "synthesize", "--out", out, *sizes]) == 0
    assert main(["data", "check", "--clevr", out]) == 0
    assert "train           3        3" in capsys.readouterr().out
    assert main(["data", "prepare", "--clevr", out, "--size", "32", "--cache", str(tmp_path / "cache")]) == 0
    assert "val: " in capsys.readouterr().out
    assert len(list((tmp_path / "cache").rglob("images_32/images.npy"))) == 3


def test_import_weights(seed_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "ir.safetensors"
    assert main(["import-weights", str(seed_weights / "ir_fp_epoch_312.pth"), "--out", str(out)]) == 0
    assert "sha256 verified" in capsys.readouterr().out
    assert out.exists() and out.with_suffix(".json").exists()


def test_bad_input_is_one_line_and_leaves_nothing(
    tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.json").mkdir()
    out, sd, fp = tmp_path / "out", weights_file(tmp_path), weights_file(tmp_path, "ir-fp")
    evaluate = ("evaluate", "--weights", sd, "--out", out, "--clevr")
    train = ("train", "--clevr", tiny_clevr, "--out", out, *QUICK, "--preset")
    (tmp_path / "empty").mkdir()
    assert "found no such folder" in refused(capsys, *evaluate, tmp_path / "nowhere")
    assert "is not a CLEVR directory" in refused(capsys, *evaluate, tmp_path / "empty")
    message = refused(capsys, *evaluate, tiny_clevr, "--split", "test")
    assert "has no answers" in message and "predict --split test" in message
    assert "state descriptions" in refused(
        capsys, "predict", "--weights", sd, "--clevr", tiny_clevr, "--split", "test", "--out", out
    )
    assert "at least 1 question" in refused(capsys, *evaluate, tiny_clevr, "--batch-size", "-5")
    sd.with_suffix(".json").unlink()
    assert "has no original-sd.json beside it" in refused(capsys, *evaluate, tiny_clevr)
    fp.with_suffix(".json").rename(sd.with_suffix(".json"))
    assert "is not the file its JSON describes" in refused(capsys, *evaluate, tiny_clevr)
    assert "no preset 'orginal-fp'" in refused(capsys, *train, "orginal-fp")
    train_with = (*train, "original-sd", "--set")
    assert "parameter 'lr': expected float, found 'fast' (str)" in refused(capsys, *train_with, "lr=fast")
    assert "expected step or cosine, found 'cosinus'" in refused(capsys, *train_with, "lr_schedule=cosinus")
    assert "expected list of 2 int, found [8]" in refused(capsys, *train_with, "f_layers=[8]")
    assert "Expected `int` >= 1" in refused(capsys, *train_with, "batch_size=0")
    assert "Did you mean 'lr_gamma'?" in refused(capsys, *train_with, "rate_gamma=1")
    assert "found 'objects'" in refused(capsys, *train_with, "objects=none")  # that would be another preset
    assert "found 'keep'" in refused(capsys, *train_with, "keep=last")  # an option of its own
    assert "expected a value as in a YAML file" in refused(capsys, *train_with, "g_layers=[8")
    assert "every:N" in refused(capsys, *train, "original-sd", "--keep", "some")
    assert "expected --set NAME=VALUE" in refused(capsys, *train_with, "dropout")
    assert "expected the vocabulary" in refused(capsys, *train, "original-sd", "--vocabulary", "trian")
    assert "cannot read" in refused(capsys, *train, "original-sd", "--vocabulary", tmp_path / "folder.json")
    assert "expected as device one of auto, cpu, cuda; found 'tpu'" in refused(
        capsys, *train, "original-sd", "--device", "tpu"
    )
    assert "expected the file" in refused(capsys, *train, "original-sd", "--vocabulary", tmp_path / "no.json")
    (tmp_path / "file").write_text("")
    assert "cannot create the folder" in refused(capsys, *train, "original-sd", "--cache", tmp_path / "file" / "cache")
    assert "pictures like 480x320" in refused(capsys, "data", "synthesize", "--out", out, "--images", "big")
    assert "expected weights at" in refused(capsys, "import-weights", tmp_path / "no.pth", "--out", out)
    assert not out.exists()


def test_questions_outside_the_vocabulary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, weights = ClevrFiles(tmp_path / "clevr"), weights_file(tmp_path)
    command = ("evaluate", "--weights", weights, "--clevr", files.root, "--out", tmp_path / "out")
    files.questions[1]["question"] = "Are there any cyan thimgs?"
    files.write()
    message = refused(capsys, *command)
    assert "question number 1" in message and "unknown word 'thimgs'" in message and "things" in message
    assert not (tmp_path / "out").exists()


def test_an_answer_outside_the_vocabulary_of_the_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ClevrFiles(tmp_path / "clevr")
    ClevrFiles(tmp_path / "clevr", "train")
    files.questions[0]["answer"] = "9"
    files.write()
    run = tmp_path / "run"
    message = refused(
        capsys, "train", "--preset", "question-only", "--clevr", files.root, "--out", run, "--set", "epochs=1"
    )
    assert "answer '9'" in message and "not among the 4 answers" in message
    assert not run.exists()


def test_help_explains_every_command() -> None:
    for name in COMMANDS:
        parser = build_parser(name)
        commands = next(action for action in parser._actions if hasattr(action, "choices") and action.choices)
        assert list(commands.choices) == list(COMMANDS)
        command = commands.choices[name]
        module, _, function = command.get_default("run").partition(".") if name != "data" else ("data", "", "run_check")
        assert callable(getattr(importlib.import_module(f"rnlib.commands.{module}"), function))
        assert len(command._actions) > 1
        for action in command._actions:
            assert action.help or action.dest == "split" or action.choices or action.metavar == "N", (name, action.dest)


def test_help_lists_every_field_with_type_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    for command, structs in (("train", (Recipe, Preset)), ("train-attributes", (AttributeRecipe, Preset))):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        lines = capsys.readouterr().out.splitlines()
        for field in (name for struct in structs for name in struct.__struct_fields__):
            rows = [line for line in lines if line.startswith(f"  {field} ")]
            assert len(rows) == (0 if field in ("name", "objects") else 1), field
            assert all(len(row.split(maxsplit=3)) == 4 for row in rows)
        stage_rows = [sum(line.startswith(f"    {field} ") for line in lines) for field in Stage.__struct_fields__]
        assert stage_rows == [1 if command == "train" else 0] * len(stage_rows)
    assert fields_of(Recipe)["lr_schedule"][:3] == ("lr_schedule", "step or cosine", '"step"')
    assert fields_of(Preset)["aggregation_layer"][:3] == ("aggregation_layer", "int or null", "null")
    assert fields_of(Preset)["f_layers"][:3] == ("f_layers", "list of 2 int", "[256, 256]")


@pytest.mark.parametrize("recipe", [Recipe, AttributeRecipe])
def test_every_field_has_a_meaning_and_a_name_of_its_own(recipe: type[msgspec.Struct]) -> None:
    assert all(field.meaning for struct in (recipe, Preset, Stage) for field in fields_of(struct).values())
    assert not set(recipe.__struct_fields__) & set(Preset.__struct_fields__)
    options = {"preset", "params", "set", "vocabulary", "keep", "time_limit", "init_from", "init_conv", "device", "out"}
    assert not options & set(recipe.__struct_fields__ + Preset.__struct_fields__)


def test_values_of_set_are_read_as_in_yaml() -> None:
    given = [
        "lr=1e-3",
        "g_layers=[8, 8]",
        "curriculum=[{objects: 4, steps: 6}]",
        "keep=every:2",
        "held_out=",
        "augment=no",
        "x=a=b",
    ]
    read = {
        "lr": "1e-3",
        "g_layers": [8, 8],
        "curriculum": [{"objects": 4, "steps": 6}],
        "keep": "every:2",
        "held_out": "",
    }
    assert parse_set(given) == read | {"augment": False, "x": "a=b"}


def test_the_exit_code_reaches_the_shell(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnlib", "data", "check", "--clevr", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "error"})
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
