#!/bin/bash
# Builds, runs all tests, and ends with their sum: 'N passed, N failed'.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
failures=$(mktemp)
trap 'rm -f "$log" "$failures"' EXIT
passed=0
failed=0

swift build --build-tests || exit 1

# Runs Swift tests and adds to the sum.
swift_tests() {
  swift test --skip-build "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} less
  # Swift Testing ends every test with one line; a test with arguments counts once.
  passed=$((passed + $(grep -cE '^. Test ("|.*\)).* passed after ' "$log")))
  less=$(grep -cE '^. Test ("|.*\)).* failed after ' "$log")
  grep -A 6 -E ' recorded an issue |Fatal error|: error: ' "$log" >> "$failures"
  # A run that crashed has failed, whatever its lines say.
  if [ "$status" != 0 ] && [ "$less" = 0 ]; then less=1; fi
  failed=$((failed + less))
}

# The libraries have a process of their own: their tasks share a few threads with whatever else runs, and tests that wait for
# sockets hold those.
libraries='RoostServerTests|RoostClientTests'
swift_tests --skip "$libraries"
swift_tests --filter "$libraries"

# Runs a script that ends with 'N passed, N failed' and adds to the sum.
add() {
  "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} line
  if line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1); then
    read -r more _ less _ <<< "$line"
    passed=$((passed + more))
    failed=$((failed + less))
    grep -A 6 '^FAILED' "$log" >> "$failures"
    if [ "$status" != 0 ] && [ "$less" = 0 ]; then failed=$((failed + 1)); fi
  else
    failed=$((failed + 1))
  fi
}

add python3 Tests/tls/tls_test.py
add python3 Tests/tls/pressure_test.py
add bash Tests/browser/run.sh
add bash Tests/client/run.sh
add bash Tests/deploy/run.sh
add bash Tests/api/run.sh
add bash Tests/socketio/run.sh

# Said again at the end, where one looks first.
if [ "$failed" != 0 ]; then
  echo "== What failed"
  tail -c 8000 "$failures"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
