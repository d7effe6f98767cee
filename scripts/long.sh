#!/usr/bin/env bash
# The runs behind `make reach`: each measures one row and appends it to docs/reach.jsonl. By hand, on a quiet machine.
#
#   scripts/long.sh promqltest | power | kill | idle | rebuild | ingest | million | disk | fuzz | promql-diff | peers | alerts | alert-429 | promtool | alert-crash ...
#   scripts/long.sh engine-session    steady, queries, restart and churn in one session of 1,000 targets, beside the peers; shorter:
#                                     MINUTES=4 CHURN_MINUTES=2 (28 and 4 are its own; WARM=2 before)
#   scripts/long.sh engine-steady | engine-queries | engine-restart | engine-churn | engine-disk | engine-30d | engine-10m | engine-profile
set -u
cd "$(dirname "$0")/.."
export PHAROS_SHARED=${PHAROS_SHARED:-$PWD/../shared}

add() { # row figure met command
    scripts/reach.py add --row "$1" --figure "$2" --met "$3" --command "$4"
    echo "$1: $2"
}

promqltest() {
    ninja -C build-san tests/unit/test_metrics_promqltest >/dev/null
    local line
    line=$(build-san/tests/unit/test_metrics_promqltest 2>&1 | grep -oE '[0-9]+ of 2214 evals pass' | tail -n 1)
    add promqltest "$line" "$([ "${line%% *}" -ge 1993 ] && echo yes || echo no)" "scripts/long.sh promqltest"
}

power() { # engine, log, manifest, outbox and spool: 2,000 cuts each
    local bad=0 ran=0
    for t in metrics_engine_crash store_ilog_crash store_manifest_crash store_outbox_crash store_spool_crash; do
        ninja -C build-san "tests/unit/test_$t" >/dev/null
        PHAROS_CUTS=2000 build-san/tests/unit/test_$t >"build-san/power-$t.log" 2>&1 || { bad=$((bad + 1)); echo "$t failed: build-san/power-$t.log"; }
        ran=$((ran + 1))
    done
    add "simulated power cuts" "$ran scenarios x 2,000 cuts: $bad failed" "$([ $bad -eq 0 ] && echo yes || echo no)" "scripts/long.sh power"
}

kill() {
    tests/e2e/crash_kill.py --cycles 100 --seed "${SEED:-1}" --record
}

idle() { # three targets every 15 s for five minutes
    local dir size
    dir=$(mktemp -d)
    cat >"$dir/p.yml" <<YML
global: {scrape_interval: 15s, evaluation_interval: 15s}
rule_files: [$PWD/monitoring/rules/*.yml]
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ['127.0.0.1:19390']}]
  - job_name: node
    metrics_path: /metrics/host
    static_configs: [{targets: ['127.0.0.1:19390']}]
  - job_name: more
    static_configs: [{targets: ['127.0.0.1:19390']}]
YML
    build/pharos all --config.file="$dir/p.yml" --storage.path="$dir/data" --web.listen-address=127.0.0.1:19390 --ui.listen-address=127.0.0.1:0 >"$dir/log" 2>&1 &
    local pid=$!
    sleep "${IDLE_SECONDS:-300}"
    local rss anon
    rss=$(awk '/VmRSS/ {print $2}' /proc/$pid/status) anon=$(awk '/RssAnon/ {print $2}' /proc/$pid/status)
    builtin kill $pid; wait $pid
    strip -o "$dir/stripped" build/pharos
    size=$(stat -c %s "$dir/stripped")
    local ui
    ui=$(find build/src/dash/ui_assets.c.d -type f -printf '%s\n' | awk '{s += $1} END {print s + 0}')
    rm -rf "$dir"
    local core=$((size - ui))
    add "idle, 3 targets every 15 s" "RssAnon $((anon / 1024)) MB, RSS $((rss / 1024)) MB; stripped $((size / 1024)) KB, $((core / 1024)) KB without UI" \
        "$([ "$anon" -le 25600 ] && [ "$rss" -le 40960 ] && [ $core -le 5242880 ] && echo yes || echo no)" "scripts/long.sh idle"
}

rebuild() {
    make >/dev/null
    touch src/metrics/select.c
    local start end
    start=$(date +%s.%N)
    make >/dev/null
    end=$(date +%s.%N)
    local took
    took=$(echo "$end - $start" | bc)
    add "rebuild after one changed file" "$took s (src/metrics/select.c)" "$(echo "$took <= 5" | bc | sed 's/1/yes/; s/0/no/')" "scripts/long.sh rebuild"
}

ingest() { bench/ingest.py --series 100000 --rounds 20 --record; }
million() { bench/ingest.py --series 1000000 --rounds 2 --hold --record; }
disk() { tests/e2e/disk_full.py --record; }
fuzz() { SECONDS_EACH=${SECONDS_EACH:-600} JOBS=${JOBS:-2} RECORD=1 make fuzz; }
alerts() { bench/alerts.py --record; }
alert-429() { tests/e2e/alert_429.py --record; }
promtool() { # builds the peer's promtool when it is not there and Go is
    [ -x "${PROMTOOL:-${PHAROS_PEERS:-.cache/peers}/promtool}" ] || scripts/promtool_peer.sh || return
    tests/e2e/promtool_peer.py --promtool "${PROMTOOL:-${PHAROS_PEERS:-.cache/peers}/promtool}" --record
}
alert-crash() { tests/e2e/alert_crash.py --silences 100 --alerts 10000 --kills 200 --seed "${SEED:-1}" --record; }
promql-diff() { # resumable: stop it and start it again
    python3 fuzz/promql_diff --queries "${QUERIES:-100000}" --per-round 2500 --resume --record
}
peers() { bench/with_peers.py --minutes 60 --outage-minutes 10 --record; }

engine() { # the runs of bench/engine.py, with a release build
    [ -f build-bench/build.ninja ] || meson setup build-bench --buildtype=release -Dbench=true >/dev/null
    ninja -C build-bench >/dev/null
    bench/engine.py "$@" --record --json .cache/bench/figures.json
}
engine-session() { engine steady queries restart churn --warm "${WARM:-2}" --minutes "${MINUTES:-28}" --churn-minutes "${CHURN_MINUTES:-4}"; }
engine-steady() { engine steady --minutes "${MINUTES:-28}"; }
engine-queries() { engine queries --warm 17; }
engine-restart() { engine restart --warm 5; }
engine-churn() { engine churn --warm 5; }
engine-disk() { engine disk --targets 100 --interval 1 --warm "${WARM:-15}"; }
engine-30d() { engine 30d; }
engine-10m() { engine 10m; }
engine-profile() { engine profile --warm 17 --only pharos; }

[ $# -gt 0 ] || { sed -n '2,8p' "$0"; exit 2; }
for what in "$@"; do
    case $what in
    promqltest | power | kill | idle | rebuild | ingest | million | disk | fuzz | promql-diff | peers | alerts | alert-429 | promtool | alert-crash | engine-*) $what ;;
    *) echo "long: no run named $what" >&2; exit 2 ;;
    esac
done
