"""Ways in which a file or an option can be wrong: broken bytes, wrong values, and things that are no file at all.

Every function takes a random number generator, so that a case can be made again.
"""

import hashlib
import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image

DEEP = 100_000
RAW = {  # JSON that json.dumps does not write, by the placeholder that it is put in for
    "@deep@": "[" * DEEP + "]" * DEEP,
    "@objects@": '{"a":' * DEEP + "1" + "}" * DEEP,
    "@nan@": "NaN",
    "@infinite@": "1e999",
    "@digits@": "9" * 5000,
    "@surrogate@": '"\\ud800"',
}
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 255, 256, 2**31, -(2**31), 2**63, 2**64, 10**30, 0.5, -0.5, 1e308, -1e-308,
    "", "x", "x" * 10_000, "é中\u202e", "a\nb\x1b[31m", "../../etc/passwd", "1", "true", "nan", "%s{}", [], {}, [[]],
    [None], [-1], [10**9] * 3, ["x"], {"x": 1}, {"": None}, *RAW,
]  # fmt: skip
OPTIONS = [
    "", " ", "-1", "0", "1", "2", "3", "0.5", "1e9", "999999999999", "9" * 5000, "-0", "nan", "inf", "-inf", "é中",
    "a\nb", "\x1b[31m",
    "\udcff", "x" * 300, "x/" * 3000, ".",  "/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "~",
    "~nobody_here/x", "none", "auto", "cuda", "train", "val", "test", "every:1", "every:0",
    "every:99999999999999", "1:1:1",
    "128x", "99999x99999", "16x16", "3-10", "10-3", "a=b", "=", "lr=nan", "lr=1e-3", "lr=1e308", "epochs=1",
    "g_layers=[]", "g_layers=[1000000000, 1000000000]", "g_layers=" + "[" * 5000, "g_layers=" + "[8]" * 50,
    "state_rows=1000000000",
    "batch_size=100000000000000000000", "lstm_hidden=500000", "image_size=1000000000", "image_size=4112",
    "held_out=2",
    "held_out=9999", "curriculum=[{}]", "curriculum=[{objects: 3, scenes: 2}]", "seed=18446744073709551616",
    "seed=" + "9" * 400, "dropout=1", "augment=maybe", "x={a: &a [*a]}", "x=!!python/object:os.system 1",
    "train_questions=1",
    "share=0", "share=1e-9", "ema=0.9", "clip_norm=0", "conv_channels=[1]", "question_length=1", "log_every=1",
    "run=../x",
    "clevr=/", "[red", "What", "How many red cubes are there?", "How many " * 60, "How many zebras?", "?", "%d",
    "file:///etc/passwd",
    "medium-sd", "question-only", "small-fp", "config.json#a", "#", "preset.json#ir-fp",
]  # fmt: skip


def hostile_json(value: Any) -> str:
    """JSON with what json.dumps refuses to write."""
    text = json.dumps(value)
    for placeholder, raw in RAW.items():
        text = text.replace(f'"{placeholder}"', raw)
    return text


def change_tree(random: Random, tree: Any, values: list[Any]) -> str:
    """Change one place of nested lists and dictionaries; says which."""
    path, node = "$", tree
    while True:
        places = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not places:
            return f"nothing to change at {path}"
        place = random.choice(places)
        path += f"[{place!r}]"
        if isinstance(node[place], dict | list) and node[place] and random.random() < 0.8:
            node = node[place]
            continue
        what = random.choice(("replace", "replace", "replace", "replace", "delete", "rename", "repeat"))
        if what == "replace":
            node[place] = random.choice(values)
        elif what == "delete":
            del node[place]
        elif what == "rename" and isinstance(node, dict):
            node["x" if isinstance(place, str) else place] = node.pop(place)
        elif isinstance(node, list):
            node += [node[place]] * random.choice((1, 40, 300))
        return f"{what} {path}"


