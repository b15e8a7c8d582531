"""The options of every command. Light: nothing here imports torch; what a command does is imported when it runs.

Each `add_COMMAND` fills the parser of one command and names what runs it as "module.function" of rnlib.commands.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from rnlib.clevr.constants import FAMILY_GROUPS
from rnlib.clevr.download import ARCHIVES
from rnlib.commands.options import (
    Several,
    add_clevr,
    add_device,
    add_evaluated,
    add_set,
    add_split,
    add_training_splits,
    add_unknown_words,
    path,
)
from rnlib.fields import Field, fields_of
from rnlib.model.preset import PRESET_FIELDS, preset_names
from rnlib.model.pretrained import released, shipped_folder
from rnlib.training.cell_recipe import CELL_FIELDS
from rnlib.training.recipe import RECIPE_FIELDS, Stage

PRESET_HEADING = "fields of the preset (default: of a preset that leaves it out)"


def add_data(parser: argparse.ArgumentParser) -> None:
    """`data`, with its actions."""
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_data_download(actions)
    _add_data_synthesize(actions)
    check = actions.add_parser("check", help="read a CLEVR set whole; report counts, or the first fault")
    check.add_argument("--clevr", type=path, required=True, metavar="DIR")
    check.set_defaults(run="data.run_check")
    _add_data_prepare(actions)
    _add_data_draw(actions)


def _add_data_download(actions: Any) -> None:
    download = actions.add_parser(
        "download", help="fetch CLEVR v1.0 or CLEVR-CoGenT; continues where it was interrupted"
    )
    download.add_argument("--out", type=path, required=True, metavar="DIR", help="folder that will hold CLEVR_v1.0/")
    download.add_argument(
        "--set",
        choices=list(ARCHIVES),
        default="clevr",
        help="clevr (default, 18 GB), cogent (24 GB), or either without pictures (clevr 86 MB: all that networks on "
        "state descriptions need)",
    )
    download.add_argument("--url", help="address of the zip (default: the official one)")
    download.add_argument("--md5", help="its md5 (default: the official one)")
    download.add_argument("--keep-zip", action="store_true", help="leave the zip there after unpacking")
    download.set_defaults(run="data.run_download")


def _add_data_synthesize(actions: Any) -> None:
    make = actions.add_parser("synthesize", help="make a synthetic CLEVR of any size, in the same layout")
    make.add_argument("--out", type=path, required=True, metavar="DIR")
    for split, default in (("train", 1000), ("val", 200), ("test", 0)):
        make.add_argument(f"--{split}", type=int, default=default, metavar="N", help=f"scenes (default {default})")
    make.add_argument(
        "--cogent",
        action="store_true",
        help="the splits of CLEVR-CoGenT: --train scenes of trainA, --val of valA and valB, --test of testA and testB; "
        "in A, cubes are gray, blue, brown or yellow and cylinders red, green, purple or cyan; in B, the other way "
        "round; spheres have any color",
    )
    make.add_argument(
        "--minimal-pairs",
        type=int,
        default=0,
        metavar="N",
        help="so many pairs of scenes in a split of their own, 'pairs', that differ in one attribute or the place of "
        "one object, with a question that has another answer on each; 'evaluate --split pairs' reports consistency",
    )
    make.add_argument("--seed", type=int, default=0)
    make.add_argument(
        "--contrast",
        action="store_true",
        help="questions with a relation, in pairs that differ in the object they start from and in the answer",
    )
    make.add_argument(
        "--families", action=Several, metavar="FAMILY", help=f"out of {', '.join(FAMILY_GROUPS)}, or numbers"
    )
    make.add_argument("--objects", default="3-10", metavar="A-B", help="objects a scene (default 3-10)")
    make.add_argument(
        "--images",
        default="480x320",
        metavar="WxH|SIDE|none",
        help="480x320 (default): PNG files of that size; 128: one array a split of squares of 128 pixels, which saves "
        "big sets the detour over PNG files; none: scenes and questions only",
    )
    make.add_argument("--workers", type=int, metavar="N", help="processes (default: one a CPU)")
    make.set_defaults(run="data.run_synthesize")


def _add_data_prepare(actions: Any) -> None:
    prepare = actions.add_parser("prepare", help="turn a CLEVR set into memory-mapped arrays (done on first use too)")
    add_clevr(prepare)
    prepare.add_argument("--splits", action=Several, metavar="SPLIT", help="default: all it has")
    prepare.add_argument("--size", type=int, default=128, metavar="PIXELS", help="side of the pictures (default 128)")
    prepare.add_argument("--no-images", action="store_true", help="questions and scenes only")
    prepare.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: one a CPU)")
    prepare.set_defaults(run="data.run_prepare")


def _add_data_draw(actions: Any) -> None:
    draw = actions.add_parser(
        "draw", help="draw the pictures of a set's scenes, for experiments from pixels without its own"
    )
    draw.add_argument("--clevr", type=path, required=True, metavar="DIR", help="CLEVR set with scenes")
    draw.add_argument("--out", type=path, metavar="DIR", help="a new folder, for a set that has pictures of its own")
    draw.add_argument("--size", type=int, default=128, metavar="PIXELS", help="side of the pictures (default 128)")
    draw.add_argument("--splits", action=Several, metavar="SPLIT", help="default: all that have scenes")
    draw.add_argument(
        "--view", metavar="WxH", help="picture size that pixel_coords speak of (default: of its pictures, or 480x320)"
    )
    draw.add_argument("--workers", type=int, metavar="N", help="processes (default: one a CPU)")
    draw.set_defaults(run="data.run_draw")


def add_train(parser: argparse.ArgumentParser) -> None:
    """`train`."""
    parser.description = (
        "Train a network on the train split of a CLEVR set, validating on val after each epoch. "
        "The defaults are the recipe of the 2018 implementation. The same command continues an interrupted training. "
        "Several GPUs or processes: torchrun --nproc-per-node=N -m rnlib train ..., with the same batch size."
    )
    parser.add_argument("--preset", help=f"{', '.join(preset_names())}, or a file (JSON)")
    parser.add_argument(
        "--params",
        type=path,
        metavar="FILE",
        help="the parameters of a profile, such as params/synthetic/02_train_state_descriptions.yaml: preset, recipe, "
        "vocabulary and what else is trained with; --set and other options override them",
    )
    fields = {
        "fields of the recipe": RECIPE_FIELDS,
        "  fields of a stage of the curriculum": fields_of(Stage),
        PRESET_HEADING: PRESET_FIELDS,
    }
    add_set(parser, fields)
    add_clevr(parser, required=False)
    add_training_splits(parser)
    parser.add_argument(
        "--synthetic",
        metavar="TRAIN:VAL:SEED",
        help="in place of --clevr: make a synthetic set of so many scenes in RUN/data, or use the one there",
    )
    parser.add_argument("--out", type=path, required=True, metavar="RUN", help="folder of the training")
    add_device(parser)
    parser.add_argument(
        "--vocabulary",
        metavar="WHICH",
        help="train (words in order of first appearance in the training questions), clevr-v1.0, or a JSON file "
        "(default train)",
    )
    add_unknown_words(parser, default=None)
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard events to RUN/tensorboard too")
    _add_start_and_saving(parser)
    parser.set_defaults(run="training.run_train")


def _add_start_and_saving(parser: argparse.ArgumentParser) -> None:
    start = parser.add_argument_group("start")
    start.add_argument(
        "--init-from",
        metavar="WEIGHTS",
        help="start as the network of these weights (a file or a released name), which the preset's may be larger than",
    )
    start.add_argument(
        "--init-conv",
        metavar="WEIGHTS",
        help="start from the convolutions of these weights (a file or a released name)",
    )
    start.add_argument("--resume-from", type=path, metavar="FILE", help="go on from the weights of a kept epoch")
    saving = parser.add_argument_group("saving")
    saving.add_argument("--keep", help="last (and best), or every:N to keep every N-th epoch too (default last)")
    saving.add_argument(
        "--checkpoint-minutes", type=float, default=5.0, metavar="M", help="state within an epoch (default 5)"
    )
    saving.add_argument(
        "--time-limit", type=float, metavar="M", help="save and stop after this many minutes (default 0: never)"
    )


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """`evaluate`."""
    add_evaluated(parser, "val")
    parser.add_argument("--out", type=path, required=True, metavar="RUN", help="folder for metrics and predictions")
    parser.set_defaults(run="weights.run_evaluate")


def add_predict(parser: argparse.ArgumentParser) -> None:
    """`predict`."""
    add_evaluated(parser, "test")
    parser.add_argument("--out", type=path, required=True, metavar="FILE", help="text file, one answer a line")
    parser.set_defaults(run="weights.run_predict")


def add_ask(parser: argparse.ArgumentParser) -> None:
    """`ask`."""
    parser.description = (
        "Answer a question about a picture (PNG or JPEG, any size), with the five most probable answers; about several "
        "pictures, with one line each. Weights that read state descriptions take a scene instead."
    )
    parser.add_argument("weights", type=path, metavar="WEIGHTS", help=f"a file, or one of {', '.join(released())}")
    parser.add_argument(
        "pictures", type=path, action=Several, metavar="PICTURE", help="of a scene: which of the file's scenes"
    )
    parser.add_argument("question", metavar="QUESTION", help="such as 'How many red cubes are there?'")
    parser.add_argument("--scene", type=path, metavar="FILE", help="a scene, or several as in CLEVR_scenes.json")
    add_device(parser)
    parser.set_defaults(run="weights.run_ask")


def add_release(parser: argparse.ArgumentParser) -> None:
    """`release`."""
    parser.add_argument("training", type=path, metavar="RUN", help="folder of the training")
    parser.add_argument("--name", required=True, help="of the release")
    parser.add_argument("--trained-on", required=True, metavar="SET", help="such as 'synthetic CLEVR', for plots")
    parser.add_argument(
        "--evaluation",
        action=Several,
        default=[],
        metavar="WHAT=DIR",
        help="folders of `evaluate` by what was asked, such as 'synthetic val=RUN/val'",
    )
    parser.add_argument("--about", default="", metavar="TEXT", help="data, machine and limits, for the card")
    parser.add_argument("--out", type=path, default=shipped_folder(), metavar="DIR", help="default: rnlib/weights/")
    parser.set_defaults(run="weights.run_release")


def add_import_weights(parser: argparse.ArgumentParser) -> None:
    """`import-weights`."""
    parser.add_argument(
        "source", type=path, metavar="PTH", help="a file of the 2018 implementation, such as ir_fp_epoch_312.pth"
    )
    parser.add_argument("--out", type=path, required=True, metavar="FILE", help="NAME.safetensors")
    parser.set_defaults(run="weights.run_import_weights")


def add_features(parser: argparse.ArgumentParser) -> None:
    """`features`."""
    parser.description = (
        "Write the features of a split's pictures to one file: conv mean, max and flat; mean and max over "
        "pairs of what layers of g read; what a network that aggregates inside g makes of all pairs; and random ones."
    )
    parser.add_argument(
        "--weights", type=path, required=True, metavar="FILE", help=".safetensors (of train-attributes too), or .pth"
    )
    add_split(parser, "val")
    parser.add_argument(
        "--layer",
        type=int,
        action=Several,
        metavar="L",
        help="layers of g, from 0 (default: the last that sees pairs only)",
    )
    parser.add_argument("--images", type=int, metavar="N", help="only the first N pictures (default: all)")
    parser.add_argument("--out", type=path, required=True, metavar="FILE", help="NAME.safetensors")
    add_device(parser)
    parser.set_defaults(run="retrieval.run_features")


def add_retrieve(parser: argparse.ArgumentParser) -> None:
    """`retrieve`."""
    from rnlib.retrieval.scene_distance import COSTS, VARIANTS  # numba: a fraction of a second

    parser.description = (
        "Rank the pictures of a database by features and by their scenes' descriptions, and say how well "
        "the two agree. Published protocols: --database 15000 --queries 501 (2018), --database 2500 (2019)."
    )
    parser.add_argument(
        "--features", type=path, action=Several, required=True, metavar="FILE", help="made by 'features'"
    )
    add_split(parser, "val")
    parser.add_argument("--database", type=int, default=15_000, metavar="N", help="first N pictures (default 15000)")
    parser.add_argument("--queries", type=int, default=501, metavar="N", help="first N of these (default 501)")
    parser.add_argument("--truth", action=Several, choices=VARIANTS, default=list(VARIANTS), help="default: all three")
    parser.add_argument("--cost", action=Several, choices=COSTS, default=["soft"], help="of an exchange (default soft)")
    parser.add_argument("--k", type=int, action=Several, default=[10, 100, 1000], help="recall@k (default 10 100 1000)")
    parser.add_argument("--threads", type=int, metavar="N", help="for the ground truth (default: all cores)")
    parser.add_argument("--out", type=path, required=True, metavar="RUN", help="folder for tables")
    parser.set_defaults(run="retrieval.run_retrieve")


def add_train_attributes(parser: argparse.ArgumentParser) -> None:
    """`train-attributes`."""
    from rnlib.retrieval.attribute_recipe import ATTRIBUTE_FIELDS

    parser.description = (
        "Train a convolutional classifier of the 15 attribute values. The same command continues a "
        "training that was interrupted. Its weights go to 'features', and to 'train --init-conv'."
    )
    _add_classifier(parser, "original-fp", ATTRIBUTE_FIELDS)
    parser.set_defaults(run="classifiers.run_train_attributes")


def add_train_cells(parser: argparse.ArgumentParser) -> None:
    """`train-cells`."""
    parser.description = (
        "Teach the convolutions of a preset which object each cell of a picture holds, from the scenes of the train "
        "split. The same command continues a training that was interrupted. Its weights go to 'train --init-conv'."
    )
    _add_classifier(parser, "medium-fp", CELL_FIELDS)
    parser.set_defaults(run="classifiers.run_train_cells")


def _add_classifier(parser: argparse.ArgumentParser, preset: str, fields: Mapping[str, Field]) -> None:
    parser.add_argument("--preset", default=preset, help=f"whose convolutions (default {preset})")
    add_clevr(parser)
    add_training_splits(parser)
    parser.add_argument("--out", type=path, required=True, metavar="RUN", help="folder of the training")
    parser.add_argument("--time-limit", type=float, default=0.0, metavar="M", help="stop after M minutes (0: never)")
    add_device(parser)
    add_set(parser, {"fields of the recipe": fields, PRESET_HEADING: PRESET_FIELDS})


def add_figures(parser: argparse.ArgumentParser) -> None:
    """`figures`."""
    parser.description = "Write learning curves, accuracies, calibration and confusions at slide size (16:9)."
    parser.add_argument("source", type=path, metavar="RUN", help="folder of a run, a training or an evaluation")
    parser.add_argument("--out", type=path, required=True, metavar="DIR", help="folder for the figures")
    parser.set_defaults(run="figures.run_figures")


def add_run(parser: argparse.ArgumentParser) -> None:
    """`run`."""
    parser.description = (
        "Execute the notebooks one after another with the parameters in params/PROFILE. Results go to "
        "outputs/RUN. What is already done there with the same parameters is passed over."
    )
    parser.add_argument("profile", help="a folder of params/: demo, synthetic, gpu, clevr, mesnico-recipe")
    parser.add_argument(
        "--clevr", type=path, metavar="DIR", help="CLEVR set to use (clevr and mesnico-recipe need one)"
    )
    parser.add_argument("--only", action=Several, metavar="NN", help="only these notebooks, by number: --only 02 04")
    parser.add_argument("--run", dest="name", metavar="NAME", help="folder in outputs/ (default: the profile's name)")
    parser.add_argument(
        "--set",
        action=Several,
        default=[],
        metavar="NAME=VALUE",
        help="replace parameters of the notebooks; for those that train, any field that 'train --help' lists",
    )
    parser.add_argument("--force", action="store_true", help="begin anew what is done: its folder is emptied")
    parser.set_defaults(run="notebooks.run_notebooks")


def add_notebooks(parser: argparse.ArgumentParser) -> None:
    """`notebooks`."""
    parser.add_argument("--store", action="store_true", required=True, help="execute with the defaults and store")
    parser.add_argument("--only", action=Several, metavar="NN", help="only these notebooks, by number")
    parser.set_defaults(run="notebooks.store_notebooks")
