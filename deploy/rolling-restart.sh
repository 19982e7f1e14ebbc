#!/usr/bin/env bash
# Restarts the nodes of a cluster one after the other, without losing a message. docs/deployment.md.
#
#   ROOST_ADMIN_TOKEN=… deploy/rolling-restart.sh [--start COMMAND] http://10.0.0.11:8080 http://10.0.0.12:8080 …
#
# Each URL is a node itself, not the balancer. A node is drained (POST /admin/drain): its clients move to the other nodes, then
# its process ends. systemd, Docker and Kubernetes start it again; where nothing does, --start names the command that does:
# run by sh, with the node's URL in $URL and its number, from 1, in $NUMBER.
# A node that is not ready again within --timeout (120 s) stops the restart: the others are left as they are.
set -euo pipefail

start= timeout=120 settle=2
nodes=()
fail() { # MESSAGE STATUS
  echo "rolling-restart: $1" >&2
  exit "$2"
}
usage() { fail "$1; expected: rolling-restart.sh [--start COMMAND] [--timeout SECONDS] [--settle SECONDS] URL URL…" 64; }
whole() { [[ $2 =~ ^[0-9]{1,5}$ ]] || usage "$1 needs a number of seconds, not '$2'"; }

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --start | --timeout | --settle)
      [ $# -ge 2 ] || usage "$1 has no value"
      case $1 in
        --start) start=$2 ;;
        --timeout) whole "$1" "$2"; timeout=$2 ;;
        --settle) whole "$1" "$2"; settle=$2 ;;
      esac
      shift 2
      ;;
    http://* | https://*) nodes+=("${1%/}"); shift ;;
    *) usage "'$1' is neither an option nor a URL" ;;
  esac
done
[ ${#nodes[@]} -ge 2 ] || usage "a restart without an outage needs two nodes or more"
[ -n "${ROOST_ADMIN_TOKEN:-}" ] || fail "ROOST_ADMIN_TOKEN is not set; it is the nodes' admin-token" 64
command -v curl >/dev/null || fail "curl is missing: apt install curl" 69

# The status of /readyz; 000 when nothing answers.
readiness() { curl -s -o /dev/null -m 5 -w '%{http_code}' "$1/readyz" || true; }

# The token goes by standard input: a command line can be read by every user of the machine.
admin() { # METHOD URL [BODY]
  printf 'header = "Authorization: Bearer %s"\n' "$ROOST_ADMIN_TOKEN" |
    curl -sS -f -m 10 -K - -X "$1" ${3:+-H 'Content-Type: application/json' --data "$3"} "$2"
}

# The names of nodes in JSON from standard input that have a prefix.
names() { grep -o '"id":"[^"]*"' | cut -d'"' -f4 | grep -F -- "$1" | grep "^$(printf %s "$1" | sed 's/[.[\*^$]/\\&/g')[0-9]*$" || true; }

await() { # WHAT URL WANTED: until /readyz answers so (200), or anything else (!200)
  local deadline=$((SECONDS + timeout)) status began=$SECONDS
  while :; do
    status=$(readiness "$2")
    case $3 in
      200) [ "$status" = 200 ] && break ;;
      !200) [ "$status" != 200 ] && break ;;
      000) [ "$status" = 000 ] && break ;;
    esac
    ((SECONDS < deadline)) || fail "$2 was not $1 within $timeout s (/readyz: $status). The nodes after it were not touched: \
look at its log, repair it, then run this again with the nodes that are left" 69
    sleep 0.1
  done
  echo "$prefix $1 after $((SECONDS - began)) s"
}

number=0
prefix="[0/${#nodes[@]}]"
for url in "${nodes[@]}"; do
  status=$(readiness "$url")
  [ "$status" = 200 ] || fail "$url is not ready (/readyz: $status); nothing was restarted" 69
done
echo "$prefix all nodes are ready"

for url in "${nodes[@]}"; do
  number=$((number + 1))
  prefix="[$number/${#nodes[@]}] $url:"
  # Another one must be there to take the clients.
  for other in "${nodes[@]}"; do
    [ "$other" = "$url" ] || [ "$(readiness "$other")" = 200 ] || fail "$other is not ready; $url was not drained" 69
  done
  listed=$(admin GET "$url/admin/nodes") || fail "$url refuses /admin/nodes: is ROOST_ADMIN_TOKEN its admin-token?" 77
  drained=$(admin POST "$url/admin/drain" | grep -o '"node":"[^"]*"' | cut -d'"' -f4) || fail "$url cannot be drained" 69
  echo "$prefix draining $drained"
  # Of several workers on the port each is a node: NAME.1, NAME.2, …
  if [[ $drained =~ ^(.+\.)[0-9]+$ ]]; then
    for worker in $(printf %s "$listed" | names "${BASH_REMATCH[1]}"); do
      [ "$worker" = "$drained" ] || admin POST "$url/admin/drain" "{\"node\":\"$worker\"}" >/dev/null || true
      [ "$worker" = "$drained" ] || echo "$prefix draining $worker"
    done
  fi
  await "out of service" "$url" '!200'
  if [ -n "$start" ]; then
    await "ended" "$url" 000
    URL=$url NUMBER=$number sh -c "$start" || fail "the command of --start has failed for $url" 69
  fi
  await "ready again" "$url" 200
  sleep "$settle" # until balancers have noticed
done
echo "[$number/${#nodes[@]}] all nodes have been restarted"
