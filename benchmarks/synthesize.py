"""How long a whole synthetic set takes, files included, and how much memory its processes need.

    python benchmarks/synthesize.py                          7,000 scenes without pictures, a process a CPU
    python benchmarks/synthesize.py --scenes 2000 --images 128 --workers 1

Every run is a real `synthesize` into a new folder, which is removed again. The last line says what
the 70,000 scenes of CLEVR's train split would take at that rate.
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

from rnlib.synthesis import synthesize

FULL = 70_000  # scenes of CLEVR's train split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=7000, metavar="N", help="default 7000")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="default: one a CPU")
    parser.add_argument("--images", default="none", metavar="SIDE|none", help="side of the array (default none)")
    parser.add_argument(
        "--objects", type=int, nargs=2, default=(3, 10), metavar="N", help="fewest, most (default 3 10)"
    )
    parser.add_argument("--folder", type=Path, help="where to make the set for a while (default: the temporary folder)")
    options = parser.parse_args()

    out = Path(tempfile.mkdtemp(prefix="synthesize-", dir=options.folder))
    try:
        begin = time.perf_counter()
        synthesize(
            out,
            train=options.scenes,
            val=0,
            objects=tuple(options.objects),
            images=None if options.images == "none" else int(options.images),
            workers=options.workers,
            verbose=False,
        )
        seconds = time.perf_counter() - begin
        with open(out / "questions/CLEVR_train_questions.json", "rb") as file:
            questions = sum(b'"question_index":' in line for line in file)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    finally:
        shutil.rmtree(out)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{options.scenes:,} scenes, {questions:,} questions, pictures {options.images}, {options.workers} worker(s): "
        f"{seconds:.1f} s, {size / 1e6:.0f} MB"
    )
    print(f"{questions / seconds:.0f} questions/s, {options.scenes / seconds:.0f} scenes/s")
    print(f"peak memory: writing process {own / 1024:.0f} MiB, largest worker {largest / 1024:.0f} MiB")
    print(f"{FULL:,} scenes at this rate: {seconds * FULL / options.scenes / 60:.1f} minutes")


if __name__ == "__main__":
    main()
