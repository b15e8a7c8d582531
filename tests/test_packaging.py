"""One list of packages, four files that use it: they must say the same. And the make targets are all there is."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import torchvision
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rnlib
from rnlib.__main__ import COMMANDS
from rnlib.lazy import names_of

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


def lock_entries() -> list[tuple[Requirement, list[str]]]:
    """The lock as (requirement, its sha256 digests)."""
    entries = []
    for block in re.split(r"(?<!\\)\n", LOCK):
        if block and not block.startswith("#"):
            requirement, *hashes = re.split(r"\s*\\\n\s*--hash=", block)
            entries.append((Requirement(requirement), hashes))
    return entries


def locked_versions(python: str) -> dict[str, str]:
    """Package name -> the version that the lock has for Linux on x86-64 with this Python, such as "3.11"."""
    environment = default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "implementation_version": f"{python}.9",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
    }
    versions: dict[str, str] = {}
    for requirement, _ in lock_entries():
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in versions, f"two versions of {requirement.name} for Python {python}"
            (specifier,) = requirement.specifier
            versions[requirement.name] = specifier.version
    return versions


def direct_dependencies() -> list[Requirement]:
    """What pyproject.toml asks for, with both extras, but not rnlib itself."""
    lines = PROJECT["dependencies"] + [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    return [requirement for requirement in map(Requirement, lines) if requirement.name != PROJECT["name"]]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lock_satisfies_pyproject(python):
    versions = locked_versions(python)
    wrong = [
        f"{requirement} (locked: {versions.get(canonicalize_name(requirement.name), 'none')})"
        for requirement in direct_dependencies()
        if versions.get(canonicalize_name(requirement.name)) not in requirement.specifier
    ]
    assert not wrong, f"requirements.lock is older than pyproject.toml: run 'make lock'. {wrong}"


def test_every_lock_entry_is_pinned_and_hashed():
    entries = lock_entries()
    assert len(entries) > 100
    for requirement, hashes in entries:
        (specifier,) = requirement.specifier
        assert specifier.operator in ("==", "==="), requirement
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


def test_lock_names_no_host():
    """Where packages come from is for each machine's pip settings to say."""
    assert "://" not in LOCK
    assert not re.search(r"^\s*--(?!hash)", LOCK, re.MULTILINE)


def test_lock_never_takes_a_local_build_of_torch():
    """torch===X refuses X+cpu, whose operators torchvision's wheel from the index does not find."""
    (torch_entry,) = [requirement for requirement, _ in lock_entries() if requirement.name == "torch"]
    (specifier,) = torch_entry.specifier
    assert specifier.operator == "==="
    makefile = (ROOT / "Makefile").read_text()
    assert f"\nTORCH := {specifier.version}\n" in makefile
    assert f"\nTORCHVISION := {locked_versions('3.11')['torchvision']}\n" in makefile


def test_torch_and_torchvision_work_together():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), iou_threshold=0.5)
    assert kept.tolist() == [0, 2]


def test_environment_yml_has_the_locked_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge"]
    *conda, pip = environment["dependencies"]
    (python,) = [line.removeprefix("python=") for line in conda if line.startswith("python=")]
    versions = locked_versions(python)
    wanted = [
        f"{requirement.name}==={versions['torch']}"
        if requirement.name == "torch"
        else f"{requirement.name}=={versions[canonicalize_name(requirement.name)]}"
        for requirement in direct_dependencies()
    ]
    wanted.append("-e .")
    lines = "\n".join(f"      - {line}" for line in wanted)
    assert pip["pip"] == wanted, f"environment.yml: expected these lines under pip:\n{lines}"


def test_citation_has_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == rnlib.__version__
    assert citation["license"] == PROJECT["license"]


def test_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    named = re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE)
    assert sorted(phony.split()) == sorted(named), "targets and .PHONY differ"
    shown = subprocess.run(["make", "-C", ROOT, "--no-print-directory"], capture_output=True, text=True, check=True)
    lines = dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", shown.stdout, re.MULTILINE))
    assert sorted(lines) == sorted(named), "a target without a '## description'"


def commands_elsewhere() -> list[tuple[str, str]]:
    """(file, command) for what the container and the workflow run, apart from the system's packages."""
    docker = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    commands = [("Dockerfile", line.removeprefix("RUN ")) for line in docker.splitlines() if line.startswith("RUN ")]
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands += [("test.yml", line) for step in steps for line in step.get("run", "").splitlines()]
    return [(file, command) for file, command in commands if not command.startswith("apt-get ")]


