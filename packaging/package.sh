#!/usr/bin/env bash
# make package: a Debian package, a tarball of the same files, and their SBOM, in DIST (default dist). Needs what building needs and dpkg-deb.
# The same commit on the same machine gives the same bytes (SOURCE_DATE_EPOCH is the commit's time).
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:-build/pharos}
version=$("$binary" --version | sed -n '1s/pharos \([^ ]*\).*/\1/p')
arch=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
out=${DIST:-dist}
rm -rf "$out" && mkdir -p "$out"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

put() { install -D -m "$1" "$2" "$root/$3"; }
put 755 "$binary" usr/bin/pharos
strip --remove-section=.comment "$root/usr/bin/pharos"
for f in prometheus.yml alertmanager.yml; do put 644 "monitoring/$f" "etc/pharos/$f"; done
for f in monitoring/rules/* monitoring/targets/*; do put 644 "$f" "etc/pharos/${f#monitoring/}"; done
put 640 packaging/debian/env etc/pharos/env
# The package has a user of its own; elsewhere the unit makes one while it runs.
sed -e '/^# Pharos as a system/,/^# mkdir/d' -e '/^DynamicUser=/d' -e 's/^User=pharos$/User=pharos\nGroup=pharos/' packaging/pharos.service >"$root/unit"
put 644 "$root/unit" lib/systemd/system/pharos.service && rm "$root/unit"
docs=$(mktemp -d)
packaging/docs.py "$binary" "$docs"
for page in "$docs"/man1/*.1; do gzip -9n <"$page" >"$docs/gz" && put 644 "$docs/gz" "usr/share/man/man1/${page##*/}.gz"; done
put 644 "$docs/pharos.bash" usr/share/bash-completion/completions/pharos
put 644 "$docs/_pharos" usr/share/zsh/vendor-completions/_pharos
put 644 "$docs/pharos.fish" usr/share/fish/vendor_completions.d/pharos.fish
rm -r "$docs"
put 644 README.md usr/share/doc/pharos/README.md
put 644 packaging/debian/copyright usr/share/doc/pharos/copyright
printf 'pharos (%s) stable; urgency=medium\n\n  * See the history of the repository.\n\n -- Pharos <pharos@localhost>  %s\n' "$version" "$(date -R -u -d "@$SOURCE_DATE_EPOCH")" |
    gzip -9n >"$root/changelog" && put 644 "$root/changelog" usr/share/doc/pharos/changelog.gz && rm "$root/changelog"
packaging/sbom.py "$binary" ui/package-lock.json >"$out/pharos-$version.spdx.json"
gzip -9n <"$out/pharos-$version.spdx.json" >"$root/sbom" && put 644 "$root/sbom" usr/share/doc/pharos/sbom.spdx.json.gz && rm "$root/sbom"

find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --transform "s,^\.,pharos-$version," -cf - ./usr ./etc ./lib |
    gzip -9n >"$out/pharos-$version-linux-$arch.tar.gz"

mkdir "$root/DEBIAN"
(cd "$root" && find etc -type f | sort | sed 's,^,/,') >"$root/DEBIAN/conffiles"
(cd "$root" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
depends="$(packaging/sbom.py "$binary" --depends), adduser, ca-certificates, tzdata"
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/; s/@DEPENDS@/$depends/" packaging/debian/control >"$root/DEBIAN/control"
for f in postinst prerm postrm; do install -m 755 "packaging/debian/$f" "$root/DEBIAN/$f"; done
chmod 755 "$root"
find "$root/DEBIAN" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group --build -Zxz "$root" "$out/pharos_${version}_$arch.deb" >/dev/null
(cd "$out" && wc -c -- *)
