#!/usr/bin/env python3
"""Alerting beside the peer's Alertmanager 0.33, in one run: 50,000 alerts of 8 labels posted 500 at a time into 500 groups that a local webhook
takes; all of them read while they are dispatched; 10,000 silences against them.

    bench/alerts.py [--alerts 50000] [--silences 10000] [--only pharos|peer] [--record]

The peer wants its templates under /usr/share: they are laid over it in a mount namespace of its own (needs root).
"""
import argparse, os, socket, subprocess, sys, tempfile, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'e2e'))
from harness import *
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PER_POST, GROUPS = 500, 500
CONFIG = """
route: {{receiver: r, group_by: [alertname], group_wait: 1s, group_interval: 5s, repeat_interval: 1h}}
receivers: [{{name: r, webhook_configs: [{{url: 'http://127.0.0.1:{port}/'}}]}}]
"""


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # a client that was killed


def iso(seconds):
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))


def bodies(n):
    now, out = time.time(), []
    for first in range(0, n, PER_POST):
        out.append(json.dumps([{
            'labels': {'alertname': f'Alert{i % GROUPS}', 'instance': f'host-{i:06}:9100', 'job': f'node-{i % 50}', 'severity': ('page', 'warn', 'info')[i % 3],
                       'cluster': f'eu-west-{i % 4}', 'namespace': f'team-{i % 37}', 'pod': f'service-{i % 1000:05}-abcdef', 'container': 'main'},
            'annotations': {'summary': f'Something is wrong on host-{i:06}', 'runbook': 'https://runbooks.example/Alert'},
            'startsAt': iso(now - 5), 'endsAt': iso(now + 36000), 'generatorURL': 'http://prometheus.example:9090/graph?g0.expr=up&g0.tab=1'}
            for i in range(first, min(first + PER_POST, n))]).encode())
    return out


class Raw:
    """A connection that costs the client little."""

    def __init__(self, address):
        host, port = address.rsplit(':', 1)
        self.s = socket.create_connection((host, int(port)))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host = address

    def call(self, method, path, body=b''):
        self.s.sendall(f'{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n'.encode() + body)
        data = b''
        while b'\r\n\r\n' not in data:
            more = self.s.recv(1 << 20)
            if not more:
                raise RuntimeError('closed')
            data += more
        head, rest = data.split(b'\r\n\r\n', 1)
        lower = head.lower()
        if b'content-length:' in lower:
            want = int(lower.split(b'content-length:')[1].split(b'\r\n')[0])
            parts, have = [rest], len(rest)
            while have < want:
                parts.append(self.s.recv(1 << 20)); have += len(parts[-1])
            rest = b''.join(parts)
        elif b'chunked' in lower:
            parts, tail = [rest], rest[-7:]
            while not tail.endswith(b'0\r\n\r\n'):
                parts.append(self.s.recv(1 << 20)); tail = (tail + parts[-1])[-7:]
            rest = b''.join(parts)
        return int(head.split()[1]), rest


