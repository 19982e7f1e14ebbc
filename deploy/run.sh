#!/usr/bin/env bash
# Runs a whole cluster on this machine and stays in the foreground; Ctrl-C ends all of it.
#
# With redis-server: Redis, three nodes, and nginx in front when it is there. Without: one node on its embedded broker.
# PORT (8080) is where to open a browser; the nodes take the three ports behind it, Redis the one behind them.
set -euo pipefail
cd "$(dirname "$0")/.."

roost=${ROOST:-.build/release/roost}
port=${PORT:-8080}
export ROOST_ADMIN_TOKEN=${ROOST_ADMIN_TOKEN:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
export ROOST_LOG_FORMAT=${ROOST_LOG_FORMAT:-text}

if ! command -v redis-server >/dev/null; then
  echo "run: no redis-server here: one node on its embedded broker. Open http://localhost:$port"
  exec "$roost" serve --port "$port"
fi

state=$(mktemp -d)
children=()
stop() {
  trap - EXIT INT TERM
  # Newest first: the proxy lets go, the nodes drain, Redis goes last.
  for ((i = ${#children[@]} - 1; i >= 0; i--)); do
    kill "${children[i]}" 2>/dev/null || true
    wait "${children[i]}" 2>/dev/null || true
  done
  rm -rf "$state"
}
trap stop EXIT
trap 'exit 0' INT TERM

# Waits until a command succeeds, ten seconds at most.
await() {
  local name=$1
  shift
  for _ in $(seq 100); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "run: $name did not start; is its port taken? Choose others with PORT=…" >&2
  exit 1
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3 && grep -q ' 200 ' <&3); }

redis=$((port + 4))
redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no --dir "$state" --logfile redis.log &
children+=($!)
await Redis redis-cli -p "$redis" ping

for n in 1 2 3; do
  "$roost" serve --port $((port + n)) --node-id "node-$n" --workers 1 --drain 1s --redis "redis://127.0.0.1:$redis" \
    --trusted-proxies 127.0.0.1 &
  children+=($!)
done
for n in 1 2 3; do await "node-$n" answers $((port + n)); done

if command -v nginx >/dev/null; then
  mkdir "$state/nginx"
  cp deploy/nginx.conf "$state/nginx/"
  echo "listen $port;" >"$state/nginx/listen.conf"
  {
    echo 'upstream roost { zone roost 256k; least_conn;'
    for n in 1 2 3; do echo "server 127.0.0.1:$((port + n)) max_fails=3 fail_timeout=5s;"; done
    echo 'keepalive 64; keepalive_timeout 5s; }'
  } >"$state/nginx/upstream.conf"
  nginx -p "$state/nginx" -e stderr -c "$state/nginx/nginx.conf" -g 'daemon off;' 2>"$state/nginx/stderr.log" &
  children+=($!)
  await nginx answers "$port"
  echo "run: nginx in front of all three:  http://localhost:$port"
fi
for n in 1 2 3; do echo "run: node-$n:                     http://localhost:$((port + n))"; done
echo "run: who is in a room:             ROOST_ADMIN_TOKEN=$ROOST_ADMIN_TOKEN $roost presence lobby --url http://localhost:$((port + 1))"
echo "run: Ctrl-C ends everything"
# Killing a node, or Redis, is an experiment worth making: the others go on.
while [ -n "$(jobs -pr)" ]; do
  wait -n || true
  echo "run: a process has ended; the others go on"
done