def change_bytes(random: Random, content: bytes) -> tuple[str, bytes]:
    """Break a file's bytes."""
    size, at = len(content), random.randrange(len(content) + 1)
    kinds: dict[str, Callable[[], bytes]] = {
        "empty": lambda: b"",
        "cut": lambda: content[:at],
        "cut at the end": lambda: content[: max(0, size - random.randrange(1, 20))],
        "flipped": lambda: content[:at] + bytes([random.randrange(256)]) + content[at + 1 :],
        "inserted": lambda: content[:at] + random.randbytes(random.randrange(1, 9)) + content[at:],
        "zeros": lambda: content[:at] + bytes(min(64, size - at)) + content[at + 64 :],
        "appended": lambda: content + random.randbytes(random.randrange(1, 99)),
        "noise": lambda: random.randbytes(random.randrange(1, 999)),
        "a byte-order mark": lambda: b"\xef\xbb\xbf" + content,
        "UTF-16": lambda: content.decode("latin-1").encode("utf-16"),
        "twice": lambda: content + content,
        "deep": lambda: RAW[random.choice(("@deep@", "@objects@"))].encode(),
        "a line": lambda: content.split(b"\n", 1)[0] + b"\n",
    }
    kind = random.choice(list(kinds))
    return kind, kinds[kind]()


def change_place(random: Random, path: Path, others: list[Path]) -> str:
    """Put something else where a file was."""
    path.unlink()
    kind = random.choice(
        ("nothing", "a folder", "a dangling link", "a loop", "a pipe", "/dev/null", "/dev/zero", "another file")
    )
    if kind == "a folder":
        path.mkdir()
    elif kind == "a dangling link":
        path.symlink_to("nowhere")
    elif kind == "a loop":
        path.symlink_to(path.name)
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind.startswith("/dev"):
        path.symlink_to(kind)
    elif kind == "another file":
        other = random.choice([one for one in others if one.is_file()])
        path.write_bytes(other.read_bytes())
        kind = f"the content of {other.name}"
    return kind


def change_json(random: Random, path: Path) -> str:
    tree = json.loads(path.read_text())
    if random.random() < 0.08:
        tree = random.choice(VALUES)
        what = "replace all"
    else:
        what = change_tree(random, tree, VALUES)
    path.write_text(hostile_json(tree))
    return what


def change_yaml(random: Random, path: Path) -> str:
    lines = path.read_text().splitlines()
    bad = (
        "- x", "x", "\t: 1", "epochs: [", "a: &a [*a, *a]", "x: !!python/object/apply:os.system [ls]", "1: 2",
        "{}", "null", "epochs: 1", "epochs: 1\nepochs: 2", "? [a]\n: b", "preset: {}", "lr: .nan", "lr: .inf",
        "epochs: 2024-01-01",
        "g_layers: " + "[" * 5000, "%YAML 9.9", "---\na: 1\n---\nb: 2", "run: ../../x", "clevr: 5",
        "lr: " + "9" * 5000,
    )  # fmt: skip
    line = random.choice(bad)
    if random.random() < 0.5:
        lines[random.randrange(len(lines))] = line
    else:
        lines.insert(random.randrange(len(lines) + 1), line)
    path.write_text("\n".join(lines) + "\n")
    return f"the line {line[:40]!r}"


