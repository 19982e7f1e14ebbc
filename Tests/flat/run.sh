#!/bin/bash
# Builds flatcost and counts what it does: see measure.py.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v valgrind >/dev/null; then
  echo "valgrind is missing: apt-get install valgrind" >&2
  exit 69
fi
swift build -c release --product flatcost
python3 Tests/flat/measure.py .build/release/flatcost Tests/flat/thresholds.json
