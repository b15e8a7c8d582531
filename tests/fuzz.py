"""Commands with spoilt files and options, each in a process of its own, forked from one that has torch loaded.

    python tests/fuzz.py SEED FIRST LAST     the cases of these numbers; prints those that fail
    python tests/fuzz.py SEED NUMBER         one of them, with all that it prints; its folder stays

A case fails where the exit code is neither 0 nor 2, where 2 comes with anything but one line `error: ...` on stderr,
and where something half-written is left: with 2 all files are as before, with 0 the command's results are there.
"""

import contextlib
import gc
import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from clevr_files import ClevrFiles
from mutations import change_file, change_option
from PIL import Image

from rnlib import provenance
from rnlib.__main__ import main
from rnlib.runs import pipeline
from rnlib.synthesis import pictures

SECONDS = 20  # of a processor that a case takes at most; ten times as many where the processor is busy
MEMORY = 3 << 30  # bytes that a case may take on top
LONGEST = 1000  # characters of a message


VAL = "set/questions/CLEVR_val_questions.json set/scenes/CLEVR_val_scenes.json set/images/val/CLEVR_val_000001.png"
SET = f"set/questions/CLEVR_train_questions.json set/scenes/CLEVR_train_scenes.json {VAL}"
STATE, PIXELS = "sd.safetensors sd.json", "fp.safetensors fp.json"
FIELDS = "--set epochs=1 lr=1e-3 lr_gamma=1 batch_size=4 --vocabulary vocabulary.json --device cpu"
TRAIN = "--clevr set --cache cache"
TRAINED = "out/run.json out/history.csv out/weights/best.safetensors out/weights/best.json out/state/last.pt"
EVALUATED = "out/metrics.json out/predictions.parquet out/provenance.json"

# Commands that work, each with the files that it reads (<), out of which one is spoilt, and those that it writes (>).
WORKING = f"""
data check --clevr set
    < {SET}
data check --clevr array
    < array/images/CLEVR_val_32.npy array/scenes/CLEVR_val_scenes.json
data prepare --clevr set --splits val --size 32 --cache cache --workers 1
    < {VAL}
data synthesize --out made --train 2 --val 1 --test 0 --seed 1 --objects 3-4 --images none --workers 1
    < made/synthesis.json made/questions/CLEVR_val_questions.json
    > made/synthesis.json made/scenes/CLEVR_val_scenes.json
data synthesize --out out --train 2 --val 1 --seed 1 --objects 3-4 --images 48x32 --families zero_hop
    > out/synthesis.json out/questions/CLEVR_train_questions.json out/images/val/CLEVR_val_000000.png
data synthesize --out pairs --train 0 --val 1 --minimal-pairs 1 --seed 1 --objects 3-3 --images none --workers 1
    < pairs/synthesis.json pairs/questions/CLEVR_pairs_questions.json
    > pairs/synthesis.json pairs/questions/CLEVR_pairs_questions.json
data synthesize --out out --cogent --train 1 --val 1 --seed 1 --objects 3-3 --images 16 --workers 1
    > out/synthesis.json out/questions/CLEVR_trainA_questions.json out/images/CLEVR_valB_16.npy
data draw --clevr made --splits val --size 16 --workers 1
    < made/scenes/CLEVR_val_scenes.json
    > made/images/CLEVR_val_16.npy made/redrawn.json
data draw --clevr made --size 16 --view 480x320 --out out --workers 1
    < made/scenes/CLEVR_val_scenes.json made/questions/CLEVR_val_questions.json
    > out/images/CLEVR_val_16.npy out/scenes/CLEVR_val_scenes.json out/redrawn.json
evaluate --weights sd.safetensors --clevr set --split val --batch-size 4 --device cpu --precision fp32 --out out
    < {STATE} {VAL}
    > {EVALUATED}
evaluate --weights fp.safetensors --clevr array --split val --cache cache --out out
    < {PIXELS} array/images/CLEVR_val_32.npy
    > {EVALUATED}
evaluate --weights sd.safetensors --clevr set --cache cache --out eval
    < eval/metrics.json {STATE}
    > eval/metrics.json eval/predictions.parquet eval/provenance.json
predict --weights fp.safetensors --clevr set --split val --cache cache --out answers.txt
    < {PIXELS} {VAL}
    > answers.txt
ask fp.safetensors picture.png How_many_red_cubes_are_there?
    < {PIXELS} picture.png picture.png picture.png
ask sd.safetensors CLEVR_val_000001.png How_many_red_cubes_are_there? --device cpu --scene scenes.json
    < {STATE} scenes.json scenes.json
train --preset preset.json {TRAIN} --out out --keep last --checkpoint-minutes 5 --time-limit 0 {FIELDS}
    < {SET} preset.json vocabulary.json
    > {TRAINED}
train --preset preset.json {TRAIN} --out run {FIELDS} --set epochs=2
    < run/run.json run/history.csv run/state/last.pt run/state/last.pt run/state/last.pt run/progress.json
    > {TRAINED.replace("out/", "run/")}
train --params 02_train_state_descriptions.yaml {TRAIN} --out out
    < 02_train_state_descriptions.yaml 02_train_state_descriptions.yaml
    > {TRAINED}
train --preset config.json#ir-sd {TRAIN} --out out {FIELDS} --set state_rows=4
    < config.json config.json
    > {TRAINED}
train --preset preset.json {TRAIN} --out out --init-from sd.safetensors {FIELDS}
    < {STATE}
    > {TRAINED}
train --preset preset.json {TRAIN} --out out --resume-from run/weights/epoch_0001.safetensors {FIELDS} --set epochs=2
    < run/state/epoch_0001.pt
    > {TRAINED}
train --preset pixels.json {TRAIN} --out out --init-conv attributes.safetensors {FIELDS}
    < attributes.safetensors attributes.json pixels.json
    > {TRAINED}
release run --name x --trained-on set --out out --evaluation val=eval
    < run/weights/best.json run/weights/best.safetensors run/history.csv eval/metrics.json eval/provenance.json
    > out/x.md out/x.csv out/x.json out/x.safetensors
figures run --out out
    < run/run.json run/history.csv run/history.csv
    > out/run-loss.svg out/run-loss.pdf
figures eval --out out
    < eval/predictions.parquet
    > out/eval-by_type.svg out/eval-calibration.pdf
import-weights old.pth --out new.safetensors
    < old.pth old.pth
    > new.safetensors new.json
features --weights fp.safetensors {TRAIN} --split val --layer 1 --images 3 --device cpu --out f.safetensors
    < {PIXELS} {VAL}
    > f.safetensors
features --weights attributes.safetensors {TRAIN} --out f.safetensors
    < attributes.safetensors attributes.json
    > f.safetensors
retrieve --features features.safetensors {TRAIN} --database 3 --queries 2 --k 1 2 --truth node --threads 1 --out out
    < features.safetensors features.safetensors set/scenes/CLEVR_val_scenes.json
    > out/rankings.csv out/per_query.csv out/recall_curves.csv out/provenance.json
train-attributes --preset pixels.json {TRAIN} --out out --device cpu --set epochs=1 share=1
    < {SET} pixels.json
    > {TRAINED}
train-cells --preset pixels.json {TRAIN} --out out --time-limit 0 --set epochs=1
    < {SET} pixels.json
    > {TRAINED}
run demo --run x --only 01 --set rate=2
    < project/params/demo/01_a.yaml project/notebooks/01_a.ipynb project/outputs/x/01_a/done.json
"""