@pytest.mark.slow
def test_an_installation_has_the_weights_and_all_data_files(tmp_path: Path) -> None:
    """Installed for good, not in place, and used from another folder."""
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "rnlib", source / "rnlib", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([*pip, source], check=True)
    files = {path.relative_to(source) for path in (source / "rnlib").rglob("*") if path.is_file()}
    assert all((site / file).is_file() for file in files)
    program = (
        "import rnlib; from rnlib.model import load_weights; print(rnlib.__file__, load_weights('medium-sd').name)"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for command, wanted in (
        ([sys.executable, "-c", program], f"{site / 'rnlib/__init__.py'} medium-sd"),
        ([site / "bin/rnlib", "--version"], f"rnlib {rnlib.__version__}"),
    ):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == wanted


def test_container_and_workflow_only_call_make():
    commands = commands_elsewhere()
    assert {file for file, _ in commands} == {"Dockerfile", "test.yml"}
    for file, command in commands:
        assert command.startswith("make "), f"{file}: {command}"
    assert 'CMD ["make", "demo"]' in (ROOT / "Dockerfile").read_text()


def test_ci_run_is_executable_and_calls_make_test():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text().rstrip().endswith("make test")


def sanitize(text: str) -> str:
    """What nbval compares once tests/nbval_sanitize.cfg has been applied."""
    config = (ROOT / "tests" / "nbval_sanitize.cfg").read_text()
    for pattern, replacement in re.findall(r"^regex: (.*)$\n^replace: (.*)$", config, re.MULTILINE):
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<object at 0x7f3a5c0d2e10>", "<object at 0x55d0aabbccdd>"),
        ("took 12.3 s", "took 9 s"),
        ("3 minutes 20 seconds", "2 minutes 9 seconds"),
        ("12,345 questions/s", "987.6 questions/s"),
        ("1.2 GB/s", "800 MB/s"),
        ("saved to /home/ann/rn/outputs/smoke", "saved to /tmp/x/outputs"),
        ("2026-11-23T19:02:11.123456+00:00", "2025-01-01T00:00:00Z"),
        ("[00:12<01:30, 3.4it/s]", "[01:02<00:03, 12it/s]"),
    ],
)
def test_sanitizing_hides_what_may_differ(one, other):
    assert sanitize(one) == sanitize(other)


@pytest.mark.parametrize(
    "text",
    [
        "accuracy 0.955",
        "count 35,422 of 149,991 questions",
        "shape (64, 3, 128, 128)",
        "yes/no, more/fewer",
        "epoch 3 of 10: loss 2.1",
        "<td>4 spheres</td>",
        "outputs/smoke/metrics.json",
        "0xff",
    ],
)
def test_sanitizing_leaves_results_alone(text):
    assert sanitize(text) == text


def modules_of(program: str) -> set[str]:
    """The modules that a Python program has loaded at its end."""
    program += "\nimport sys; print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split("LOADED")[1].split())


def test_no_help_text_waits_for_a_heavy_package() -> None:
    """All of them in one process, apart from those of retrieval, which name what numba has compiled."""
    light = [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS if name not in RETRIEVAL)]
    loaded = modules_of(HELP.format(light))
    assert not loaded & {"torch", "torchvision", "scipy", "pandas", "matplotlib", "sklearn", "numba", "papermill"}
    loaded = modules_of(HELP.format([[name, "--help"] for name in RETRIEVAL]))
    assert not loaded & {"torch", "torchvision", "pandas", "matplotlib", "sklearn", "papermill"}


def test_training_and_evaluation_begin_without_what_figures_and_statistics_need() -> None:
    loaded = modules_of("import rnlib.commands.training, rnlib.commands.weights")
    assert "torch" in loaded and not loaded & {"matplotlib", "seaborn", "torchvision", "sklearn", "numba", "papermill"}
    assert not loaded & {"scipy.stats", "scipy.spatial", "scipy.optimize"}


def test_a_training_says_its_first_line_before_torch_loads_its_compiler(tiny_clevr, tmp_path) -> None:
    """The compiler takes as long to import as torch itself; an optimizer imports it."""
    data = ["--clevr", str(tiny_clevr), "--vocabulary", "clevr-v1.0", "--cache", str(tmp_path / "cache")]
    loaded = modules_of(FIRST_LINE.format(["train", "--preset", "small-sd", *data, "--out", str(tmp_path / "run")]))
    assert "torch" in loaded and not loaded & {"torch._dynamo", "sympy", "matplotlib", "torchvision", "scipy.stats"}


RETRIEVAL = ("retrieve", "train-attributes")
FIRST_LINE = """
import os, sys, rnlib.__main__ as program
def write(text):
    if "computing in" not in text:  # what is said of the set comes before
        return
    os.write(1, ("LOADED " + " ".join(sys.modules)).encode())
    os._exit(0)
sys.stdout.write = write
program.main({})
"""
HELP = """
import contextlib, io, rnlib.__main__ as program
for arguments in {}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        program.main(arguments)
"""


def test_a_lazy_name_is_no_module() -> None:
    """Python would find the module first: see rnlib/lazy.py."""
    for file in (ROOT / "rnlib").glob("*/__init__.py"):
        if "names_of(__file__)" in file.read_text():
            names = names_of(str(file))[2]
            assert names and not set(names) & {path.stem for path in file.parent.glob("*.py")}


def test_training_needs_no_notebook_packages() -> None:
    """A GPU machine without a network gets few packages: docs/gpu.md names them."""
    loaded = modules_of("import rnlib.commands.parsers, rnlib.commands.training, rnlib.synthesis.generate")
    notebooks = {"IPython", "papermill", "nbformat", "nbclient", "nbconvert", "ipywidgets", "seaborn"}
    assert not loaded & (notebooks | {"sklearn", "numba"})
    assert {"torch", "msgspec", "yaml"} <= loaded
