#!/usr/bin/env bash
# make bench: Pharos and its peers (where scripts/peers.sh unpacked them) side by side, in some minutes and small.
# make bench FULL=1: the sizes of the goals, some two hours on a quiet machine; appends to docs/reach.jsonl and renews the tables of
# docs/performance.md. One row of it by hand: scripts/long.sh engine-steady and so on.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f build-bench/build.ninja ] || meson setup build-bench --buildtype=release -Dbench=true >/dev/null
ninja -C build-bench >/dev/null
if [ -n "${FULL:-}" ]; then
    scripts/long.sh engine-session engine-disk engine-30d engine-10m
    bench/report.py
    exit
fi
for exe in build-bench/bench/bench_*; do
    [ -x "$exe" ] && [ -f "$exe" ] || continue
    echo "== ${exe##*/}"
    "$exe"
done
bench/engine.py steady queries restart disk churn --targets 150 --warm 0.5 --minutes 2.5 --churn-minutes 1 --repeats 5
bench/engine.py 30d --days 1
bench/engine.py 10m --hold-series 300000
bench/ingest.py --series 50000 --rounds 5
