#!/usr/bin/env bash
# Builds and runs every test program under ASan and UBSan, then the end-to-end scripts against build/pharos, and ends
# with "N passed, N failed". A test case is one cmocka case, one end-to-end script or one layer check.
#
#   BUILD=build-tsan scripts/run_tests.sh --unit-only      another build directory, no end-to-end scripts
#   scripts/run_tests.sh net wire                          only these floors (and no scripts)
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build-san}
unit_only=false
floors=()
for a in "$@"; do
    if [ "$a" = --unit-only ]; then unit_only=true; else floors+=("$a"); unit_only=true; fi
done
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=0:abort_on_error=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}
export PHAROS_SHARED=${PHAROS_SHARED:-$PWD/../shared}
export CMOCKA_MESSAGE_OUTPUT=STDOUT
ninja -C "$build" >"$build/build.log" 2>&1 || { grep -E 'error|FAILED|undefined' "$build/build.log" | head -40; echo "0 passed, 1 failed"; exit 1; }

logs=$build/test-logs
rm -rf "$logs"
mkdir -p "$logs"
passed=0 failed=0 skipped=0
count() { # $1 = name, $2 = log, $3 = exit status: adds what a cmocka program says
    local ok bad skip
    ok=$(grep -c '^\[       OK \]' "$2"); bad=$(grep -E '^\[  FAILED  \] [a-z_0-9]+$' "$2" | sort -u | wc -l); skip=$(grep -c '^\[  SKIPPED \] [a-z_0-9]*$' "$2")
    grep -h '^SKIPPED:' "$2" | sort -u | head -n 3 | sed "s/^/$1: /"
    if [ "$3" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    if [ "$bad" -gt 0 ]; then
        echo "FAILED $1 (exit $3)"
        grep -vE '^\[( RUN|       OK|=====)' "$2" | tail -n 40 | sed 's/^/    /'
    else
        echo "ok     $1 ($ok cases$([ "$skip" -gt 0 ] && echo ", $skip skipped"))"
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}
programs=()
for exe in "$build"/tests/unit/test_*; do
    [ -x "$exe" ] && [ -f "$exe" ] || continue
    name=${exe##*/test_}
    if [ ${#floors[@]} -gt 0 ] && ! printf '%s\n' "${floors[@]}" | grep -qx "${name%%_*}"; then continue; fi
    programs+=("$exe")
done
# As many at a time as there are cores; each with its own limit, so that one that hangs fails by name.
printf '%s\n' "${programs[@]}" | xargs -P "$(nproc)" -I{} sh -c \
    'n=$(basename {}); timeout -k 5 ${TEST_TIMEOUT:-900} {} >"'"$logs"'/$n.log" 2>&1; echo $? >"'"$logs"'/$n.rc"'
for exe in "${programs[@]}"; do
    n=$(basename "$exe")
    count "${n#test_}" "$logs/$n.log" "$(cat "$logs/$n.rc")"
done

if [ $unit_only = false ]; then
    scripts=()
    for script in scripts/check_layers.py tests/e2e/*.sh tests/e2e/*.py tests/ui/model.sh tests/browser/run.sh; do
        [ -x "$script" ] && scripts+=("$script")
    done
    # They mostly wait: side by side as the programs above, the longest first.
    printf '%s\n' tests/e2e/crash_kill.py $(printf '%s\n' "${scripts[@]}" | grep -v crash_kill) |
        xargs -P "$(nproc)" -I{} sh -c 'n=$(basename {}); timeout -k 5 900 {} >"'"$logs"'/$n.log" 2>&1; echo $? >"'"$logs"'/$n.rc"'
    for script in "${scripts[@]}"; do
        log=$logs/$(basename "$script").log
        rc=$(cat "$logs/$(basename "$script").rc")
        if [ "$rc" -eq 77 ]; then
            skipped=$((skipped + 1)); echo "skipped $script: $(tail -n 1 "$log")"
        elif [ "$rc" -eq 0 ]; then
            passed=$((passed + 1)); echo "ok     $script ($(tail -n 1 "$log"))"
        else
            failed=$((failed + 1)); echo "FAILED $script (exit $rc)"; tail -n 30 "$log" | sed 's/^/    /'
        fi
    done
fi
[ $skipped -eq 0 ] || echo "skipped: $skipped (see above)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
