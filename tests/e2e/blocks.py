#!/usr/bin/env python3
"""Prometheus's blocks both ways: a snapshot of the running server, imported into a fresh data directory and into another running
server, answers as the first; with the peer at hand, it serves that snapshot, and its own snapshot is imported, with the same answers."""
import os, re, sys, urllib.parse
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

T0 = 1700000000337
EXPRESSIONS = ('{__name__=~"b_.+"}[6h]', 'rate(b_total[10m])', 'sum by (i) (b_gauge)', 'count({__name__=~"b_.+"})', 'count_over_time(b_gauge[2h])')
failures = []


def expect(what, got, want):
    if got != want:
        failures.append(f'{what}: {str(got)[:400]}, expected {str(want)[:400]}')


def answers(address):
    out = {}
    for e in EXPRESSIONS:
        for t in (T0 // 1000 + 3600, T0 // 1000 + 3 * 3600):
            status, _, body = request(address, 'GET', '/api/v1/query?' + urllib.parse.urlencode({'query': e, 'time': t}))
            result = json.loads(body)['data']['result']
            out[e, t] = sorted((json.dumps(s['metric'], sort_keys=True), json.dumps(s.get('values') or s.get('value'))) for s in result)
    return out


def pharos(*args):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=120)


def load(address):
    series = []
    for i in range(12):
        stamps = [T0 + k * 15000 for k in range(600)]
        series.append(({'__name__': 'b_total', 'i': str(i)}, [(t, float(k * (i + 1) % 977)) for k, t in enumerate(stamps)]))
        series.append(({'__name__': 'b_gauge', 'i': str(i), 'odd': 'ü "\\\n'}, [(t, (k * 7919 % 1000) / 7) for k, t in enumerate(stamps) if k % 50 < 40]))
    w = Writer(address)
    for s in series:
        w.push([s])
    w.close()


def snapshot_of(address, directory):
    status, _, body = request(address, 'POST', '/api/v1/admin/tsdb/snapshot')
    name = json.loads(body)['data']['name']
    if status != 200 or not re.fullmatch(r'\d{8}T\d{6}Z-[0-9a-f]{16}', name):
        failures.append(f'snapshot: {status} {body}')
    return os.path.join(directory, 'snapshots', name)


def serve(directory, *args):
    return Server(directory, 'prometheus', '--no-self-scrape', '--web.enable-admin-api', '--storage.tsdb.retention.time=100y', *args)


def check_peer(directory, snap, want):
    binary = peer('prometheus', 'prometheus')
    if not binary:
        print('the peer is not here: its part is left out')
        return
    with open(os.path.join(directory, 'empty.yml'), 'w') as f:
        f.write('scrape_configs: []\n')
    data, port = os.path.join(directory, 'peer'), free_port()
    shutil.copytree(snap, data)
    process = subprocess.Popen([binary, f'--config.file={directory}/empty.yml', f'--storage.tsdb.path={data}', '--storage.tsdb.retention.time=100y', f'--web.listen-address=127.0.0.1:{port}',
                                '--web.enable-admin-api'], stdout=subprocess.DEVNULL, stderr=open(os.path.join(directory, 'peer.log'), 'w'))
    address = f'127.0.0.1:{port}'
    try:
        wait_for('the peer', lambda: request(address, 'GET', '/-/ready')[0] == 200, timeout=120)
        expect('the peer serves our snapshot', answers(address), want)
        theirs = os.path.join(data, 'snapshots', json.loads(request(address, 'POST', '/api/v1/admin/tsdb/snapshot')[2])['data']['name'])
    finally:
        process.terminate()
        process.wait()
    out = pharos('import', f'--storage.path={directory}/back/data', theirs)
    expect('importing the peer\'s snapshot', (out.returncode, out.stderr), (0, ''))
    server = serve(os.path.join(directory, 'back')).start()
    expect('the peer\'s snapshot imported', answers(server.address), want)
    expect('stop', server.stop(), 0)


def main():
    with scratch() as directory:
        first = serve(os.path.join(directory, 'first')).start()
        load(first.address)
        want = answers(first.address)
        expect('series', len(want['count({__name__=~"b_.+"})', T0 // 1000 + 3600]), 1)
        data = os.path.join(directory, 'first', 'data')
        snap = snapshot_of(first.address, data)
        second_snap = snapshot_of(first.address, data)
        expect('another name each time', snap != second_snap, True)
        expect('wrong skip_head', request(first.address, 'POST', '/api/v1/admin/tsdb/snapshot?skip_head=x')[0], 400)
        listed = pharos('tsdb', 'list', snap)
        expect('tsdb list', (listed.returncode, listed.stdout.count('\n')), (0, 1 + len([d for d in os.listdir(snap) if len(d) == 26])))
        dumped = pharos('tsdb', 'dump', snap)
        expect('samples dumped', dumped.stdout.count('\n'), sum(600 for _ in range(12)) + sum(480 for _ in range(12)))
        expect('a line of the dump', f'{{__name__="b_total", i="3"}} 4 {T0 + 15000}\n' in dumped.stdout, True)

        out = pharos('import', f'--storage.path={directory}/second/data', snap)
        expect('import', (out.returncode, out.stderr, out.stdout.split()[:2]), (0, '', [str(dumped.stdout.count('\n')), 'samples']))
        server = serve(os.path.join(directory, 'second')).start()
        expect('imported into a directory', answers(server.address), want)
        expect('a directory in use', pharos('import', f'--storage.path={directory}/second/data', snap).returncode, 1)
        expect('stop', server.stop(), 0)
        exported = pharos('tsdb', 'create-blocks-from', 'pharos', f'--storage.path={directory}/second/data', f'{directory}/exported')
        expect('create-blocks-from pharos', (exported.returncode, exported.stderr), (0, ''))
        expect('exported offline', pharos('tsdb', 'dump', f'{directory}/exported').stdout, dumped.stdout)

        third = serve(os.path.join(directory, 'third')).start()
        out = pharos('import', f'--url=http://{third.address}/api/v1/write', snap)
        expect('import through remote write', (out.returncode, out.stderr), (0, ''))
        expect('imported into a server', answers(third.address), want)
        expect('stop', third.stop(), 0)

        os.makedirs(os.path.join(directory, 'foreign', 'wal'))
        out = pharos('import', f'--storage.path={directory}/no', os.path.join(directory, 'foreign'))
        expect('a directory with a log', (out.returncode, 'snapshot' in out.stderr, os.path.exists(f'{directory}/no')), (1, True, False))
        om = os.path.join(directory, 'page.om')
        with open(om, 'w') as f:
            f.write('# TYPE x counter\nx_total{a="b"} 1 1700000000.5\nx_total{a="b"} 2 1700000015.5\n# EOF\n')
        out = pharos('tsdb', 'create-blocks-from', 'openmetrics', om, f'{directory}/om')
        expect('create-blocks-from openmetrics', out.returncode, 0)
        expect('its samples', pharos('tsdb', 'dump', f'{directory}/om').stdout, '{__name__="x_total", a="b"} 1 1700000000500\n{__name__="x_total", a="b"} 2 1700000015500\n')
        check_peer(directory, snap, want)
        expect('stop', first.stop(), 0)
    for f in failures:
        print(f)
    print(f'{len(failures)} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
