#!/usr/bin/env bash
# Drives the web pages of build/pharos in Debian's Chromium. Builds nothing. Ends with 77 and a reason where something is missing:
#   (cd tests/browser && npm install --no-save)        playwright-core and axe-core
#   tests/browser/run.sh [WORDS]        only the journeys whose name has one of the words
#   SHOTS=DIR tests/browser/run.sh      also leaves pictures of every page there
set -u
cd "$(dirname "$0")"
skip() { echo "SKIPPED: $*"; exit 77; }
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium} PHAROS=${PHAROS:-$PWD/../../build/pharos}
[ -x "$CHROMIUM" ] || skip "no Chromium at $CHROMIUM (apt install chromium)"
command -v node >/dev/null || skip "no node (apt install nodejs)"
[ -d node_modules/playwright-core ] && [ -d node_modules/axe-core ] || skip "the packages are missing: (cd tests/browser && npm install --no-save)"
[ -x "$PHAROS" ] || skip "no $PHAROS: make"
exec node main.mjs "$@"
