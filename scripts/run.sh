#!/usr/bin/env bash
# make run: Pharos on this machine with monitoring/prometheus.yml, data in ./data. More flags: RUN_FLAGS="--log.level=debug" make run
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck disable=SC2086
exec build/pharos all --config.file=monitoring/prometheus.yml --storage.path=data ${RUN_FLAGS:-}
