"""Commands killed (SIGKILL) at random moments and run again, until they end: their results against those of one run.

    python benchmarks/kills.py KILLS [COMMAND ...]   of data-synthesize, data-prepare, train, evaluate and run (or all)

Each command runs in a process forked from this one, which has torch loaded: so a kill meets the work, not its start.
Where a kill came first, the next process gets the same command and folder; where the command ended, its results are
compared and it begins anew. Prints a line per command; the exit code is 1 where results differ or something is left.
"""

import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import pandas as pd
import torch

from rnlib import __main__ as rnlib

SIZES = "--train 24 --val 12 --seed 1 --objects 3-5 --workers 1 --images"
FIELDS = (
    "g_layers=[8,8,8] f_layers=[8,8] lstm_hidden=8 word_embedding=4 "
    "epochs=3 lr=1e-3 lr_gamma=1 batch_size=40 log_every=2"
)
COMMANDS = {
    "data-synthesize": f"data synthesize --out out {SIZES} 48x32",
    "data-prepare": "data prepare --clevr set --size 32 --workers 1 --cache out",
    "train": (
        "train --preset ir-sd --clevr set --out out --checkpoint-minutes 0 --keep every:1 --vocabulary clevr-v1.0 "
        f"--set {FIELDS}"
    ),
    "evaluate": "evaluate --weights trained/weights/best.safetensors --clevr set --out out --batch-size 16",
    "run": "run demo --run out",
}
NOTEBOOK = """
from rnlib.runs import RunFolder, require, validate_parameters
parameters = validate_parameters("{name}", globals())
folder = RunFolder.open(run, "{name}")
{work}
folder.finish(parameters)
"""
WORK = {
    "01_first": "folder.save_json('numbers', [n * n for n in range(1000)])",
    "02_second": (
        "from rnlib.files import read_json\n"
        "folder.save_json('sum', sum(read_json(require(folder, '01_first').path('numbers.json'))))"
    ),
}


def results(folder: Path) -> dict[str, object]:
    """What a command made, without times and what else tells of the machine."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or path.name in (".lock", "progress.json") or path.suffix in (".ipynb", ".html", ".pt"):
            continue
        if path.name == "manifest.json":
            content = json.loads(path.read_text())
            found[name] = {key: value for key, value in content.items() if key != "source"}
        elif path.suffix == ".json" and path.name in ("provenance.json", "plan.json", "done.json"):
            found[name] = "there"
        elif path.parent.name == "weights" and path.suffix == ".json":
            found[name] = json.loads(path.read_text())["metrics"]
        elif path.name == "history.csv":
            table = pd.read_csv(path)
            found[name] = table.drop(columns=[column for column in table if "second" in column]).to_csv()
        else:
            found[name] = path.read_bytes()
    return found


def start(line: str) -> int:
    """Run a command in a forked process; returns its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
        os.dup2(null.fileno(), 1)
        try:
            code = rnlib.main(line.split())
        finally:
            os._exit(code)


def end(child: int) -> int:
    """The exit code of a forked process, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_often(name: str, kills: int, random: Random) -> bool:
    """Kill a command so many times; whether its results were those of an uninterrupted run every time."""
    line, out = COMMANDS[name], Path("project/outputs/out" if name == "run" else "out")
    shutil.rmtree(out, ignore_errors=True)
    begin = time.monotonic()
    assert end(start(line)) == 0, line
    seconds = time.monotonic() - begin
    expected = results(out)
    done, runs, faults = 0, 0, []
    while done < kills or out.exists():
        child = start(line)
        runs += 1
        if done < kills:
            time.sleep(random.uniform(0, 1.1 * seconds))
            os.kill(child, signal.SIGKILL)
        code = end(child)
        if code == -signal.SIGKILL:
            done += 1
        elif code == 0:
            found = results(out)
            faults += [key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)]
            shutil.rmtree(out)
        else:
            faults.append(f"exit code {code}")
            break
    text = f"differ or are left: {', '.join(sorted(set(faults)))}" if faults else "as uninterrupted every time"
    print(f"{name}: {done} kills in {runs} runs of {seconds:.1f} s; {len(expected)} results {text}", flush=True)
    return not faults


def make_project() -> None:
    """Two notebooks, of which the second reads what the first made."""
    import nbformat

    for folder in ("notebooks", "params/demo"):
        Path("project", folder).mkdir(parents=True)
    for name, work in WORK.items():
        texts = [
            '# IPython takes a cell of one line for %run\nrun: str = "demo"  # name of the run',
            NOTEBOOK.format(name=name, work=work),
        ]
        cells = [nbformat.v4.new_code_cell(text) for text in texts]
        cells[0].metadata["tags"] = ["parameters"]
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, Path("project/notebooks", f"{name}.ipynb"))


def kill_commands(kills: int, names: list[str], seed: int = 1) -> bool:
    """Kill each command so many times, in a temporary folder; whether all went well."""
    torch.set_num_threads(1)
    for module in ("data", "training", "weights", "notebooks"):
        importlib.import_module(f"rnlib.commands.{module}")
    with tempfile.TemporaryDirectory(prefix="rnlib-kills-") as folder, contextlib.chdir(folder):
        os.environ.update(RNLIB_CACHE=f"{folder}/cache", RNLIB_ROOT=f"{folder}/project")
        make_project()
        with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
            assert rnlib.main(f"data synthesize --out set {SIZES} 48x32".split()) == 0
            train = COMMANDS["train"].replace("--out out", "--out trained")
            assert end(start(train)) == 0
        random = Random(seed)
        return all([kill_often(name, kills, random) for name in names])


def main() -> None:
    sys.exit(not kill_commands(int(sys.argv[1]), sys.argv[2:] or list(COMMANDS)))


if __name__ == "__main__":
    main()
