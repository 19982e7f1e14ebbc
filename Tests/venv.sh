#!/bin/bash
# Makes the Python environment of the tests in .build/venv when it is missing or old, and prints its python.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.build/venv
# A folder that a broken installation left behind is made again.
if ! cmp -s Tests/requirements.txt "$venv/installed.txt" 2>/dev/null; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r Tests/requirements.txt >&2
  cp Tests/requirements.txt "$venv/installed.txt"
fi
echo "$venv/bin/python"
