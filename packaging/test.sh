#!/usr/bin/env bash
# By hand, as root: installs, upgrades, removes and purges the package in a Debian 12 that systemd boots in a container.
#
#   packaging/test.sh ROOT      ROOT: a directory made by
#       debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates,adduser,curl,procps bookworm ROOT
#
# It checks that the service runs as its own user, that samples and a silence survive the upgrade, that a changed conffile stays, and
# that a purge leaves nothing. ROOT is used up.
set -euo pipefail
root=$(realpath "$1")
cd "$(dirname "$0")/.."
version=$(sed -n 's/^ *version: .\([0-9.]*\).*/\1/p' meson.build | head -n 1)
arch=$(dpkg --print-architecture)
old=dist/pharos_${version}_$arch.deb
[ -f "$old" ] || { echo "first: make package"; exit 2; }
machine=pharos-package-test
failed=0
say() { printf '%-70s %s\n' "$1" "$2"; }
check() { if eval "$2"; then say "$1" ok; else say "$1" FAILED; failed=1; fi; }
in_root() { systemd-run --quiet --machine=$machine --pipe --wait /bin/sh -c "$1"; }
# Without machined: a shell in the container's namespaces.
if ! command -v machinectl >/dev/null || ! systemctl is-active --quiet systemd-machined 2>/dev/null; then
    in_root() { nsenter -t "$leader" -m -u -i -n -p -r -w /bin/sh -c "$1"; }
fi

cp "$old" "$root/root/old.deb"
# The same package as a later version.
work=$(mktemp -d)
dpkg-deb -R "$old" "$work/x" && sed -i "s/^Version: .*/Version: $version+1/" "$work/x/DEBIAN/control"
echo '# a new line of the package' >>"$work/x/etc/pharos/prometheus.yml"
dpkg-deb --root-owner-group -b "$work/x" "$root/root/new.deb" >/dev/null
rm -r "$work"
# What it needs comes before: the container has a network of its own, so that nothing else answers in its place.
depends=$(dpkg-deb -f "$old" Depends | tr -d ,)
# shellcheck disable=SC2086
systemd-nspawn --quiet --register=no --keep-unit -D "$root" /bin/sh -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $depends" >"$root.apt.log" 2>&1 </dev/null ||
    { tail "$root.apt.log"; exit 1; }
systemd-nspawn --quiet --boot --private-network --keep-unit --register=no --machine=$machine -D "$root" >"$root.log" 2>&1 </dev/null &
boot=$!
trap 'kill $boot 2>/dev/null || true' EXIT
leader=
for _ in $(seq 120); do
    leader=$(pgrep -P "$boot" | head -n 1 || true)
    [ -n "$leader" ] && in_root 'systemctl is-system-running 2>/dev/null | grep -qE "running|degraded"' && break
    sleep 1
done

in_root 'DEBIAN_FRONTEND=noninteractive dpkg -i /root/old.deb' >>"$root.apt.log" 2>&1 || { tail "$root.apt.log"; exit 1; }
check "the service runs" 'in_root "systemctl is-active --quiet pharos"'
check "as its own user" '[ "$(in_root "ps -o user= -C pharos" | head -n 1)" = pharos ]'
for _ in $(seq 60); do in_root 'curl -fsS http://127.0.0.1:9090/-/ready >/dev/null 2>&1' && break; sleep 1; done
check "it answers" 'in_root "curl -fsS http://127.0.0.1:9090/-/ready >/dev/null"'
check "the man page" 'in_root "test -s /usr/share/man/man1/pharos.1.gz"'
check "secrets are readable by root and pharos alone" '[ "$(in_root "stat -c %a:%U:%G /etc/pharos/env")" = 640:root:pharos ]'
sleep 35 # two scrapes
in_root 'echo "# mine" >> /etc/pharos/prometheus.yml'
count='curl -fsS "http://127.0.0.1:9090/api/v1/query?query=count_over_time(up%5B1h%5D)" | grep -o "\"value\":\[[^]]*\]" | head -n 1 | grep -oE "[0-9]+\"\]" | tr -dc 0-9'
before=$(in_root "$count")
in_root 'curl -fsS -XPOST -H "Content-Type: application/json" http://127.0.0.1:9093/api/v2/silences -d "{\"matchers\":[{\"name\":\"a\",\"value\":\"b\",\"isRegex\":false}],\"startsAt\":\"2026-01-01T00:00:00Z\",\"endsAt\":\"2099-01-01T00:00:00Z\",\"createdBy\":\"me\",\"comment\":\"upgrade\"}" >/dev/null'
in_root 'DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i /root/new.deb' >>"$root.apt.log" 2>&1
for _ in $(seq 60); do in_root 'curl -fsS http://127.0.0.1:9090/-/ready >/dev/null 2>&1' && break; sleep 1; done
after=$(in_root "$count")
check "samples survive the upgrade ($before, then $after)" '[ "${before:-0}" -ge 1 ] && [ "${after:-0}" -ge "$before" ]'
check "the silence too" 'in_root "curl -fsS http://127.0.0.1:9093/api/v2/silences" | grep -q upgrade'
check "a changed conffile stays" 'in_root "grep -q \"^# mine\" /etc/pharos/prometheus.yml"'
in_root 'systemctl stop pharos; dpkg -i --force-confold /root/old.deb' >>"$root.apt.log" 2>&1
check "what was stopped stays stopped" '! in_root "systemctl is-active --quiet pharos"'
in_root 'apt-get remove -y -qq pharos' >>"$root.apt.log" 2>&1
check "removal keeps configuration and data" 'in_root "test -f /etc/pharos/prometheus.yml && test -d /var/lib/pharos"'
in_root 'apt-get purge -y -qq pharos' >>"$root.apt.log" 2>&1
check "a purge leaves no file" '[ -z "$(in_root "find / -xdev -path /proc -prune -o -path /sys -prune -o -name \"*pharos*\" -print 2>/dev/null | grep -vE \"^/(root|var/log|var/cache|tmp|run)\"")" ]'
check "and no user" '! in_root "getent passwd pharos >/dev/null"'
exit $failed
