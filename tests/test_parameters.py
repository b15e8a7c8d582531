"""A notebook's parameters: what may stand in the cell, what may be given for it, and the profiles' files."""

import json
import math
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnlib.errors import ConfigError
from rnlib.runs import parameters_table, profile_parameters, profiles, project_root, validate_parameters
from rnlib.runs.parameters import Parameter, check_parameters, declared_parameters

CELL = """\
run: str = "smoke"  # name of the run
epochs: int = 2  # passes over the training questions
rate: float = 1e-4  # learning rate, per step
clevr: str | None = None  # a CLEVR directory; none: synthetic # data
seeds: list[int] = [1, 2]  # seeds
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "params" / "demo").mkdir(parents=True)
    monkeypatch.setenv("RNLIB_ROOT", str(tmp_path))
    write(tmp_path / "notebooks" / "01_first.ipynb", CELL)
    return tmp_path


def write(path: Path, source: str, tags: tuple[str, ...] = ("parameters",)) -> Path:
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title"), cell]), path)
    return path


def one(kind: str, default: Any = None) -> list[Parameter]:
    return [Parameter(name="value", type=kind, default=default, help="…")]


# What a cell may declare


def test_the_cell_is_read_with_types_defaults_and_help(project: Path) -> None:
    declared = declared_parameters(project / "notebooks" / "01_first.ipynb")
    assert [p.name for p in declared] == ["run", "epochs", "rate", "clevr", "seeds"]
    assert [p.default for p in declared] == ["smoke", 2, 1e-4, None, [1, 2]]
    assert declared[3].type == "str | None"
    assert declared[3].help == "a CLEVR directory; none: synthetic # data"
    assert parameters_table("01_first").loc["rate", "help"] == "learning rate, per step"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("epochs = 2  # passes", "something else"),
        ("import os  # why", "something else"),
        ("epochs: int = 2", "no help text"),
        ("epochs: int = 1 + 1  # passes", "no literal value"),
        ("path: str = str(1)  # where", "no literal value"),
        ("epochs: int  # passes", "no literal value"),
        ("path: Path = 'x'  # where", "the type Path"),
        ("epochs: int = 'two'  # passes", "a default that does not fit"),
        ("epochs: int = None  # passes", "a default that does not fit"),
        ("rate: float = 1e999  # infinite", "a default that does not fit"),
        ("run: str = 'x'  # again", "a second time"),
        ("many: list[int] = [\n  1]  # numbers", "more than one line"),
        ("epochs: int = = 2  # passes", "a syntax error"),
    ],
)
def test_anything_else_in_the_cell_is_refused_naming_the_line(tmp_path: Path, line: str, found: str) -> None:
    path = write(tmp_path / "01_first.ipynb", 'run: str = "smoke"  # name of the run\n\n' + line)
    with pytest.raises(ConfigError, match=r"01_first\.ipynb, parameters cell, line 3") as error:
        declared_parameters(path)
    assert found in str(error.value)
    assert line.splitlines()[0] in str(error.value) or repr(line) in str(error.value)


@pytest.mark.parametrize("tags", [(), ("hide",)])
def test_a_notebook_without_the_tag_is_refused(tmp_path: Path, tags: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="tagged 'parameters', found no cell"):
        declared_parameters(write(tmp_path / "01_first.ipynb", CELL, tags))


def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "01_first.ipynb").write_text(json.dumps({"nbformat": 4}))
    with pytest.raises(ConfigError, match="to be a Jupyter notebook"):
        declared_parameters(tmp_path / "01_first.ipynb")


# What may be given


@pytest.mark.parametrize(
    ("kind", "given_value", "expected"),
    [
        ("float", "1e-4", 1e-4),  # how YAML reads it
        ("float", 3, 3.0),
        ("int", "12", 12),
        ("int", 12.0, 12),
        ("int", "1e5", 100_000),
        ("bool", "True", True),
        ("bool", "false", False),
        ("str", "", ""),
        ("str | None", None, None),
        ("int | None", "7", 7),
        ("list[float]", [1, "2e-3"], [1.0, 2e-3]),
        ("list[str]", [], []),
        ("list[str]", "one.safetensors", ["one.safetensors"]),  # papermill -p weights FILE
        ("list[int]", 1, [1]),
        ("dict", {"a": [1, None]}, {"a": [1, None]}),
    ],
)
def test_values_are_converted_where_that_is_unambiguous(kind: str, given_value: Any, expected: Any) -> None:
    value = check_parameters(one(kind), {"value": given_value})["value"]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("kind", "given_value"),
    [
        ("int", 1.5),
        ("int", "1.5"),
        ("int", True),
        ("int", None),
        ("int", math.inf),
        ("int", "twelve"),
        ("float", "fast"),
        ("float", True),
        ("float", math.nan),
        ("float", "inf"),
        ("bool", 1),
        ("bool", "yes"),
        ("str", 5),
        ("str", None),
        ("list[int]", "1,2"),
        ("list[int]", 1.5),
        ("list[int]", {"a": 1}),
        ("list[str]", None),
        ("list[str]", [1]),
        ("dict", [1]),
        ("dict", {1: "not a JSON key"}),
    ],
)
def test_other_values_are_refused_naming_parameter_expected_and_found(kind: str, given_value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        check_parameters(one(kind), {"value": given_value})
    assert "'value" in str(error.value)
    assert type(given_value).__name__ in str(error.value) or type(given_value[0]).__name__ in str(error.value)


def test_a_wrong_item_of_a_list_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'value\[1\]': expected int, found 'x' \(str\)"):
        check_parameters(one("list[int]"), {"value": [1, "x"]})


def test_an_unknown_name_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"found 'valu'. Did you mean 'value'\?"):
        check_parameters(one("int"), {"valu": 1})


def test_what_is_not_given_keeps_its_default() -> None:
    assert check_parameters(one("int", 5), {}) == {"value": 5}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_survives_yaml_text(number: float) -> None:
    assert check_parameters(one("float"), {"value": repr(number)}) == {"value": number}


@given(st.integers())
def test_every_integer_survives_yaml_text(number: int) -> None:
    assert check_parameters(one("int"), {"value": str(number)}) == {"value": number}


# The second cell of a notebook


def test_validation_writes_the_converted_values_back(project: Path) -> None:
    namespace = {"run": "x", "epochs": "3", "rate": 1, "clevr": None, "seeds": [1], "np": object()}
    values = validate_parameters("01_first", namespace)
    assert values == {"run": "x", "epochs": 3, "rate": 1.0, "clevr": None, "seeds": [1]}
    assert namespace["epochs"] == 3
    assert type(namespace["rate"]) is float


def test_a_name_that_papermill_injected_must_be_declared(project: Path) -> None:
    namespace: dict[str, Any] = {"run": "x", "epochs": 2, "rate": 1.0, "clevr": None, "seeds": []}
    namespace["In"] = ["", CELL, '# Parameters\nrun = "x"\nepoch = 9\n', "other = 1"]
    with pytest.raises(ConfigError, match=r"found 'epoch'. Did you mean 'epochs'\?"):
        validate_parameters("01_first", namespace)


def test_a_missing_variable_is_named(project: Path) -> None:
    with pytest.raises(ConfigError, match="expected the parameter 'run' of 01_first"):
        validate_parameters("01_first", {})


# Profiles


def test_profiles_are_read_and_default_to_nothing(project: Path) -> None:
    (project / "params" / "demo" / "01_first.yaml").write_text("epochs: 3\nrate: 1e-4\n")
    write(project / "notebooks" / "02_second.ipynb", CELL)
    assert profiles() == ["demo"]
    assert profile_parameters("demo", "01_first") == {"epochs": 3, "rate": "1e-4"}
    assert profile_parameters("demo", "02") == {}


def test_an_unknown_profile_is_refused_with_the_known_ones(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"found 'dem'. Did you mean 'demo'\? The profiles are: demo"):
        profile_parameters("dem", "01_first")


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "just text\n", "a: [1\n", "1: 2\n"])
def test_a_profile_file_that_is_no_mapping_is_refused(project: Path, text: str) -> None:
    (project / "params" / "demo" / "01_first.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"01_first\.yaml"):
        profile_parameters("demo", "01_first")


def test_a_profile_file_of_no_notebook_is_refused(project: Path) -> None:
    (project / "params" / "demo" / "01_frist.yaml").write_text("epochs: 3\n")
    with pytest.raises(ConfigError, match=r"found 01_frist\.yaml"):
        profile_parameters("demo", "01_first")


# Where the project is


def test_a_folder_without_notebooks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNLIB_ROOT", str(tmp_path))
    with pytest.raises(ConfigError, match="found no notebooks and no params"):
        project_root()


def test_the_project_is_found_from_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RNLIB_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert (project_root() / "rnlib" / "runs").is_dir()


@pytest.mark.parametrize("name", ["first", "0", "", "01_first.ipynb", "../01_first"])
def test_a_name_that_fits_no_single_notebook_is_refused(project: Path, name: str) -> None:
    write(project / "notebooks" / "02_second.ipynb", CELL)
    with pytest.raises(ConfigError, match="expected the name of one notebook"):
        validate_parameters(name, {})
