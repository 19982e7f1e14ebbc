#!/bin/bash
# Tests the client library: the file, its types and its npm package; its calls, and the recipes of the cookbook, in Chromium; and in Node and Chromium, on real
# nodes, what becomes of messages when nodes die and networks fail. Ends with 'N passed, N failed'. Needs a built
# .build/debug/roost; ROOST_BINARY names another one.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ ! -x "${ROOST_BINARY:-.build/debug/roost}" ]; then
  echo "No ${ROOST_BINARY:-.build/debug/roost}: run swift build first" >&2
  exit 1
fi
bash Tests/scripts.sh client package_test calls_test guide_test recipes_test resume_test
