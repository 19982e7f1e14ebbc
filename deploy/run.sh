#!/usr/bin/env bash
# Runs a whole cluster on this machine and stays in the foreground; Ctrl-C ends all of it.
#
# With redis-server: Redis, three nodes, and nginx in front when it is there. Without: one node on its embedded broker.
# PORT (8080) is where to open a browser; the nodes take the three ports behind it, Redis the one behind them.
# ROOST names another program than .build/release/roost. Every ROOST_… variable is a setting of the nodes.
set -euo pipefail
cd "$(dirname "$0")/.."

roost=${ROOST:-.build/release/roost}
port=${PORT:-8080}

fail() { # MESSAGE [STATUS]
  echo "run: $1" >&2
  exit "${2:-1}"
}

if ! [[ $port =~ ^[0-9]{1,5}$ ]] || ((10#$port < 1 || 10#$port > 65531)); then
  fail "PORT must be 1 to 65531, not '$port'" 64
fi
port=$((10#$port))
command -v "$roost" >/dev/null || fail "no program $roost: build it with make release, or name another one with ROOST=…" 64

if [ -n "${ROOST_ADMIN_TOKEN:-}" ]; then
  dashboard="/admin/   (the token is your ROOST_ADMIN_TOKEN)"
else
  ROOST_ADMIN_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  dashboard="/admin/?token=$ROOST_ADMIN_TOKEN"
fi
export ROOST_ADMIN_TOKEN
export ROOST_LOG_FORMAT=${ROOST_LOG_FORMAT:-text}

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
require_free() {
  local each
  for each in "$@"; do
    if is_taken "$each"; then fail "port $each is taken by another program; choose other ports: PORT=$((port + 1000)) make run" 69; fi
  done
}

if ! command -v redis-server >/dev/null; then
  require_free "$port"
  echo "run: no redis-server here: one node on its embedded broker"
  echo "run: chat, open it in two windows:  http://localhost:$port"
  echo "run: dashboard:                     http://localhost:$port$dashboard"
  exec "$roost" serve --port "$port"
fi

redis=$((port + 4))
nodes=($((port + 1)) $((port + 2)) $((port + 3)))
require_free "${nodes[@]}" "$redis"
with_nginx=
if PATH=$PATH:/usr/sbin command -v nginx >/dev/null; then
  with_nginx=yes
  require_free "$port"
fi

state=$(mktemp -d)
chmod 755 "$state" # started by root, nginx works as another user
declare -A names
children=()

# Starts a process that Ctrl-C at the terminal does not reach (it is ended in order, below) and that ends with this one
# even when that is killed.
start() { # NAME COMMAND…
  local name=$1
  shift
  setsid setpriv --pdeathsig TERM "$@" &
  children+=($!)
  names[$!]=$name
}

stop() {
  trap - EXIT
  trap 'kill -KILL "${children[@]}" 2>/dev/null; rm -rf "$state"; exit 130' INT TERM HUP # asked twice: at once
  # Newest first: the proxy lets go, the nodes drain together, Redis goes last.
  local redis_process=${children[0]:-} proxy=${children[4]:-}
  local each
  for each in "$proxy" "${children[*]:1:3}" "$redis_process"; do
    [ -n "$each" ] || continue
    # shellcheck disable=SC2086
    kill $each 2>/dev/null || true
    # shellcheck disable=SC2086
    wait $each 2>/dev/null || true
  done
  rm -rf "$state"
}
trap stop EXIT
trap 'exit 0' INT TERM HUP

# Waits until a command succeeds, ten seconds at most, or the newest process has ended.
await() { # COMMAND…
  local process=${children[-1]} deadline=$((SECONDS + 10))
  until "$@" >/dev/null 2>&1; do
    if ! kill -0 "$process" 2>/dev/null || ((SECONDS >= deadline)); then
      tail -n 5 "$state"/*.log >&2 2>/dev/null || true
      fail "${names[$process]} did not start; its reason is above. Other ports: PORT=$((port + 1000)) make run" 69
    fi
    sleep 0.05
  done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3 && grep -q ' 200 ' <&3); }

start Redis redis-server --port "$redis" --bind 127.0.0.1 --save '' --appendonly no --dir "$state" --logfile redis.log
await redis-cli -p "$redis" ping

for n in 1 2 3; do
  start "node-$n" "$roost" serve --port $((port + n)) --node-id "node-$n" --workers 1 --drain 1s \
    --redis "redis://127.0.0.1:$redis" --trusted-proxies 127.0.0.1
  await answers $((port + n))
done

front=${nodes[0]}
if [ -n "$with_nginx" ]; then
  mkdir "$state/nginx"
  cp deploy/nginx.conf "$state/nginx/"
  echo "listen $port;" >"$state/nginx/listen.conf"
  # The shipped upstream with the three nodes in place of Docker's name.
  awk -v port="$port" '
    /^resolver/ { next }
    / node:8080 resolve/ { for (n = 1; n <= 3; n++) { line = $0; sub(/node:8080 resolve/, "127.0.0.1:" port + n, line); print line } next }
    { print }' deploy/upstream.conf >"$state/nginx/upstream.conf"
  PATH=$PATH:/usr/sbin start nginx nginx -p "$state/nginx" -e stderr -c "$state/nginx/nginx.conf" -g 'daemon off;' 2>"$state/nginx.log"
  await answers "$port"
  front=$port
else
  echo "run: no nginx here: nothing listens on $port, use the nodes themselves"
fi

echo "run: chat, open it in two windows:  http://localhost:$front"
for n in 1 2 3; do echo "run: node-$n alone:                  http://localhost:$((port + n))"; done
echo "run: dashboard:                     http://localhost:$front$dashboard"
if [[ $dashboard == *token=* ]]; then
  echo "run: for the commands:              export ROOST_URL=http://localhost:$front ROOST_ADMIN_TOKEN=$ROOST_ADMIN_TOKEN"
else
  echo "run: for the commands:              export ROOST_URL=http://localhost:$front"
fi
echo "run: who is in a room:              $roost presence lobby"
echo "run: Ctrl-C ends everything"
# Killing a node, or Redis, is an experiment worth making: the others go on. Only `wait` here: bash may lose a Ctrl-C that
# comes while it waits for a command of its own.
for ((left = ${#children[@]}; left > 0; left--)); do
  status=0
  wait -n -p ended || status=$?
  echo "run: ${names[$ended]} has ended with status $status; the others go on"
done
fail "everything has ended"
