"""Prints the specification of an Autobahn run: specification.py CASES URL FOLDER."""

import json
import sys

# Compression, a thousand messages of each length under each set of parameters: all but seconds of the suite's time.
SLOW = ["12.*", "13.*"]


def main() -> None:
    cases, url, folder = sys.argv[1:]
    chosen = ["*"] if cases in ("all", "fast") else cases.split()
    # The agent's name is the key of its results and begins the names of its reports.
    print(
        json.dumps(
            {
                "outdir": folder,
                "servers": [{"agent": "roost", "url": url}],
                "cases": chosen,
                "exclude-cases": SLOW if cases == "fast" else [],
                "exclude-agent-cases": {},
            }
        )
    )


main()
