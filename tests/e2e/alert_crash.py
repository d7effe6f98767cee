#!/usr/bin/env python3
"""kill -9 against alerting: a silence acknowledged a millisecond before is there afterwards; no alert is lost while the receiver answers
429, 500 or not at all.

    tests/e2e/alert_crash.py [--silences 5] [--alerts 400 --kills 3] [--seed N] [--record]

Alerts: a sender posts them in requests of ten and tries again what was not acknowledged, as Prometheus does. Each must arrive in a
notification that the receiver accepted. The same notification accepted twice is a duplicate: allowed are as many per kill as requests can
be in flight.
"""
import argparse, os, random, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

LANES = 4  # deliveries under way per integration
JSON = {'Content-Type': 'application/json'}
CONFIG = """
route: {{receiver: r, group_by: [group], group_wait: 50ms, group_interval: 1s, repeat_interval: 10h}}
receivers: [{{name: r, webhook_configs: [{{url: 'http://127.0.0.1:{port}/hook', timeout: 500ms}}]}}]
"""


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # a client that was killed


def iso(seconds):
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))


class Receiver:
    """Accepts, or answers 429, 500, or nothing in time."""

    def __init__(self, seed, trouble):
        self.rng, self.trouble, self.lock = random.Random(seed), trouble, threading.Lock()
        self.accepted, self.duplicates, self.alerts, self.seen, self.answers = 0, 0, set(), set(), {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                with outer.lock:
                    p = outer.rng.random()
                    kind = 'ok' if not outer.trouble or p > 0.25 else '429' if p > 0.15 else '500' if p > 0.02 else 'hang'
                    outer.answers[kind] = outer.answers.get(kind, 0) + 1
                    if kind == 'ok':
                        outer.take(body)
                if kind == 'hang':
                    time.sleep(0.8)
                    self.close_connection = True
                    return
                try:
                    self.send_response({'ok': 200, '429': 429, '500': 500}[kind])
                    if kind == '429':
                        self.send_header('Retry-After', '0.02')
                    self.send_header('Content-Length', '0')
                    self.end_headers()
                except OSError:
                    pass  # killed while we answered

            def log_message(self, *args):
                pass

        self.server = Quiet(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, body):
        message = json.loads(body)
        what = (message['groupKey'], tuple(sorted((a['labels']['i'], a['status']) for a in message['alerts'])))
        self.accepted += 1
        self.duplicates += what in self.seen
        self.seen.add(what)
        self.alerts.update(a['labels']['i'] for a in message['alerts'] if a['status'] == 'firing')


def config(directory, port):
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, 'alertmanager.yml')
    with open(path, 'w') as f:
        f.write(CONFIG.format(port=port))
    return path


def silences(cycles):
    """How many of the silences made a millisecond before kill -9 were there after the restart."""
    there, ids = 0, []
    with scratch() as d:
        server = Server(d, 'alertmanager', '--config.file=' + config(d, 9))
        for i in range(cycles):
            server.start()
            body = json.dumps({'matchers': [{'name': 'i', 'value': str(i), 'isRegex': False}], 'startsAt': iso(time.time()), 'endsAt': iso(time.time() + 86400),
                               'createdBy': 'me', 'comment': 'c'})
            status, _, answer = request(server.address, 'POST', '/api/v2/silences', body, JSON)
            assert status == 200, (status, answer)
            time.sleep(0.001)
            server.kill()
            ids.append(json.loads(answer)['silenceID'])
        server.start()
        for i, id in enumerate(ids):
            status, _, answer = request(server.address, 'GET', f'/api/v2/silence/{id}')
            there += status == 200 and json.loads(answer)['matchers'][0]['value'] == str(i)
        server.stop()
    return there


def alerts(count, kills, seed):
    rng = random.Random(seed)
    receiver = Receiver(seed, True)
    with scratch() as d:
        server = Server(d, 'alertmanager', '--config.file=' + config(d, receiver.port)).start()
        todo = [list(range(i, min(i + 10, count))) for i in range(0, count, 10)]
        lock, done = threading.Lock(), threading.Event()

        def send():
            while not done.is_set():
                with lock:
                    batch = todo.pop(0) if todo else None
                if batch is None:
                    return
                body = json.dumps([{'labels': {'alertname': 'A', 'i': str(i), 'group': str(i // 10)}, 'endsAt': iso(time.time() + 36000)} for i in batch])
                try:
                    if request(server.address, 'POST', '/api/v2/alerts', body, JSON, timeout=10)[0] == 200:
                        time.sleep(0.002)
                        continue
                except Exception:
                    pass
                with lock:
                    todo.append(batch)  # not acknowledged: again
                time.sleep(0.01)

        senders = [threading.Thread(target=send) for _ in range(2)]
        for t in senders:
            t.start()
        for _ in range(kills):
            time.sleep(rng.uniform(0.02, 0.4))
            server.kill()
            server.start()
        for t in senders:
            t.join()
        try:
            wait_for('all alerts to arrive', lambda: len(receiver.alerts) == count, timeout=300)
        finally:
            done.set()
        time.sleep(1)
        code = server.stop()
        assert code == 0, code
    return receiver


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--silences', type=int, default=5)
    p.add_argument('--alerts', type=int, default=400)
    p.add_argument('--kills', type=int, default=3)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--record', action='store_true')
    o = p.parse_args()
    there = silences(o.silences)
    print(f'silences: {there} of {o.silences} there after kill -9')
    r = alerts(o.alerts, o.kills, o.seed)
    lost, most = o.alerts - len(r.alerts), o.kills * LANES
    print(f'alerts: {o.alerts}, {o.kills} kills, answers {r.answers}: {lost} lost, {r.accepted} accepted, {r.duplicates} duplicates (at most {most})')
    good = there == o.silences and lost == 0 and r.duplicates <= most
    if o.record:
        for row, figure, met in (
                ('silence made 1 ms before kill -9', f'{there} of {o.silences} there', there == o.silences),
                ('kill -9 over 10,000 alerts, receiver answers 429, 500, timeouts', f'{o.kills} kills, {o.alerts} alerts: {lost} lost, {r.duplicates} duplicates of at most {most}', lost == 0 and r.duplicates <= most)):
            subprocess.run([os.path.join(ROOT, 'scripts', 'reach.py'), 'add', '--row', row, '--figure', figure, '--met', 'yes' if met else 'no', '--command', 'scripts/long.sh alert-crash'], check=True)
    sys.exit(0 if good else 1)


main()
