"""How long preparing a split's questions and scenes takes, and how much memory at most.

python benchmarks/prepare.py --clevr DIR            DIR: a CLEVR set of any size; its caches are left alone
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clevr", type=Path, required=True, metavar="DIR")
    parser.add_argument("--split", default="train")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        command = ["data", "prepare", "--clevr", str(options.clevr), "--no-images", "--splits", options.split]
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "rnlib", *command, "--cache", cache], check=True)
        seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{seconds:.1f} s, at most {peak / 1e9:.2f} GB resident")


if __name__ == "__main__":
    main()
