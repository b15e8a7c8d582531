"""Sets as people have them, through the command line: read, or refused by check and by evaluate with the same words."""

import re
from pathlib import Path

import pytest
from clevr_files import ClevrFiles, question

from rnlib.__main__ import main
from rnlib.files import read_json
from rnlib.synthesis import synthesize
from rnlib.training import TrainingFolder, plot_steps


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    try:
        code = main([str(one) for one in arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    printed = capsys.readouterr()
    return code or 0, printed.out + printed.err


@pytest.mark.parametrize(
    ("case", "split"),
    [
        ("generator_output", "new"),
        ("320x240", "val"),
        ("unknown_templates", "val"),
        ("no_programs", "val"),
        ("jpg", "val"),
    ],
)
def test_a_set_in_another_form_is_checked_and_evaluated(
    clevr_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, split: str
) -> None:
    code, text = run(capsys, "data", "check", "--clevr", clevr_cases / case)
    assert code == 0 and text.splitlines()[1].split()[:4] == [split, "12", "12", "120"]
    out = tmp_path / "out"
    code, text = run(
        capsys, "evaluate", "--weights", "medium-sd", "--clevr", clevr_cases / case, "--split", split, "--out", out
    )
    assert code == 0 and "accuracy 99.17 % of 120 questions" in text
    code, text = run(capsys, "data", "prepare", "--clevr", clevr_cases / case, "--size", 32)
    assert code == 0 and "120 questions, 12 pictures" in text


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("unknown_function", "the program of question number 0 (from 0) ends in 'subtraction'"),
        ("answer_12", "question number 0 (from 0) has the answer '12'"),
    ],
)
def test_check_names_the_fault_that_evaluate_names(
    clevr_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, message: str
) -> None:
    checked = run(capsys, "data", "check", "--clevr", clevr_cases / case)
    evaluated = run(
        capsys, "evaluate", "--weights", "medium-sd", "--clevr", clevr_cases / case, "--out", tmp_path / "out"
    )
    assert checked[0] == evaluated[0] == 2
    assert checked[1].splitlines()[-1] == evaluated[1].splitlines()[-1]
    assert message in checked[1] and "CLEVR_val_questions.json" in checked[1]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("no_scenes", r"CLEVR_val_scenes.json does not exist"),
        ("scene_of_20", r"CLEVR_val_scenes.json: the scene of CLEVR_val_000004.png has 20 objects"),
        ("more_than_255_words", r"120 of 120 questions in .*The first is question number 0, .*unknown word 'stand'"),
    ],
)
def test_what_a_network_cannot_read_is_one_clear_error(
    clevr_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, message: str
) -> None:
    assert run(capsys, "data", "check", "--clevr", clevr_cases / case)[0] == 0
    code, text = run(
        capsys, "evaluate", "--weights", "medium-sd", "--clevr", clevr_cases / case, "--out", tmp_path / "out"
    )
    assert code == 2 and re.search(message, text.splitlines()[-1])