def change_safetensors(random: Random, path: Path) -> str:
    """Change the header or the numbers; the JSON beside it then describes them, half of the time."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, numbers = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    kind = random.choice(("header", "header", "header", "length", "numbers", "numbers"))
    if kind == "header":
        kind = f"header {change_tree(random, header, VALUES)}"
    elif kind == "numbers":
        at = random.randrange(0, len(numbers) - 4, 4)
        numbers[at : at + 4] = struct.pack("<f", random.choice((float("nan"), float("inf"), 3e38, -1.0, 1e-44)))
    text = hostile_json(header).encode()
    length = random.choice((0, 1, 2**40, 2**64 - 1)) if kind == "length" else len(text)
    path.write_bytes(struct.pack("<Q", length) + text + numbers)
    sidecar = path.with_suffix(".json")
    if sidecar.is_file() and random.random() < 0.7:
        info = json.loads(sidecar.read_text())
        sidecar.write_text(json.dumps({**info, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))
        kind += ", described"
    return kind


def change_torch(random: Random, path: Path) -> str:
    """Change something in a dictionary that torch.save wrote."""
    tree = torch.load(path, weights_only=True)
    values = [value for value in VALUES if not (isinstance(value, str) and value in RAW)] + [
        torch.zeros(0),
        torch.zeros(3, dtype=torch.int64),
    ]
    what = change_tree(random, tree, values)
    torch.save(tree, path)
    return what


def change_array(random: Random, path: Path) -> str:
    """Change the header of a .npy file."""
    content = path.read_bytes()
    old, new = random.choice(
        (
            (b"|u1", b"|O1"), (b"|u1", b"<f8"), (b"(", b"(99999999999, "), (b"(", b"(-1, "), (b"False", b"True "),
            (b"{", b"["),
            (b"\x01\x00", b"\x09\x00"), (b", 32)", b", 33)"), (b"NUMPY", b"NUMPI"), (b"shape", b"shepe"),
        )
    )  # fmt: skip
    path.write_bytes(content.replace(old, new, 1))
    return f"{old!r} for {new!r}"


def change_picture(random: Random, path: Path) -> str:
    """Another kind of picture, or a PNG that claims another size."""
    with Image.open(path) as picture:
        picture.load()
    kind = random.choice(
        (
            "1",
            "L",
            "P",
            "RGBA",
            "LA",
            "I;16",
            "CMYK",
            "GIF",
            "BMP",
            "ICO",
            "1x1",
            "1x3000",
            "header",
            "header",
            "bomb",
            "text",
        )
    )
    buffer = io.BytesIO()
    if kind in ("1", "L", "P", "RGBA", "LA"):
        picture.convert(kind).save(buffer, "PNG")
    elif kind == "I;16":
        picture.convert("I").convert(kind).save(buffer, "PNG")
    elif kind == "CMYK":
        picture.convert(kind).save(buffer, "JPEG")
    elif kind in ("GIF", "BMP", "ICO"):
        picture.save(buffer, kind)
    elif kind in ("1x1", "1x3000"):
        picture.resize((1, int(kind[2:]))).save(buffer, "PNG")
    else:
        picture.save(buffer, "PNG")
        size = random.choice((0, 1, 60_000, 2**31 - 1, 2**32 - 1))
        if kind == "header":
            kind = f"header {size}"
            buffer = io.BytesIO(_with_chunk(buffer.getvalue(), b"IHDR", struct.pack(">II", size, size)))
        elif kind == "bomb":
            buffer = io.BytesIO(_with_chunk(buffer.getvalue(), b"IDAT", zlib.compress(bytes(10**7))))
        elif kind == "text":
            buffer = io.BytesIO(_with_chunk(buffer.getvalue(), b"IDAT", b""))
    path.write_bytes(buffer.getvalue())
    return kind


def _with_chunk(png: bytes, name: bytes, start: bytes) -> bytes:
    """A PNG whose first chunk of a name begins otherwise, with the right checksum."""
    at = png.index(name) - 4
    (length,) = struct.unpack(">I", png[at : at + 4])
    data = start + png[at + 8 + len(start) : at + 8 + length] if name == b"IHDR" else start
    chunk = name + data
    return (
        png[:at] + struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[at + 12 + length :]
    )


BY_SUFFIX: dict[str, Callable[[Random, Path], str]] = {
    ".json": change_json,
    ".ipynb": change_json,
    ".yaml": change_yaml,
    ".safetensors": change_safetensors,
    ".pt": change_torch,
    ".pth": change_torch,
    ".npy": change_array,
    ".png": change_picture,
}


def change_file(random: Random, path: Path, others: list[Path]) -> str:
    """Spoil a file; says how."""
    chance = random.random()
    if chance < 0.12:
        return change_place(random, path, others)
    if path.suffix in BY_SUFFIX and chance < 0.75:
        return BY_SUFFIX[path.suffix](random, path)
    kind, content = change_bytes(random, path.read_bytes())
    path.write_bytes(content)
    return kind


def change_option(random: Random, arguments: list[str]) -> str:
    """Replace, drop or repeat one of a command's arguments, behind its name; says which."""
    at = random.randrange(1, len(arguments))
    kind = random.choice(("replace",) * 8 + ("drop", "repeat"))
    before = arguments[at]
    if kind == "replace":
        arguments[at] = random.choice(OPTIONS)
    elif kind == "drop":
        del arguments[at]
    else:
        arguments.insert(at, before)
    return f"{kind} the argument {before!r}"
