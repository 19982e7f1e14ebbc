#!/bin/bash
# Tests the description of the HTTP API with validators of others, and the examples of its pages. Ends with 'N passed, N failed'.
# Needs a built .build/debug/roost; ROOST_BINARY names another one. TEST_PORTS=20000-31999 is the range of ports.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ ! -x "${ROOST_BINARY:-.build/debug/roost}" ]; then
  echo "No ${ROOST_BINARY:-.build/debug/roost}: run swift build first" >&2
  exit 1
fi
python=$(bash Tests/venv.sh)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0
for script in examples_test schema_test; do
  echo "== $script"
  "$python" "Tests/api/$script.py" | tee "$log" || true
  if read -r more _ less _ < <(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log"); then
    passed=$((passed + more))
    failed=$((failed + less))
  else
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
