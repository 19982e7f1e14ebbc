#!/bin/bash
# Tests the description of the HTTP API with validators of others, and the examples of its pages. Ends with 'N passed, N failed'.
# Needs a built .build/debug/roost; ROOST_BINARY names another one. TEST_PORTS=20000-31999 is the range of ports.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ ! -x "${ROOST_BINARY:-.build/debug/roost}" ]; then
  echo "No ${ROOST_BINARY:-.build/debug/roost}: run swift build first" >&2
  exit 1
fi
bash Tests/scripts.sh api examples_test schema_test verification_test
