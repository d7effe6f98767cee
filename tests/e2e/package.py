#!/usr/bin/env python3
"""The package is whole: every command has a manual page and completion, the files a service needs are there with the right modes, the
list of parts names what the binary links, and two builds of one commit are the same bytes. Installing it is packaging/test.sh's.
"""
import gzip, hashlib, json, os, re, subprocess, sys, tarfile, tempfile

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
binary = os.path.join(root, 'build', 'pharos')
failures = []


def run(*a, **k):
    return subprocess.run(a, capture_output=True, text=True, check=True, **k).stdout


def expect(what, got, want):
    if got != want:
        failures.append(f'{what}: got {got!r}, want {want!r}')


def build(where):
    run(os.path.join(root, 'packaging', 'package.sh'), binary, env={**os.environ, 'DIST': where, 'SOURCE_DATE_EPOCH': '1764300000'})
    return {re.sub(r'[0-9.]+(?=[_-])|[0-9.]+(?=\.spdx)', 'V', f): os.path.join(where, f) for f in os.listdir(where)}


if not subprocess.run(['which', 'dpkg-deb'], capture_output=True).stdout:
    print('SKIPPED: no dpkg-deb')
    sys.exit(77)
with tempfile.TemporaryDirectory() as d:
    files = build(d + '/one')
    again = build(d + '/two')
    for name in files:
        expect(f'{name} of two builds', *(hashlib.sha256(open(f[name], 'rb').read()).hexdigest() for f in (files, again)))
    deb = next(f for f in files.values() if f.endswith('.deb'))
    run('dpkg-deb', '-x', deb, d + '/x')
    run('dpkg-deb', '-e', deb, d + '/control')
    at = lambda p: os.path.join(d, 'x', p)
    expect('the binary in it', run(at('usr/bin/pharos'), '--version'), run(binary, '--version'))
    commands = ['all'] + re.findall(r'^  pharos ([a-z]+)\s+\S', run(binary, '--help'), re.M)
    if len(commands) < 12:
        failures.append(f'commands: {commands}')
    bash = open(at('usr/share/bash-completion/completions/pharos')).read()
    for c in commands:
        page = gzip.open(at(f'usr/share/man/man1/pharos-{c}.1.gz')).read().decode()
        if f'pharos\\-{c} \\- ' not in page or '.SH DESCRIPTION' not in page:
            failures.append(f'the manual page of {c}: {page[:200]}')
        for flag in re.findall(r'^  (--[a-z0-9.-]+)', run(binary, c, '--help'), re.M):
            if flag.replace('-', '\\-') not in page or flag not in bash:
                failures.append(f'{flag} of {c} is missing in its manual page or completion')
    script = f'source {at("usr/share/bash-completion/completions/pharos")}; COMP_WORDS=(pharos ch); COMP_CWORD=1; _pharos; echo "${{COMPREPLY[@]}}"'
    expect('completion of ch', run('bash', '-c', script).split(), ['check'])
    unit = open(at('lib/systemd/system/pharos.service')).read()
    expect('the unit', ('User=pharos' in unit, 'DynamicUser' in unit, '/usr/bin/pharos all' in unit), (True, False, True))
    expect('the mode of the environment', oct(os.stat(at('etc/pharos/env')).st_mode & 0o777), '0o640')
    conffiles = open(d + '/control/conffiles').read().split()
    expect('every file of /etc is a conffile', sorted(conffiles), sorted('/' + os.path.relpath(os.path.join(f, n), at('')) for f, _, names in os.walk(at('etc')) for n in names))
    run(at('usr/bin/pharos'), 'check', 'config', at('etc/pharos/prometheus.yml'))
    for script in ('postinst', 'prerm', 'postrm'):
        run('sh', '-n', f'{d}/control/{script}')
    sbom = json.load(open(next(f for f in files.values() if f.endswith('.json'))))
    names = {p['name'] for p in sbom['packages']}
    if not {'pharos', 'libssl3', 'libcurl4', 'preact', 'uplot'} <= names:
        failures.append(f'the list of parts: {sorted(names)}')
    expect('its digest of the binary', sbom['packages'][0]['checksums'][0]['checksumValue'], hashlib.sha256(open(binary, 'rb').read()).hexdigest())
    ids = [p['SPDXID'] for p in sbom['packages']]
    expect('unique ids', len(ids), len(set(ids)))
    expect('relationships name what is there', [r for r in sbom['relationships'] if {r['spdxElementId'], r['relatedSpdxElement']} - set(ids)], [])
    with tarfile.open(next(f for f in files.values() if f.endswith('.tar.gz'))) as t:
        inside = t.getnames()
    if not any(re.fullmatch(r'pharos-[0-9.]+/usr/bin/pharos', n) for n in inside):
        failures.append(f'the tarball: {inside[:10]}')
for f in failures:
    print('FAILED', f)
print(f'{len(failures)} failures')
sys.exit(bool(failures))
