#!/usr/bin/env python3
"""What is in the binary and what it needs, as SPDX 2.3 JSON: Debian's shared libraries with their versions, and the npm packages that
the pages were built from.

    packaging/sbom.py BINARY LOCKFILE > sbom.spdx.json
    packaging/sbom.py BINARY --depends                     the Debian packages alone, as a Depends field
"""
import datetime, hashlib, json, os, re, subprocess, sys

binary, lock = sys.argv[1:]
run = lambda *a: subprocess.run(a, capture_output=True, text=True, check=True).stdout
version = run(binary, '--version').split()[1].strip(',')
digest = hashlib.sha256(open(binary, 'rb').read()).hexdigest()
when = datetime.datetime.fromtimestamp(int(os.environ.get('SOURCE_DATE_EPOCH', os.path.getmtime(binary))), datetime.timezone.utc)


def package(name, version, kind, purl, licence='NOASSERTION'):
    ident = 'SPDXRef-' + re.sub(r'[^A-Za-z0-9.-]', '-', f'{kind}-{name}-{version}')
    return {'SPDXID': ident, 'name': name, 'versionInfo': version, 'downloadLocation': 'NOASSERTION', 'filesAnalyzed': False, 'licenseConcluded': 'NOASSERTION',
            'licenseDeclared': licence, 'copyrightText': 'NOASSERTION', 'externalRefs': [{'referenceCategory': 'PACKAGE-MANAGER', 'referenceType': 'purl', 'referenceLocator': purl}]}


def debian_packages():
    """(name, version) of the packages that hold the libraries the binary names itself; what they need is theirs to say."""
    needed = re.findall(r'\(NEEDED\)\s+Shared library: \[(.*)\]', run('readelf', '-d', binary))
    paths = dict(re.findall(r'^\s*(\S+) => (/\S+)', run('ldd', binary), re.M))
    found = set()
    for name in needed:
        if name in paths:
            real = os.path.realpath(paths[name])
            for path in (real, real.removeprefix('/usr'), paths[name]):
                owner = subprocess.run(['dpkg', '-S', path], capture_output=True, text=True)
                if owner.returncode == 0:
                    found.add(owner.stdout.split(':')[0])
                    break
            else:
                sys.exit(f'no package owns {real}')
    return [(n, run('dpkg-query', '-W', '-f', '${Version}', n)) for n in sorted(found)]


if __name__ == '__main__':
    if lock == '--depends':
        print(', '.join(n for n, _ in debian_packages()))
        sys.exit()
    own = package('pharos', version, 'pharos', f'pkg:generic/pharos@{version}', 'Apache-2.0')
    own['checksums'] = [{'algorithm': 'SHA256', 'checksumValue': digest}]
    debs = [package(n, v, 'deb', f'pkg:deb/debian/{n}@{v}?distro=debian-12') for n, v in debian_packages()]
    npms = [package(path.split('node_modules/')[-1], p['version'], 'npm', f"pkg:npm/{path.split('node_modules/')[-1].replace('@', '%40', 1)}@{p['version']}", p.get('license', 'NOASSERTION'))
            for path, p in sorted(json.load(open(lock))['packages'].items()) if path and not p.get('dev')]
    json.dump({'spdxVersion': 'SPDX-2.3', 'dataLicense': 'CC0-1.0', 'SPDXID': 'SPDXRef-DOCUMENT', 'name': f'pharos-{version}', 'documentNamespace': f'https://spdx.org/spdxdocs/pharos-{version}-{digest[:32]}',
               'creationInfo': {'created': when.strftime('%Y-%m-%dT%H:%M:%SZ'), 'creators': ['Tool: pharos-sbom']}, 'documentDescribes': [own['SPDXID']], 'packages': [own, *debs, *npms],
               'relationships': [{'spdxElementId': own['SPDXID'], 'relationshipType': 'DYNAMIC_LINK', 'relatedSpdxElement': d['SPDXID']} for d in debs] +
                                [{'spdxElementId': n['SPDXID'], 'relationshipType': 'CONTAINED_BY', 'relatedSpdxElement': own['SPDXID']} for n in npms]}, sys.stdout, indent=1)
    print()
