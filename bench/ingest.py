#!/usr/bin/env python3
"""Remote-write ingest beside Prometheus: CPU per sample and memory per series, the same bodies to both, in one run.

    bench/ingest.py --series 100000 --rounds 20 [--record]
    bench/ingest.py --series 1000000 --rounds 3 --hold      only us: hold them, kill -9, time until ready

Bodies are what a Prometheus agent sends: 500 series per request, ten labels each, one sample, snappy. Values change every round.
"""
import argparse, ctypes, ctypes.util, os, struct, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'e2e'))
from harness import *
import harness

PER_REQUEST = 500


def compressor():
    path = ctypes.util.find_library('snappy')
    if not path:
        return harness.snappy
    lib = ctypes.CDLL(path)

    def compress(data):
        size = ctypes.c_size_t(lib.snappy_max_compressed_length(ctypes.c_size_t(len(data))))
        out = ctypes.create_string_buffer(size.value)
        assert lib.snappy_compress(bytes(data), ctypes.c_size_t(len(data)), out, ctypes.byref(size)) == 0
        return out.raw[:size.value]
    return compress


class Bodies:
    """Encoded once; each round only patches values and timestamps in place."""

    def __init__(self, series):
        self.compress, self.bodies = compressor(), []
        for first in range(0, series, PER_REQUEST):
            body, places = bytearray(), []
            for i in range(first, min(first + PER_REQUEST, series)):
                labels = {'__name__': f'metric_{i % 500}_total', 'job': 'bench', 'instance': f'host-{i // 500:05}:9100', 'cluster': 'eu-west-1a', 'namespace': f'team-{i % 7}',
                          'pod': f'service-{i // 50:06}-abcdef', 'container': 'main', 'method': ('GET', 'POST', 'PUT')[i % 3], 'code': str(200 + i % 5), 'handler': f'/api/v1/thing/{i % 11}'}
                one = b''.join(field(1, field(1, k.encode()) + field(2, labels[k].encode())) for k in sorted(labels))
                sample = b'\x09' + bytes(8) + b'\x10' + varint(1 << 40)
                payload = one + field(2, sample)
                body += field(1, payload)
                places.append(len(body) - len(sample) + 1)
            self.bodies.append((body, places, first))

    def round(self, t_ms, k):
        stamp = varint(t_ms)
        assert len(stamp) == 6
        for body, places, first in self.bodies:
            for n, at in enumerate(places):
                body[at:at + 8] = struct.pack('<d', float((first + n) % 1000 * 17 + k * (1 + (first + n) % 13)))
                body[at + 9:at + 15] = stamp
            yield self.compress(body)


def push_round(address, bodies):
    host, port = address.rsplit(':', 1)
    c = http.client.HTTPConnection(host, int(port), timeout=120)
    for body in bodies:
        c.request('POST', '/api/v1/write', body, {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf', 'X-Prometheus-Remote-Write-Version': '0.1.0'})
        r = c.getresponse()
        text = r.read()
        assert r.status // 100 == 2, (r.status, text[:300])
    c.close()


class Process:
    def __init__(self, args, directory):
        os.makedirs(directory, exist_ok=True)
        self.log = open(os.path.join(directory, 'log'), 'ab')
        self.process = subprocess.Popen(args, stdout=self.log, stderr=self.log, cwd=directory)

    cpu_seconds = Server.cpu_seconds
    rss = Server.rss

    def stop(self):
        self.process.terminate()
        self.process.wait()


def measure(name, process, address, bodies, rounds, series):
    base = int(time.time() * 1000) - rounds * 15000
    idle = process.rss()[0]
    push_round(address, bodies.round(base, 0))  # series are created
    created, after_create = process.cpu_seconds(), process.rss()[0]
    started = time.monotonic()
    for k in range(1, rounds + 1):
        push_round(address, bodies.round(base + k * 15000, k))
    wall = time.monotonic() - started
    cpu = process.cpu_seconds() - created
    per_sample = cpu / (rounds * series) * 1e6
    peak = process.rss()[0]
    per_series = (peak - idle) / series
    print(f'{name}: {per_sample:.3f} us CPU per sample, {per_series:.0f} bytes per series (RSS {idle / 1e6:.0f} -> {peak / 1e6:.0f} MB), creating took {created:.2f} CPU-s, {wall:.1f} s wall')
    return per_sample, per_series


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--series', type=int, default=100_000)
    p.add_argument('--rounds', type=int, default=20)
    p.add_argument('--hold', action='store_true')
    p.add_argument('--record', action='store_true')
    a = p.parse_args()
    bodies = Bodies(a.series)
    reach = [os.path.join(ROOT, 'scripts/reach.py'), 'add', '--command', 'bench/ingest.py ' + ' '.join(sys.argv[1:])]
    with scratch() as directory:
        ours = Server(os.path.join(directory, 'ours'), 'prometheus', '--no-self-scrape').start()
        mine = measure('pharos', ours, ours.address, bodies, a.rounds, a.series)
        if a.hold:
            active = int(float(ours.query('prometheus_tsdb_head_series')[0]['value'][1])) if ours.query('prometheus_tsdb_head_series') else None
            rss = ours.rss()
            ours.kill()
            ours.start(timeout=300)
            count = int(float(ours.query('count({job="bench"})')[0]['value'][1]))
            figure = f'{count} series held, RSS {rss[0] / 1e6:.0f} MB, ready {ours.ready_seconds:.2f} s after kill -9, RSS then {ours.rss()[0] / 1e6:.0f} MB'
            print(figure)
            if a.record:
                subprocess.run(reach + ['--row', '1,000,000 active series', '--figure', figure, '--met', 'yes' if count >= 1_000_000 and ours.ready_seconds <= 2 else 'no'])
            ours.stop()
            return
        ours.stop()
        exe = peer('prometheus', 'prometheus')
        if not exe:
            print('no peer Prometheus: scripts/peers.sh unpacks it')
            return
        address = f'127.0.0.1:{free_port()}'
        d = os.path.join(directory, 'peer')
        os.makedirs(d)
        with open(os.path.join(d, 'p.yml'), 'w') as f:
            f.write('global: {}\n')
        theirs = Process([exe, '--config.file=p.yml', f'--web.listen-address={address}', '--storage.tsdb.path=data', '--web.enable-remote-write-receiver'], d)
        wait_for('the peer', lambda: request(address, 'GET', '/-/ready')[0] == 200)
        peers = measure('prometheus', theirs, address, bodies, a.rounds, a.series)
        theirs.stop()
        cpu, memory = mine[0] / peers[0], mine[1] / peers[1]
        figure = f'CPU per sample {mine[0]:.2f} us = {cpu:.2f} of Prometheus ({peers[0]:.2f}), memory per series {mine[1]:.0f} B = {memory:.2f} ({peers[1]:.0f})'
        print(figure)
        if a.record:
            subprocess.run(reach + ['--row', 'remote-write ingest, 100,000 series', '--figure', figure, '--met', 'yes' if cpu <= 0.5 and memory <= 1 / 3 else 'no'])


if __name__ == '__main__':
    main()
