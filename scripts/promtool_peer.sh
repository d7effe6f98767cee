#!/usr/bin/env bash
# Builds the peer's promtool from its Go module into .cache/peers/promtool, for tests/e2e/promtool_peer.py: Debian's package has none. Needs Go.
# Service discovery is left out (nothing of it is compared, and it is most of the building).
#
#   scripts/promtool_peer.sh [3.16.0]     the public test files are of August 2026: 3.5 does not know start_timestamp
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-3.16.0}
command -v go >/dev/null || { echo "promtool: no Go on this machine" >&2; exit 77; }
peers=${PHAROS_PEERS:-$PWD/.cache/peers}
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
IFS=. read -r major minor patch <<<"$version"
module=$(cd "$work" && GOWORK=off go mod download -json "github.com/prometheus/prometheus@v0.$((major * 100 + minor)).$patch" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
cp -r "$module" "$work/prometheus"
chmod -R u+w "$work/prometheus"
cd "$work/prometheus"
grep -l 'prometheus/plugins"' cmd/promtool/*.go | xargs -r sed -i '/prometheus\/plugins"/d'
GOWORK=off nice go build -ldflags "-X github.com/prometheus/common/version.Version=$version" -o "$peers/promtool" ./cmd/promtool
"$peers/promtool" --version | head -n 1