def webhook():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def do_POST(self):
            self.rfile.read(int(self.headers['Content-Length']))
            Handler.count += 1
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')

        def log_message(self, *args):
            pass
    Handler.count = 0
    server = Quiet(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return Handler, server.server_address[1]


def fdatasync_ms(directory):
    times = []
    with open(os.path.join(directory, 'sync'), 'wb', buffering=0) as f:
        for _ in range(100):
            f.write(b'x' * 100000)
            start = time.perf_counter()
            os.fdatasync(f.fileno())
            times.append(time.perf_counter() - start)
    return sorted(times)[50] * 1000


def start(which, directory, config, port):
    address = f'127.0.0.1:{port}'
    args = [f'--config.file={config}', f'--storage.path={directory}/data', f'--web.listen-address={address}', '--cluster.listen-address=']
    if which == 'pharos':
        command = [BINARY, 'alertmanager', *args]
    else:
        root = os.path.join(PEERS, 'prometheus-alertmanager', 'usr')
        command = ['unshare', '-m', 'sh', '-c', f'mount -t overlay o -o lowerdir={root}/share:/usr/share /usr/share && exec {root}/bin/prometheus-alertmanager "$@"', 'am', *args]
    process = subprocess.Popen(command, stdout=open(f'{directory}/log', 'wb'), stderr=subprocess.STDOUT)
    atexit.register(process.kill)
    wait_for('ready', lambda: request(address, 'GET', '/-/ready')[0] == 200)
    return process, address


def rss_mb(pid):
    return int(next(line for line in open(f'/proc/{pid}/status') if line.startswith('VmRSS')).split()[1]) / 1024


def longest_wait(address, stop, out):
    """How long a small request that needs the same state waits at most."""
    c = Raw(address)
    while not stop.is_set():
        start = time.perf_counter()
        c.call('GET', '/api/v2/receivers')
        out.append(time.perf_counter() - start)
        time.sleep(0.002)


def run(which, o):
    figures = {}
    posts = bodies(o.alerts)
    with tempfile.TemporaryDirectory() as d:
        handler, port = webhook()
        config = os.path.join(d, 'am.yml')
        with open(config, 'w') as f:
            f.write(CONFIG.format(port=port))
        figures['fdatasync p50, ms'] = fdatasync_ms(d)
        process, address = start(which, d, config, free_port())
        time.sleep(1)
        figures['idle RSS, MB'] = rss_mb(process.pid)
        c = Raw(address)
        begin = time.perf_counter()
        for body in posts:
            status, text = c.call('POST', '/api/v2/alerts', body)
            assert status == 200, (status, text[:200])
        took = time.perf_counter() - begin
        figures['accepted, alerts/s'] = o.alerts / took
        begin = time.perf_counter()
        status, text = c.call('GET', '/api/v2/alerts')
        figures['GET all, s'] = time.perf_counter() - begin
        figures['GET all, MB'] = len(text) / 1e6
        assert text.count(b'"fingerprint"') == o.alerts, text.count(b'"fingerprint"')
        begin = time.perf_counter()
        status, text = c.call('GET', '/api/v2/alerts/groups')
        figures['GET groups, s'] = time.perf_counter() - begin
        wait_for('500 notifications', lambda: handler.count >= GROUPS, timeout=180)
        time.sleep(3)
        figures['RSS after, MB'] = rss_mb(process.pid)
        for i in range(o.silences):
            body = json.dumps({'matchers': [{'name': 'instance', 'value': f'host-{i * 5:06}:9100', 'isRegex': False}, {'name': 'severity', 'value': 'page|warn', 'isRegex': True}],
                               'startsAt': iso(time.time()), 'endsAt': iso(time.time() + 86400), 'createdBy': 'bench', 'comment': 'c'}).encode()
            status, text = c.call('POST', '/api/v2/silences', body)
            assert status == 200, text
        stop, waits = threading.Event(), []
        t = threading.Thread(target=longest_wait, args=(address, stop, waits))
        t.start()
        begin = time.perf_counter()
        status, text = c.call('GET', '/api/v2/alerts?active=false')
        figures['silences x alerts, s'] = time.perf_counter() - begin
        figures['silenced'] = text.count(b'"fingerprint"')
        time.sleep(6)  # and a flush of all groups
        stop.set()
        t.join()
        figures['longest wait meanwhile, ms'] = max(waits) * 1000
        figures['RSS with silences, MB'] = rss_mb(process.pid)
        process.terminate()
        process.wait()
    print(which + ': ' + ', '.join(f'{k} {v:.3g}' if v < 1000 else f'{k} {v:.0f}' for k, v in figures.items()), flush=True)
    return figures


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--alerts', type=int, default=50000)
    p.add_argument('--silences', type=int, default=10000)
    p.add_argument('--only')
    p.add_argument('--record', action='store_true')
    o = p.parse_args()
    ours = run('pharos', o) if o.only != 'peer' else None
    theirs = run('peer', o) if o.only != 'pharos' and peer('prometheus-alertmanager', 'prometheus-alertmanager') else None
    if not o.record or not ours:
        return

    def beside(name, digits='.0f'):
        return f'{ours[name]:{digits}}' + (f' (peer {theirs[name]:{digits}})' if theirs else '')
    grown = ours['RSS after, MB'] - ours['idle RSS, MB']
    rows = (
        ('50,000 distinct alerts, 500 per POST', f"{beside('accepted, alerts/s')} alerts/s, fdatasync p50 {ours['fdatasync p50, ms']:.2f} ms; RSS {grown:.0f} MB above idle"
         + (f" (peer {theirs['RSS after, MB'] - theirs['idle RSS, MB']:.0f})" if theirs else ''), ours['accepted, alerts/s'] >= 50000 and grown <= 60),
        ('GET /api/v2/alerts with all of them, while dispatching', f"{beside('GET all, s', '.2f')} s", ours['GET all, s'] <= 0.5),
        ('10,000 silences x 50,000 alerts', f"matched in {beside('silences x alerts, s', '.2f')} s, longest wait meanwhile {beside('longest wait meanwhile, ms')} ms",
         ours['longest wait meanwhile, ms'] <= 100),
    )
    for row, figure, met in rows:
        subprocess.run([os.path.join(ROOT, 'scripts', 'reach.py'), 'add', '--row', row, '--figure', figure, '--met', 'yes' if met else 'no', '--command', 'scripts/long.sh alerts'], check=True)


main()
