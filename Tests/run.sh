#!/bin/bash
# Builds, runs the Swift tests and the browser test, and ends with their sums: 'N passed, N failed'.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

swift build --build-tests || exit 1
swift test --skip-build 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
# Swift Testing ends every test with one line; a test with arguments counts once.
passed=$(grep -cE '^. Test ("|.*\)).* passed after ' "$log")
failed=$(grep -cE '^. Test ("|.*\)).* failed after ' "$log")

bash Tests/browser/run.sh 2>&1 | tee "$log"
browser=${PIPESTATUS[0]}
if line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1); then
  read -r browser_passed _ browser_failed _ <<< "$line"
  passed=$((passed + browser_passed))
  failed=$((failed + browser_failed))
else
  failed=$((failed + 1))
fi

echo "$passed passed, $failed failed"
[ "$status" = 0 ] && [ "$browser" = 0 ] && [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
