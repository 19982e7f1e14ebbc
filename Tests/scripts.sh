#!/bin/bash
# Runs Python scripts of a folder below Tests, each of which ends with 'N passed, N failed', and ends with their sum.
#
#   scripts.sh FOLDER SCRIPT…     names without .py
#
# PYTHON is the interpreter; without it that of the tests' own environment.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1
shift
python=${PYTHON:-$(bash Tests/venv.sh)}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0
for script in "$@"; do
  echo "== $script"
  "$python" "Tests/$folder/$script.py" | tee "$log" || true
  if read -r more _ less _ < <(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log"); then
    passed=$((passed + more))
    failed=$((failed + less))
  else
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
