#!/bin/bash
# Runs the tests of the pages in a real Chromium: chat and dashboard on two real nodes with one Redis, all on free ports,
# all ended afterwards; calls with devices that Chromium plays; client library and chat page against a scripted server. Ends with 'N passed, N failed'.
# Needs a built .build/debug/roost; ROOST_BINARY names another one.
set -euo pipefail
cd "$(dirname "$0")/../.."

roost=${ROOST_BINARY:-.build/debug/roost}
work=$(mktemp -d)
processes=()

finish() {
  for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
  for process in "${processes[@]}"; do wait "$process" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

if [ ! -x "$roost" ]; then
  echo "No $roost: run swift build first" >&2
  exit 1
fi

python=$(bash Tests/venv.sh)

# Prints a port of the range TEST_PORTS, 20000-31999 by default, on which nobody listens.
free_port() {
  python3 -c '
import os, random, socket
first, last = map(int, os.environ.get("TEST_PORTS", "20000-31999").split("-"))
while True:
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port := random.randint(first, last)))
            print(port)
            break
        except OSError:
            pass
'
}

# Waits until a command succeeds, at most 20 s.
until_true() {
  for _ in $(seq 200); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "Not within 20 s: $*" >&2
  tail -n 20 "$work"/*.log >&2
  return 1
}

redis_port=$(free_port)
redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" > "$work/redis.log" 2>&1 &
processes+=($!)
until_true redis-cli -p "$redis_port" ping

export ROOST_ADMIN_TOKEN=browser-test-token
echo '{"rooms":[{"match":"lasting*","leave-debounce":"5m"}]}' > "$work/roost.json"
urls=()
for node in a b; do
  port=$(free_port)
  "$roost" serve --port "$port" --host 127.0.0.1 --node-id "$node" --workers 1 --drain 0s --config "$work/roost.json" \
    --ice-servers "stun:127.0.0.1:$port,turn:127.0.0.1:$port?transport=tcp" --ice-secret browser-test-secret \
    --redis "redis://127.0.0.1:$redis_port" > "$work/$node.log" 2>&1 &
  processes+=($!)
  url=http://127.0.0.1:$port
  until_true python3 -c "import urllib.request; urllib.request.urlopen('$url/readyz', timeout=2)"
  urls+=("$url")
done

export ROOST_URL_A=${urls[0]} ROOST_URL_B=${urls[1]} ROOST_BINARY=$roost
if ! PYTHON=$python bash Tests/scripts.sh browser client_test lazy_test page_test readme_test start_test chat_test entry_test call_test demo_test dashboard_test outage_test; then
  tail -n 20 "$work"/?.log >&2
  exit 1
fi
