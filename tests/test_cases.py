"""Sets as people have them, through the command line: read, or refused by check and by evaluate with the same words."""

from pathlib import Path

import pytest

from rnlib.__main__ import main


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
    assert code == 0 and "accuracy 96.67 % of 120 questions" in text
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
        ("more_than_255_words", r"unknown word 'stand'"),
    ],
)
def test_what_a_network_cannot_read_is_one_clear_error(
    clevr_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, message: str
) -> None:
    assert run(capsys, "data", "check", "--clevr", clevr_cases / case)[0] == 0
    code, text = run(
        capsys, "evaluate", "--weights", "medium-sd", "--clevr", clevr_cases / case, "--out", tmp_path / "out"
    )
    assert code == 2 and message in text.splitlines()[-1]
