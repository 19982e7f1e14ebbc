"""Counts what operations cost at growing sizes: measure.py PROGRAM THRESHOLDS.JSON.

The count is of instructions under valgrind's callgrind, inside the program's `countedLoop` only; it repeats to about
1 % whatever else the machine does, so as many runs go at a time as there are processors. Ends with 1 when a cost at
any size is more than `ratio_max` times the cost at the smallest.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor


def instructions(program: str, *words: object) -> int:
    """Counts the instructions of one run."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={folder}/out",
                "--collect-atstart=no",
                "--toggle-collect=*countedLoop*",
                program,
                *map(str, words),
            ],
            capture_output=True,
            text=True,
        )
    counted = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not counted or counted[1] == "0":
        sys.exit(f"{program} {words}: status {run.returncode}\n{run.stderr[-2000:]}")
    return int(counted[1])


def main() -> None:
    program, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        costs = json.load(file)
    too_much = []
    # The larger sizes first: making 100,000 rooms under valgrind takes a minute.
    runs = [(name, size, cost["times"]) for name, cost in costs.items() for size in cost["sizes"]]
    pool = ThreadPoolExecutor(os.cpu_count())
    counts = {
        run[:2]: pool.submit(instructions, program, *run) for run in sorted(runs, key=lambda run: run[1], reverse=True)
    }
    print(f"{'cost':<8}{'size':>8}{'instructions':>14}{'ratio':>8}{'limit':>8}")
    for name, cost in costs.items():
        smallest = None
        print(f"{cost['what']}:")
        for size in cost["sizes"]:
            each = counts[name, size].result() / cost["times"] / (size if cost["per_member"] else 1)
            smallest = smallest or each
            ratio = each / smallest
            print(f"{name:<8}{size:>8}{each:>14.1f}{ratio:>8.2f}{cost['ratio_max']:>8.2f}", flush=True)
            if ratio > cost["ratio_max"]:
                too_much.append(f"{name} at {size} costs {ratio:.2f} times what it costs at {cost['sizes'][0]}")
    if too_much:
        sys.exit("\n".join(too_much))


main()
