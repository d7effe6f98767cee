#!/usr/bin/env python3
"""Captures golden answers from a real Prometheus (the peer) into tests/golden/.

usage: capture_golden.py promql [--peer PATH] [--from FILE --to FILE]
       capture_golden.py api [--peer PATH]

promql  asks format_query and parse_query about each line of tests/golden/promql/queries*.txt; one JSON object a line.
api     loads fixed data and records requests and answers (tests/golden/api/).
The peer is a Prometheus 3.5 binary; default: the first below .cache/peers/ beside the checkout or in it.
"""
import argparse, glob, http.client, json, os, shutil, socket, subprocess, sys, tempfile, time, urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def find_peer():
    for base in (os.path.join(ROOT, '.cache'), os.path.join(os.path.dirname(ROOT), '.cache')):
        for path in sorted(glob.glob(base + '/peers/**/prometheus', recursive=True)):
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    sys.exit('capture_golden: no peer found; run scripts/peers.sh or give --peer')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Peer:
    """A Prometheus of its own, on a free port, with an empty data directory."""

    def __init__(self, binary, flags=(), config='global: {}\n'):
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix='golden-')
        with open(self.dir + '/prometheus.yml', 'w') as f:
            f.write(config)
        self.process = subprocess.Popen(
            [binary, '--config.file=' + self.dir + '/prometheus.yml', '--storage.tsdb.path=' + self.dir + '/data',
             '--web.listen-address=127.0.0.1:%d' % self.port, *flags],
            stdout=subprocess.DEVNULL, stderr=open(self.dir + '/log', 'w'))
        for _ in range(200):
            try:
                if self.request('GET', '/-/ready')[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        sys.exit('capture_golden: the peer does not start; see ' + self.dir + '/log')

    def request(self, method, target, body=None, headers=None):
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        c.request(method, target, body, headers or {})
        r = c.getresponse()
        data = r.read()
        c.close()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, data

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.stop()


def read_queries(path):
    for line in open(path, encoding='utf-8'):
        line = line.rstrip('\n')
        if line.startswith('json '):
            yield json.loads(line[5:])
        elif line and not line.startswith('#'):
            yield line


def capture_promql(binary, source, target, features):
    flags = ['--enable-feature=' + ','.join(features)] if features else []
    with Peer(binary, flags) as peer, open(target, 'w', encoding='utf-8') as out:
        n = 0
        for query in read_queries(source):
            form = urllib.parse.urlencode({'query': query})
            row = {'query': query}
            for api in ('format_query', 'parse_query'):
                answer = json.loads(peer.request('POST', '/api/v1/' + api, form, {
                    'Content-Type': 'application/x-www-form-urlencoded'})[2])
                if answer['status'] == 'success':
                    row[api] = answer['data']
                else:
                    row['error'] = answer['error'].removeprefix('invalid parameter "query": ')
            out.write(json.dumps(row, ensure_ascii=False, sort_keys=True) + '\n')
            n += 1
    print('%s: %d queries' % (target, n))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('what', choices=['promql', 'api'])
    a.add_argument('--peer')
    a.add_argument('--from', dest='source')
    a.add_argument('--to', dest='target')
    a = a.parse_args()
    binary = a.peer or find_peer()
    experimental = ['promql-experimental-functions']
    golden = os.path.join(ROOT, 'tests/golden')
    if a.what == 'promql':
        if a.source:
            capture_promql(binary, a.source, a.target, experimental)
            return
        capture_promql(binary, golden + '/promql/queries.txt', golden + '/promql/plain.jsonl', [])
        capture_promql(binary, golden + '/promql/queries_experimental.txt', golden + '/promql/experimental.jsonl',
                       experimental)
    else:
        import capture_golden_api
        capture_golden_api.capture(binary, golden + '/api', Peer)


if __name__ == '__main__':
    main()
