#!/bin/bash
# Runs the Swift tests under AddressSanitizer, then under ThreadSanitizer, each with a build of its own.
#
#   sanitize.sh [address] [thread]     both when none is named
#
# SKIP names the tests that are left out: clusters of node processes, whose time limits an instrumented build is too slow
# for. The node processes of the other suites are instrumented like the tests themselves. The libraries have a process of
# their own, as in run.sh.
set -uo pipefail
cd "$(dirname "$0")/.."

skip=${SKIP:-ClusterTests|FaultTests}
libraries='RoostServerTests|RoostClientTests'
# Without it a report hangs in the runtime's own printing of stacks.
export SWIFT_BACKTRACE=enable=no
# A leak at the end of a process is none: a node keeps its tables until it ends.
export ASAN_OPTIONS=detect_leaks=0

status=0
if [ $# -eq 0 ]; then set -- address thread; fi
for name in "$@"; do
  echo "$name:"
  swift test --sanitize="$name" --scratch-path ".build/$name" --skip "$skip|$libraries" || status=1
  swift test --skip-build --sanitize="$name" --scratch-path ".build/$name" --filter "$libraries" || status=1
done
exit $status
