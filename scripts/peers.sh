#!/usr/bin/env bash
# Downloads the peers we are compared with from Debian sid and unpacks them under .cache/peers/<package>. Nothing is
# installed: their packages would start daemons on the very ports Pharos uses. Idempotent; prints where each binary is.
#
#   scripts/peers.sh            all of them
#   scripts/peers.sh prometheus one of: prometheus victoria-metrics prometheus-alertmanager prometheus-node-exporter
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${PHAROS_PEERS:-$PWD/.cache/peers}
apt_dir=$cache/.apt
want=("$@")
[ ${#want[@]} -gt 0 ] || want=(prometheus victoria-metrics prometheus-alertmanager prometheus-node-exporter)
mkdir -p "$apt_dir"/{lists/partial,archives/partial,etc/none}

# The archive this machine already uses, with sid as the suite.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ' || true)
[ -n "$mirror" ] || { echo "peers: no Debian archive in this machine's apt sources" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror%/} sid main" >"$apt_dir/etc/sid.list"
apt_opts=(-qq -o "Dir::Etc::sourcelist=$apt_dir/etc/sid.list" -o "Dir::Etc::sourceparts=$apt_dir/etc/none" -o "Dir::State::lists=$apt_dir/lists"
    -o "Dir::Cache::archives=$apt_dir/archives" -o APT::Sandbox::User=root -o "Dir::Etc::preferencesparts=$apt_dir/etc/none")
[ -n "$(find "$apt_dir/lists" -name '*Packages*' -mtime -7 2>/dev/null)" ] || apt-get "${apt_opts[@]}" update
for package in "${want[@]}"; do
    if [ ! -e "$cache/$package/.complete" ]; then
        (cd "$apt_dir/archives" && apt-get "${apt_opts[@]}" download "$package")
        deb=$(ls -t "$apt_dir/archives/${package}"_*.deb | head -n 1)
        rm -rf "${cache:?}/$package"
        mkdir -p "$cache/$package"
        dpkg-deb -x "$deb" "$cache/$package"
        touch "$cache/$package/.complete"
    fi
    find "$cache/$package" -path '*/bin/*' -type f -perm -u+x | sed "s|^$PWD/||"
done
