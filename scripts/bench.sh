#!/usr/bin/env bash
# Runs the benchmarks under bench/ (each prints its figures); the peers take part where scripts/peers.sh unpacked them.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f build-bench/build.ninja ] || meson setup build-bench --buildtype=release -Dbench=true >/dev/null
ninja -C build-bench >/dev/null
for exe in build-bench/bench/bench_*; do
    [ -x "$exe" ] && [ -f "$exe" ] || continue
    echo "== ${exe##*/}"
    "$exe"
done
for script in bench/*.sh bench/*.py; do
    [ -x "$script" ] || continue
    echo "== $script"
    "$script"
done
