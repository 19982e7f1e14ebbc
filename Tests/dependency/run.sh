#!/bin/bash
# Builds and runs a package that depends on this one, by path and by a tag, as any other package would: with `swift build`
# and nothing else. Takes some minutes. Ends with 'N passed, N failed'.
set -uo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# Builds the package against $ROOST_PACKAGE in a folder of its own, and runs it.
try() {
  local name=$1
  mkdir -p "$work/$name"
  cp -r Package.swift Sources "$work/$name"
  if (cd "$work/$name" && swift build -c release 2>&1 | tail -n 30 && .build/release/consumer) 2>&1 | tee "$work/log" &&
    grep -q '^both libraries work$' "$work/log"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: a dependency $name"
  fi
  rm -rf "$work/$name"
}

echo "== by path"
ROOST_PACKAGE=$root try "by path"

echo "== by a tag"
git clone --quiet --no-hardlinks "$root" "$work/roost" &&
  # What is not committed yet is part of what is tested.
  (cd "$root" && git ls-files -z --cached --others --exclude-standard -- Package.swift Sources Tests |
    while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done | tar --null -T - -cf -) |
  tar -xf - -C "$work/roost" &&
  (cd "$work/roost" && git add -A && git -c user.name=test -c user.email=test@localhost commit --quiet --allow-empty -m tag &&
    git tag 9.9.9)
ROOST_PACKAGE=file://$work/roost ROOST_TAG=9.9.9 try "by a tag"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
