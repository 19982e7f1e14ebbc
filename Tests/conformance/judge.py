"""Judges Autobahn's results: judge.py INDEX.JSON ALLOWED.

Prints a table with a line per group of cases and ends with 1 when any case, or its closing handshake, came out as
anything but OK or INFORMATIONAL. ALLOWED lists the exceptions: a case, its outcome and the reason on each line.
"""

import collections
import json
import sys

GROUPS = {
    1: "Framing",
    2: "Pings and pongs",
    3: "Reserved bits",
    4: "Opcodes",
    5: "Fragmentation",
    6: "UTF-8",
    7: "Closing",
    9: "Limits, performance",
    10: "Miscellaneous",
    12: "Compression, lengths",
    13: "Compression, parameters",
}
GOOD = ("OK", "INFORMATIONAL")
COLUMNS = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED")


def read_allowed(path: str) -> dict[str, str]:
    """Maps a case to the outcome that it may have."""
    allowed = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split("#")[0].split(maxsplit=2)
            if not words:
                continue
            if len(words) < 3:
                sys.exit(f"{path}: a case, its outcome and the reason are needed: {line.strip()}")
            allowed[words[0]] = words[1]
    return allowed


def main() -> None:
    index, exceptions = sys.argv[1:]
    with open(index, encoding="utf-8") as file:
        results = json.load(file)["roost"]
    allowed = read_allowed(exceptions)
    groups = collections.defaultdict(collections.Counter)
    closes = collections.defaultdict(collections.Counter)
    bad = []
    for case, result in results.items():
        group = int(case.split(".")[0])
        for name, table in (("behavior", groups), ("behaviorClose", closes)):
            outcome = result[name]
            table[group][outcome if outcome in COLUMNS else "FAILED"] += 1
            if outcome not in GOOD and allowed.get(case) != outcome:
                bad.append(f"{case}: {name} is {outcome} ({result['reportfile']})")

    print(f"{'group':<28}{'cases':>6}" + "".join(f"{column:>15}" for column in COLUMNS) + f"{'clean close':>13}")
    for group in sorted(groups) + [None]:
        counts = groups[group] if group else sum(groups.values(), collections.Counter())
        close = closes[group] if group else sum(closes.values(), collections.Counter())
        name = f"{group} {GROUPS.get(group, '')}" if group else "all"
        clean = sum(close[outcome] for outcome in GOOD)
        cells = "".join(f"{counts[column] or '':>15}" for column in COLUMNS)
        print(f"{name:<28}{counts.total():>6}{cells}{clean:>13}")
    for line in bad:
        print(line)
    if not results:
        sys.exit("no case was run")
    if bad:
        sys.exit(f"{len(bad)} outcomes are neither OK nor INFORMATIONAL")


main()