class Command(NamedTuple):
    """A command of WORKING."""

    line: str
    reads: list[str]
    writes: list[str]

    def arguments(self) -> list[str]:
        return [word.replace("_", " ") if word.endswith("?") else word for word in self.line.split()]


def commands() -> list[Command]:
    """What WORKING says."""
    found: list[Command] = []
    for line in WORKING.strip().splitlines():
        sign, *names = line.split()
        if sign == "<":
            found[-1].reads.extend(names)
        elif sign == ">":
            found[-1].writes.extend(names)
        else:
            found.append(Command(line, [], []))
    return found


class Case(NamedTuple):
    """A case at work: its command, what is spoilt, and its arguments."""

    command: Command
    what: str
    arguments: list[str]
    most: int  # bytes that a file may grow to; 0: any


def make_world(root: Path) -> None:
    """One of everything that a command reads."""
    from test_checkpoint import network_of, seed_dictionary
    from test_runs import Project

    train, val = (ClevrFiles(root / "set", split) for split in ("train", "val"))
    for files in (train, val):
        for scene in files.scenes:
            for item in scene["objects"]:
                item["pixel_coords"] = [x / 4 for x in item["pixel_coords"]]
        del files.scenes[2]["objects"][1]
        files.scenes[2]["relationships"] = {relation: [[]] for relation in files.scenes[2]["relationships"]}
        files.write()
    shutil.copytree(train.root, root / "array", ignore=shutil.ignore_patterns("*.png"))
    for split in ("train", "val"):
        (root / "array/images" / split).rmdir()
        np.save(root / f"array/images/CLEVR_{split}_32.npy", np.zeros((3, 3, 32, 32), np.uint8))
    (root / "scenes.json").write_bytes(val.scenes_file.read_bytes())
    with Image.open(val.picture(0)) as picture:
        picture.save(root / "picture.png")
    torch.save(seed_dictionary(network_of("ir-fp")), root / "old.pth")
    _write_texts(root)
    steps = [
        "data synthesize --out made --train 2 --val 1 --seed 1 --objects 3-4 --images none --workers 1",
        f"train --preset preset.json --clevr set --cache cache --out run --keep every:1 {FIELDS}",
        f"train --preset pixels.json --clevr set --cache cache --out pixels {FIELDS}",
        "train-attributes --preset pixels.json --clevr set --cache cache --out attributes --set epochs=1 share=1",
        "evaluate --weights run/weights/best.safetensors --clevr set --cache cache --out eval",
        "features --weights pixels/weights/best.safetensors --clevr set --cache cache --out features.safetensors",
        "retrieve --features features.safetensors --clevr set --database 3 --queries 2 --k 1 --out ranked",
        "data synthesize --out pairs --train 0 --val 1 --minimal-pairs 1 --seed 1 --objects 3-3 --images none",
        "figures run --out figures",
        "figures eval --out figures",
    ]
    project = Project(_made(root / "project"))
    project.notebook("01_a")
    (root / "project/params/demo/01_a.yaml").write_text("run: demo\nrate: 3.0\n")
    for step in [*steps, "run demo --run x --only 01 --set rate=2"]:
        assert main(step.split()) == 0, step
    for name, folder in (("sd", "run"), ("fp", "pixels"), ("attributes", "attributes")):
        for suffix in (".safetensors", ".json"):
            shutil.copy(root / folder / "weights" / f"best{suffix}", root / f"{name}{suffix}")
    for name in ("pixels", "attributes", "ranked", "figures", "cache"):
        shutil.rmtree(root / name)
    (root / "cache").mkdir()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _write_texts(root: Path) -> None:
    """Presets, parameters and a vocabulary."""
    import json

    from rnlib.clevr import clevr_v1

    small = {"g_layers": [8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8, "word_embedding": 4}
    pixels = {"objects": "pixels", "image_size": 32, "conv_channels": [4, 4, 4, 4], "dropout": 0.5}
    old = {
        "g_layers": [8, 8, 8],
        "question_injection_position": 1,
        "dropout": 0.1,
        "lstm_hidden": 8,
        "lstm_word_emb": 4,
    }
    texts = {
        "preset.json": {"objects": "state", "question_layer": 0, **small},
        "pixels.json": {**pixels, **small},
        "config.json": {"hyperparams": {"ir-sd": {**old, "f_fc1": 8, "f_fc2": 8, "state_description": True}}},
    }
    for name, value in texts.items():
        (root / name).write_text(json.dumps(value))
    clevr_v1().save(root / "vocabulary.json")
    (root / "02_train_state_descriptions.yaml").write_text(
        "run: mine\npreset: small-sd\ng_layers: [8, 8]\nf_layers: [8, 8]\nlstm_hidden: 8\nepochs: 1\nlr: 2e-3\n"
        "vocabulary: clevr-v1.0\nkeep: last\n"
    )


def copy_needed(command: Command, world: Path, folder: Path) -> None:
    """Copy from the world what a command speaks of, and what it reads."""
    words = [*command.line.split(), *command.reads, "project", "cache"]
    for name in {word.replace("#", "/").split("/")[0] for word in words} | {"sd.json", "fp.json", "attributes.json"}:
        if (world / name).is_dir():
            shutil.copytree(world / name, folder / name)
        elif (world / name).is_file():
            folder.mkdir(exist_ok=True)
            shutil.copy(world / name, folder / name)


def make_case(seed: int, number: int, folder: Path, world: Path) -> Case:
    """Fill `folder` with a copy of the world in which one thing is spoilt."""
    random = Random(f"{seed} {number}")
    command = random.choice(commands())
    copy_needed(command, world, folder)
    arguments, most = command.arguments(), 0
    if random.random() < 0.1:
        most = random.choice((2_000, 4_000, 10_000, 30_000, 100_000))
        what = f"a disk that is full after {most} bytes of a file"
    elif command.reads and random.random() < 0.7:
        path = folder / random.choice(command.reads)
        what = f"{path.relative_to(folder)}: {change_file(random, path, sorted(folder.glob('*.*')))}"
    else:
        what = change_option(random, arguments)
    return Case(command, what, arguments, most)


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything in a folder but the cache: files with their content."""
    found = {}
    for top, folders, names in os.walk(folder):
        place = Path(top).relative_to(folder)
        if place.parts[:1] == ("cache",):
            folders.clear()
            continue
        for name in (*names, *folders):
            path = Path(top) / name
            regular = path.is_file() and not path.is_symlink()
            found[str(place / name)] = path.read_bytes() if regular else b"(no file)"
    return found


def run_case(case: Case, folder: Path, show: bool) -> tuple[int | None, str, str]:
    """Exit code (None: killed by a signal), stdout and stderr of a forked process."""
    streams = [tempfile.TemporaryFile() for _ in range(2)]
    child = os.fork()
    if not child:
        _child(case, folder, [stream.fileno() for stream in streams])
    _, status = os.waitpid(child, 0)
    texts = []
    for stream in streams:
        stream.seek(0)
        texts.append(stream.read().decode(errors="replace"))
        stream.close()
    if show:
        print(*texts, sep="--- stderr\n", end="--- end\n")
    return (os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else None), *texts


def _child(case: Case, folder: Path, streams: list[int]) -> None:
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    os.chdir(folder)
    os.environ.update(RNLIB_CACHE=str(folder / "cache"), RNLIB_ROOT=str(folder / "project"))
    signal.alarm(10 * SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    if case.most:
        resource.setrlimit(resource.RLIMIT_FSIZE, (case.most, case.most))
    code = 1
    try:
        code = main(case.arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def fault(case: Case, code: int | None, errors: str, before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """What is wrong with the end of a case; empty where nothing is."""
    lines = errors.splitlines()
    if code not in (0, 2):
        return f"exit code {code}"
    if code == 0 and lines:
        return "stderr of a command that succeeds"
    if code == 2 and not (len(lines) == 1 and lines[0].startswith("error: ") and errors.endswith("\n")):
        return f"{len(lines)} lines on stderr"
    if code == 2 and not (len(errors) < LONGEST and lines[0].isprintable()):
        return f"a message of {len(errors)} characters{'' if lines[0].isprintable() else ', some not printable'}"
    endings = (".part", ".tmp") if case.most else (".part", ".tmp", ".unfinished")  # pictures drawn so far are kept
    if unfinished := [name for name in after if name.endswith(endings)]:
        return f"{unfinished[0]} is left"
    if code == 0:
        missing = (
            []
            if "argument" in case.what or "--help" in case.arguments
            else [name for name in case.command.writes if name not in after]
        )
        return f"{missing[0]} is missing" if missing else ""
    if case.most or errors.startswith("error: cannot write") or "diverged" in errors:
        # What a training saved before stays; what cannot be written does not replace what is there.
        last = ("progress.json", "steps.csv", "weights/last.json", "weights/last.safetensors")
        free = {*case.command.writes, *(f"run/{name}" for name in last)}
        before = {name: content for name, content in before.items() if name not in free}
        after = {name: content for name, content in after.items() if name in before}
    if "'cache'" in case.what or "'--cache'" in case.what:
        return ""
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return f"exit code 2, but {changed[0]} changed" if changed else ""


def prepare(world: Path) -> None:
    """Have this process ready for cases, and `world` (an empty folder) with what commands read."""
    import nbclient  # noqa: F401  what commands import when they need it, imported once

    for name in ("data", "retrieval", "training", "weights", "classifiers", "notebooks", "parsers"):
        importlib.import_module(f"rnlib.commands.{name}")
    torch.set_num_threads(1)
    pictures.load()  # no case shall wait for the renderer's machine code
    provenance.git_state = lambda: None  # spares three processes a case
    os.environ.update(RNLIB_ROOT=str(world / "project"), RNLIB_CACHE=str(world / "cache"))
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null), contextlib.chdir(world):
        make_world(world)
    pipeline.execute = lambda notebook, run, parameters: Path()  # a kernel takes seconds
    gc.collect()
    gc.freeze()  # or each case's first collection copies all of torch's objects


def run_cases(seed: int, first: int, last: int) -> int:
    """The number of cases that fail."""
    failed, show = 0, first == last
    root = Path(tempfile.mkdtemp(prefix="rnlib-fuzz-"))
    world = _made(root / "world")
    prepare(world)
    begin, start = time.monotonic(), os.times()
    for number in range(first, last + 1):
        folder = root / "case"
        case = make_case(seed, number, folder, world)
        before = files_of(folder)
        code, _, errors = run_case(case, folder, show)
        if problem := fault(case, code, errors, before, files_of(folder)):
            failed += 1
            again = f"again: python tests/fuzz.py {seed} {number}"
            said = " | ".join(errors.strip().splitlines()[-3:])[-600:]
            print(
                f"{problem}\n  rnlib {' '.join(case.arguments)[:300]!r}\n  {case.what[:200]}\n  {said}\n  {again}",
                flush=True,
            )
        if show:
            print(f"{case.what}\nrnlib {' '.join(case.arguments)}\nin {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    used = os.times()
    print(
        f"{last + 1 - first} cases, {failed} failed, {time.monotonic() - begin:.0f} s"
        f" ({sum(used[:4]) - sum(start[:4]):.0f} s of a processor)"
    )
    if not show:
        shutil.rmtree(root)
    return failed


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(min(1, run_cases(given[0], given[1], given[-1])))
