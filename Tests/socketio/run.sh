#!/bin/bash
# Tests Socket.IO from outside: the exchanges of the protocols' documents, clients of others, nodes that end under them.
# Ends with 'N passed, N failed'. Needs a built .build/debug/roost; ROOST_BINARY names another one. TEST_PORTS=20000-31999
# is the range of ports.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ ! -x "${ROOST_BINARY:-.build/debug/roost}" ]; then
  echo "No ${ROOST_BINARY:-.build/debug/roost}: run swift build first" >&2
  exit 1
fi
bash Tests/scripts.sh socketio engine_test packets_test refusals_test clients_test backend_test cluster_test browser_test
