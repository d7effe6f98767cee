#!/usr/bin/env bash
# Installs what building and testing Pharos needs and is missing: Debian packages, and the web UI's npm packages.
# Says what it does, is idempotent, needs root or sudo only when something is missing. Never installs a peer.
#
#   scripts/setup.sh           install what is missing
#   scripts/setup.sh --check   only look; exit status 1 when something is missing
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    gcc g++ make meson ninja-build pkg-config ccache clang-19 clang-format-19 clang-tidy-19 libclang-rt-19-dev lld-19
    libuv1-dev libc-ares-dev node-llhttp libcurl4-openssl-dev libssl-dev libjansson-dev libyaml-dev libre2-dev
    libsnappy-dev libzstd-dev libdeflate-dev libxxhash-dev libsqlite3-dev libcrypt-dev zlib1g-dev libcmocka-dev libcairo2-dev
    python3 tzdata ca-certificates
)
# A Node.js that is already here will do, if it is 18 or newer and has npm.
node_major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/' || true)
if [ "${node_major:-0}" -lt 18 ] || ! command -v npm >/dev/null; then
    packages+=(nodejs npm)
fi

missing=()
for p in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done
ui_stale=false
if [ -f ui/package-lock.json ] && ! cmp -s ui/package-lock.json ui/node_modules/.pharos-lock 2>/dev/null; then
    ui_stale=true
fi

if [ "${1:-}" = --check ]; then
    [ ${#missing[@]} -eq 0 ] && [ $ui_stale = false ]
    exit
fi
if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing Debian packages: ${missing[*]}"
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "setup: run me as root, or install sudo" >&2; exit 1; }
        sudo=sudo
    fi
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/tmp/pharos-setup.log 2>&1 ||
        { tail -n 20 /tmp/pharos-setup.log; echo "setup: apt-get failed; whole log in /tmp/pharos-setup.log" >&2; exit 1; }
fi
if [ $ui_stale = true ]; then
    echo "setup: installing the web UI's npm packages"
    # Not "npm ci": npm 11 refuses a lock file where the registry lacks packages of other platforms.
    (cd ui && npm install --no-save --no-audit --no-fund --loglevel=error)
    cp ui/package-lock.json ui/node_modules/.pharos-lock
fi
echo "setup: everything needed is here"
