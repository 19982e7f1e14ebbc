#!/bin/bash
# Tests what `deploy` holds with real balancers, and that the documentation's examples work. Ends with 'N passed, N failed'.
# Needs a built .build/debug/roost; ROOST_BINARY names another one. TEST_PORTS=20000-31999 is the range of ports.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ ! -x "${ROOST_BINARY:-.build/debug/roost}" ]; then
  echo "No ${ROOST_BINARY:-.build/debug/roost}: run swift build first" >&2
  exit 1
fi
bash Tests/scripts.sh deploy files_test profiles_test helm_test docs_test pages_test start_test run_sh_test transports_test observability_test rolling_restart_test restart_test
