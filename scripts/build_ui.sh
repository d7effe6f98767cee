#!/bin/sh
# Builds the web UI and turns it into one C file of compressed assets. Called by Meson: build_ui.sh SOURCE_ROOT OUT.c
set -e
root=$1
out=$(realpath "$2")
[ -d "$root/ui/node_modules" ] || { echo "the web UI's npm packages are missing: run scripts/setup.sh" >&2; exit 1; }
dir=$(dirname "$out")/ui_dist
cd "$root/ui"
npx --no-install tsc --noEmit
PHAROS_UI_OUT="$dir" npx --no-install vite build --logLevel error
node "$root/scripts/embed_ui.mjs" "$dir" "$out"
