#!/bin/bash
# Runs the Autobahn test suite against `roost serve --echo` and judges every case (RFC 6455, RFC 7692).
#
#   CASES=all    all 517 cases, about 10 minutes (the default)
#   CASES=fast   all but compression (groups 12 and 13): half a minute
#   CASES='5.* 7.3.1'   those cases
#
# The suite needs Python 2.7: PYTHON27 names one, else pyenv's or the one on the PATH is taken. Without one the run ends
# with status 69, or with 0 when CI is set. ROOST_BINARY names the program, else the newest build is taken.
set -euo pipefail
cd "$(dirname "$0")/../.."

cases=${CASES:-all}
folder=$PWD/.build/autobahn
python3=$(command -v python3)

candidates=("$HOME/.pyenv/versions/2.7.18/bin/python" "$(command -v python2.7 || true)")
if [ -n "${PYTHON27:-}" ]; then candidates=("$PYTHON27"); fi
python27=
for candidate in "${candidates[@]}"; do
  # pyenv's shim is on the PATH also when the version behind it is not chosen, so each is asked to run.
  if [ -x "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
    python27=$candidate
    break
  fi
done
if [ -z "$python27" ]; then
  echo "skipped: no Python 2.7 (the Autobahn test suite runs on nothing later; PYTHON27 names one)"
  if [ -n "${CI:-}" ]; then exit 0; else exit 69; fi
fi

roost=${ROOST_BINARY:-}
if [ -z "$roost" ]; then
  roost=$(ls -t .build/release/roost .build/debug/roost 2>/dev/null | head -n 1 || true)
fi
if [ ! -x "$roost" ]; then
  echo "No program to test: run make release first" >&2
  exit 1
fi

# 20.22 is the first virtualenv that makes no environment for Python 2.7.
install() {
  "$python3" -m venv "$folder/python3" &&
    "$folder/python3/bin/pip" install --quiet 'virtualenv<20.22' &&
    "$folder/python3/bin/virtualenv" --quiet -p "$python27" "$folder/python27" &&
    "$folder/python27/bin/pip" install --quiet --no-python-version-warning autobahntestsuite==25.10.1
}

# A folder that a broken installation left behind is made again.
wstest=$folder/python27/bin/wstest
if [ ! -f "$folder/installed" ]; then
  rm -rf "$folder"
  mkdir -p "$folder"
  if ! install; then
    echo "skipped: the Autobahn test suite could not be installed"
    if [ -n "${CI:-}" ]; then exit 0; else exit 69; fi
  fi
  touch "$folder/installed"
fi

work=$(mktemp -d)
server=
finish() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap finish EXIT

port=$("$python3" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# The longest messages of the suite have 16 MiB.
"$roost" serve --host 127.0.0.1 --port "$port" --workers 1 --echo --max-message 16m --max-queue 64m --drain 0s \
  > "$work/roost.log" 2>&1 &
server=$!
"$python3" Tests/conformance/specification.py "$cases" "ws://127.0.0.1:$port/echo" "$folder/report" > "$work/spec.json"
for _ in $(seq 100); do
  if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
  sleep 0.1
done
if ! kill -0 "$server" 2>/dev/null; then
  cat "$work/roost.log" >&2
  exit 1
fi

rm -rf "$folder/report"
started=$SECONDS
# wstest ends with 0 whatever came out of the cases.
if ! (cd "$work" && "$wstest" -m fuzzingclient -s "$work/spec.json") > "$work/wstest.log" 2>&1; then
  tail -n 30 "$work/wstest.log" >&2
  exit 1
fi
echo "Autobahn, cases: $cases, $((SECONDS - started)) s; reports in ${folder#"$PWD"/}/report/index.html"
"$python3" Tests/conformance/judge.py "$folder/report/index.json" Tests/conformance/allowed.txt
