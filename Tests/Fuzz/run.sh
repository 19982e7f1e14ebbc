#!/bin/bash
# Runs libFuzzer over every target of Tests/FuzzTargets, or over those that are named.
#
#   run.sh [TARGET...]          FUZZ_SECONDS (60) are divided among the targets
#   run.sh TARGET FILE          repeats one input
#
# Prints what each run came to. Ends with 1 on a crash, a hang or a broken promise, and says how to repeat it. New inputs
# are kept in .build/fuzz-corpus from run to run; those worth keeping for good belong into Tests/Fuzz/corpus.
set -uo pipefail
cd "$(dirname "$0")/../.."

# Without it a crash hangs in the runtime's own printing of stacks.
export SWIFT_BACKTRACE=enable=no
seconds=${FUZZ_SECONDS:-60}
build=.build/fuzz
log=$(mktemp)
trap 'rm -f "$log"' EXIT

if ! swift build --package-path Tests/Fuzz --scratch-path "$build" -c release -Xswiftc -sanitize=fuzzer \
  --product Fuzz > "$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
fuzz=$build/release/Fuzz

if [ $# -eq 2 ] && [ -f "$2" ]; then
  exec "$fuzz" "$1" "$2"
fi
targets=("$@")
if [ $# -eq 0 ]; then
  for folder in Tests/Fuzz/corpus/*/; do targets+=("$(basename "$folder")"); done
fi
each=$((seconds / ${#targets[@]}))
if [ "$each" -lt 1 ]; then each=1; fi

status=0
printf '%-12s %8s %12s %10s %10s %8s\n' target seconds executions per_second coverage corpus
for target in "${targets[@]}"; do
  found=.build/fuzz-corpus/$target
  mkdir -p "$found" .build/fuzz-crashes
  result=ok
  "$fuzz" "$target" "$found" "Tests/Fuzz/corpus/$target" "-max_total_time=$each" -max_len=4096 -timeout=10 \
    -rss_limit_mb=1024 -print_final_stats=1 "-artifact_prefix=.build/fuzz-crashes/$target-" > "$log" 2>&1 || result=failed
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  # The last line of progress: '#N DONE cov: C ft: F corp: N/B …'.
  coverage=$(grep -oE 'cov: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)
  corpus=$(grep -oE 'corp: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)
  printf '%-12s %8s %12s %10s %10s %8s\n' "$target" "$each" "${executions:--}" "${rate:--}" "${coverage:--}" "${corpus:--}"
  if [ "$result" = failed ]; then
    status=1
    grep -vE '^(#|INFO|NEW_FUNC|\s+NEW_FUNC)' "$log" | head -n 20
    artifact=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    echo "Repeat it with: Tests/Fuzz/run.sh $target ${artifact:-FILE}"
  fi
done
exit $status
