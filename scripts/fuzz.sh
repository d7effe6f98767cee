#!/usr/bin/env bash
# Runs fuzz targets, JOBS at a time (or only FUZZ=name), each for SECONDS_EACH seconds, keeping what it learns under
# .cache/corpus/<target>. With RECORD=1 appends each target's minutes to docs/reach.jsonl.
set -u
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}
ninja -C build-fuzz >build-fuzz/build.log 2>&1 || { grep -E 'error|FAILED' build-fuzz/build.log | head -20; exit 1; }
one() { # $1 = target: runs it, leaves its log and exit status
    mkdir -p ".cache/corpus/$1" .cache/crashes
    seeds=()
    [ -d "fuzz/seeds/$1" ] && seeds=("fuzz/seeds/$1")
    build-fuzz/fuzz/"$1" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix=".cache/crashes/$1-" ".cache/corpus/$1" "${seeds[@]}" >"build-fuzz/$1.log" 2>&1
    echo $? >"build-fuzz/$1.rc"
}
export -f one
export seconds
targets=()
for src in fuzz/fuzz_*.c; do
    name=$(basename "$src" .c)
    [ -z "${FUZZ:-}" ] || [ "$FUZZ" = "$name" ] || [ "fuzz_$FUZZ" = "$name" ] || continue
    targets+=("$name")
done
printf '%s\n' "${targets[@]}" | xargs -P "${JOBS:-1}" -I{} bash -c 'one {}'
bad=0
for name in "${targets[@]}"; do
    if [ "$(cat "build-fuzz/$name.rc")" -eq 0 ]; then
        echo "ok      $name: $(grep -oE 'number_of_executed_units: [0-9]+' "build-fuzz/$name.log" | grep -oE '[0-9]+$') executions in $seconds s"
    else
        echo "FINDING $name: see build-fuzz/$name.log"; bad=$((bad + 1))
    fi
done
if [ "${RECORD:-}" = 1 ]; then
    scripts/reach.py add --row "fuzz: every parser" --figure "${#targets[@]} targets x $seconds s, $bad findings" \
        --met "$([ $bad -eq 0 ] && [ "$seconds" -ge 600 ] && echo yes || echo no)" --command "SECONDS_EACH=$seconds JOBS=${JOBS:-1} make fuzz"
fi
[ $bad -eq 0 ]