def test_cogent_is_trained_on_trainA_and_evaluated_on_valA_and_valB(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cogent = synthesize(tmp_path / "cogent", train=12, val=4, test=0, cogent=True, images=None, verbose=False)
    small = ["--set", "epochs=1", "lstm_hidden=8", "g_layers=[8, 8]", "f_layers=[8, 8]"]
    train = ["train", "--preset", "small-sd", "--clevr", cogent, "--vocabulary", "clevr-v1.0"]
    assert run(capsys, *train, "--out", tmp_path / "run", *small)[0] == 0
    weights = tmp_path / "run" / "weights" / "best.safetensors"
    for split in ("valA", "valB"):
        out = tmp_path / split
        code, text = run(capsys, "evaluate", "--weights", weights, "--clevr", cogent, "--split", split, "--out", out)
        assert code == 0 and f"of 40 questions of {split}; details" in text
    recorded = read_json(tmp_path / "run" / "run.json")["data"]
    named = ["--train-split", "valB", "--val-split", "trainA"]
    assert run(capsys, *train, "--out", tmp_path / "other", *named, *small)[0] == 0
    assert read_json(tmp_path / "other" / "run.json")["data"]["val"] == recorded["train"]


def test_a_set_of_one_split_is_trained_on_when_scenes_are_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ClevrFiles(tmp_path / "set", split="new")
    train = ["train", "--preset", "small-sd", "--clevr", tmp_path / "set", "--vocabulary", "clevr-v1.0"]
    train += ["--out", tmp_path / "run", "--set", "epochs=1"]
    code, text = run(capsys, *train)
    assert code == 2 and "found 'new' alone" in text and "--set held_out=N" in text
    code, text = run(capsys, *train, "held_out=2000")
    assert code == 2 and "expected to hold out less than all" in text and "(--set held_out=N)" in text
    assert run(capsys, *train, "held_out=1")[0] == 0


@pytest.fixture
def with_elephants(tmp_path: Path) -> ClevrFiles:
    """Two questions of six have words that CLEVR does not."""
    files = ClevrFiles(tmp_path / "set")
    files.questions += [
        question(1, "How many elephants are there?", "0", "count"),
        question(2, "Are there any elephants or giraffes?", "no", "exist"),
    ]
    files.write()
    return files


def test_unknown_words_are_told_before_a_picture_is_decoded(
    with_elephants: ClevrFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(3):
        with_elephants.picture(index).write_bytes(b"not a picture")
    arguments = ["--weights", "detect-fp", "--clevr", with_elephants.root, "--cache", tmp_path / "cache"]
    code, text = run(capsys, "evaluate", *arguments, "--out", tmp_path / "out")
    assert code == 2 and not (tmp_path / "out").exists()
    assert "2 of 6 questions in" in text and "(words unknown: 2)" in text
    assert "question number 4, 'How many elephants are there?': unknown word 'elephants'" in text
    assert "--unknown-words skip" in text and "--vocabulary clevr-v1.0" not in text


def test_questions_with_unknown_words_are_left_out_on_request_and_the_results_say_so(
    with_elephants: ClevrFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--weights", "medium-sd", "--clevr", with_elephants.root, "--out", tmp_path / "out"]
    code, text = run(capsys, "evaluate", *arguments, "--unknown-words", "skip")
    assert code == 0 and "of 4 questions of val, 2 questions with unknown words left out" in text
    assert "2 questions" in read_json(tmp_path / "out" / "provenance.json")["split"]
    arguments[-1] = tmp_path / "answers.txt"
    code, text = run(capsys, "predict", *arguments, "--unknown-words", "skip")
    lines = (tmp_path / "answers.txt").read_text().split("\n")
    assert code == 0 and "the lines of questions left out (2) are empty" in text
    assert [bool(line) for line in lines] == [True] * 4 + [False] * 3  # numbers 4 and 5, and what follows the last line
    train = ["train", "--preset", "small-sd", "--clevr", with_elephants.root, "--vocabulary", "clevr-v1.0"]
    train += ["--out", tmp_path / "run", "--set", "epochs=1", "held_out=1"]
    assert run(capsys, *train)[0] == 2
    assert run(capsys, *train[:-3], "--unknown-words", "skip", *train[-3:])[0] == 0


def test_the_vocabulary_of_clevr_is_advised_where_it_has_the_words_and_then_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ClevrFiles(tmp_path / "set", split="train")
    more = ClevrFiles(tmp_path / "set")
    more.questions.append(question(0, "Is there a small green metal cylinder?", "no", "exist"))
    more.write()
    train = ["train", "--preset", "small-sd", "--clevr", files.root, "--set", "epochs=1"]
    code, text = run(capsys, *train, "--out", tmp_path / "run")
    assert code == 2 and "(train --vocabulary clevr-v1.0)" in text
    assert run(capsys, *train, "--out", tmp_path / "run", "--vocabulary", "clevr-v1.0")[0] == 0


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ClevrFiles(tmp_path / "set", split="mine")
    evaluate = ["evaluate", "--weights", "medium-sd", "--clevr", files.root, "--out", tmp_path / "out"]
    code, text = run(capsys, *evaluate, "--split", "val")
    assert code == 2 and "It has: mine. Name one of these: --split NAME" in text
    assert run(capsys, *evaluate, "--split", "mine")[0] == 0


def test_a_training_of_few_steps_has_an_empty_table_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ClevrFiles(tmp_path / "set", split="new")
    train = ["train", "--preset", "small-sd", "--clevr", files.root, "--out", tmp_path / "run", "--vocabulary"]
    assert run(capsys, *train, "clevr-v1.0", "--set", "epochs=1", "held_out=1")[0] == 0
    steps = TrainingFolder(tmp_path / "run").steps()
    assert not len(steps) and "train_loss" in steps
    plot_steps(steps, "no steps").canvas.draw()
