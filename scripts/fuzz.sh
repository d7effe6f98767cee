#!/usr/bin/env bash
# Runs fuzz targets one after the other (or FUZZ=name), each for SECONDS_EACH seconds, keeping what it learns under
# .cache/corpus/<target>. With RECORD=1 appends each target's minutes to docs/reach.jsonl.
set -u
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}
ninja -C build-fuzz >build-fuzz/build.log 2>&1 || { grep -E 'error|FAILED' build-fuzz/build.log | head -20; exit 1; }
bad=0 ran=0 all_seconds=0
for src in fuzz/fuzz_*.c; do
    name=$(basename "$src" .c)
    [ -z "${FUZZ:-}" ] || [ "$FUZZ" = "$name" ] || [ "fuzz_$FUZZ" = "$name" ] || continue
    mkdir -p ".cache/corpus/$name" ".cache/crashes"
    seeds=()
    [ -d "fuzz/seeds/$name" ] && seeds=("fuzz/seeds/$name")
    if build-fuzz/fuzz/"$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix=".cache/crashes/$name-" \
        ".cache/corpus/$name" "${seeds[@]}" >"build-fuzz/$name.log" 2>&1; then
        echo "ok      $name: $(grep -oE 'number_of_executed_units: [0-9]+' "build-fuzz/$name.log" | grep -oE '[0-9]+') executions in $seconds s"
        ran=$((ran + 1))
    else
        echo "FINDING $name: see build-fuzz/$name.log"; bad=$((bad + 1))
    fi
    all_seconds=$((all_seconds + seconds))
done
if [ "${RECORD:-}" = 1 ]; then
    scripts/reach.py add --row "fuzz: every parser" --figure "$ran targets x $seconds s, $bad findings" --met "$([ $bad -eq 0 ] && [ "$seconds" -ge 600 ] && echo yes || echo no)" \
        --command "SECONDS_EACH=$seconds make fuzz"
fi
[ $bad -eq 0 ]
