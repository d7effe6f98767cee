#!/usr/bin/env bash
# Unit tests of the dashboard model (ui/src/dash) under Node's own runner, without a browser.
set -u
cd "$(dirname "$0")"
command -v node >/dev/null || { echo "SKIPPED: no node (apt install nodejs)"; exit 77; }
[ -d ../../ui/node_modules/esbuild ] || { echo "SKIPPED: the UI's npm packages are missing: scripts/setup.sh"; exit 77; }
node --test ./*.test.mjs >"${TMPDIR:-/tmp}/pharos-ui-$$.log" 2>&1
code=$?
[ $code -eq 0 ] || cat "${TMPDIR:-/tmp}/pharos-ui-$$.log"
grep -E '^# (pass|fail) ' "${TMPDIR:-/tmp}/pharos-ui-$$.log" | tr '\n' ' '
rm -f "${TMPDIR:-/tmp}/pharos-ui-$$.log"
echo
exit $code
