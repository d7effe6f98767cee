#!/usr/bin/env python3
"""The remote_write sender against a receiver that goes away: basic auth, 5xx, 429, a closed port, and kill -9 of ourselves meanwhile.

Request k of the load carries the value k at a time that follows from k, in every series. What Pharos acknowledged must reach the
receiver at least once, without a gap, in order of first arrival, with the external labels and the relabelling of the configuration.
"""
import base64, os, random, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

SERIES, STEP_MS = 40, 50
AUTH = 'Basic ' + base64.b64encode(b'writer:remote secret').decode()


def fields(data):
    """The fields of a protobuf message: (number, value)."""
    at = 0
    def number():
        nonlocal at
        n = shift = 0
        while True:
            b = data[at]; at += 1
            n |= (b & 127) << shift
            shift += 7
            if b < 128:
                return n
    while at < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        elif key & 7 == 1:
            yield key >> 3, struct.unpack('<d', data[at:at + 8])[0]; at += 8
        elif key & 7 == 2:
            n = number()
            yield key >> 3, data[at:at + n]; at += n
        else:
            raise ValueError(f'wire type {key & 7}')


class Receiver:
    """A remote_write 1.0 receiver: checks what the specification demands and keeps every sample that it acknowledged."""

    def __init__(self):
        self.port, self.httpd, self.mode, self.connections = free_port(), None, 'ok', set()
        self.lock, self.got, self.order, self.problems, self.answers, self.metadata = threading.Lock(), {}, {}, [], {}, 0

    def up(self):
        me = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                status = me.receive(self.path, self.headers, body)
                self.send_response(status)
                if status == 429:
                    self.send_header('Retry-After', '1')
                self.send_header('Content-Length', '0')
                self.end_headers()

            def setup(self):
                me.connections.add(self.request)
                super().setup()

            def log_message(self, *args):
                pass

        class Httpd(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass  # the sender was killed, or we hung up

        self.connections = set()
        self.httpd = Httpd(('127.0.0.1', self.port), Handler)
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def down(self):
        self.httpd.shutdown()
        self.httpd.server_close()
        for s in list(self.connections):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def receive(self, path, headers, body):
        with self.lock:
            status = self.judge(path, headers, body)
            self.answers[status] = self.answers.get(status, 0) + 1
            return status

    def judge(self, path, headers, body):
        if headers.get('Authorization') != AUTH:
            return 401
        for name, want in (('Content-Encoding', 'snappy'), ('Content-Type', 'application/x-protobuf'), ('X-Prometheus-Remote-Write-Version', '0.1.0')):
            if headers.get(name) != want:
                self.problems.append(f'{name}: {headers.get(name)}')
        if not headers.get('User-Agent', '').startswith('pharos/'):
            self.problems.append(f'User-Agent: {headers.get("User-Agent")}')
        if self.mode == 'broken':
            return random.choice((500, 502, 503))
        if self.mode == 'busy':
            return 429
        samples = []
        for number, series in fields(unsnappy(body)):
            if number == 3:
                self.metadata += 1
            if number != 1:
                continue
            labels, points = [], []
            for n, value in fields(series):
                if n == 1:
                    pair = dict(fields(value))
                    labels.append((pair[1].decode(), pair[2].decode()))
                elif n == 2:
                    pair = dict(fields(value))
                    t = pair.get(2, 0)
                    points.append((t - (1 << 64) if t >> 63 else t, pair.get(1, 0.0)))
            if labels != sorted(labels) or len(dict(labels)) != len(labels):
                self.problems.append(f'labels not sorted or repeated: {labels}')
            samples.append((tuple(labels), points))
        if not samples and not self.metadata:
            self.problems.append('an empty request')
        for labels, points in samples:
            seen, order = self.got.setdefault(labels, {}), self.order.setdefault(labels, [])
            for t, v in points:
                if t not in seen:
                    order.append(t)
                    seen[t] = v
                elif seen[t] != v and v == v:
                    self.problems.append(f'{labels} at {t}: {seen[t]} and then {v}')
        return 200 if self.mode == 'ok' else 204

    def values(self, name):
        with self.lock:
            return {dict(labels)['s']: dict(seen) for labels, seen in self.got.items() if dict(labels)['__name__'] == name}


class Load(threading.Thread):
    def __init__(self, server, base, first):
        super().__init__(daemon=True)
        self.server, self.base, self.acked, self.sent, self.halt, self.problems = server, base, first - 1, first - 1, False, []

    def run(self):
        w = Writer(self.server.address)
        while not self.halt:
            k = self.sent = self.acked + 1
            try:
                status, _, text = w.push([({'__name__': 'remote_load', 's': f'{i:02}', 'unwanted': 'x'}, [(self.base + k * STEP_MS, float(k))]) for i in range(SERIES)] +
                                         [({'__name__': 'dropped_load'}, [(self.base + k * STEP_MS, float(k))])])
            except Exception:
                break
            if status // 100 != 2:
                self.problems.append(f'{status} {text[:200]}')
                break
            self.acked = k
            time.sleep(0.005)
        w.close()

    def end(self):
        self.halt = True
        self.join()
        return self.acked


def main():
    failures = []
    receiver = Receiver()
    receiver.up()
    base = int(time.time() * 1000) - 3600_000
    with scratch() as directory:
        with open(os.path.join(directory, 'password'), 'w') as f:
            f.write('remote secret\n')
        config = os.path.join(directory, 'prometheus.yml')
        with open(config, 'w') as f:
            f.write(f'''global: {{external_labels: {{cluster: e2e, s: never}}}}
remote_write:
  - url: http://127.0.0.1:{receiver.port}/api/v1/push
    basic_auth: {{username: writer, password_file: password}}
    queue_config: {{min_backoff: 30ms, max_backoff: 500ms, batch_send_deadline: 200ms, retry_on_http_429: true}}
    write_relabel_configs:
      - {{source_labels: [__name__], regex: dropped_.*, action: drop}}
      - {{regex: unwanted, action: labeldrop}}
''')
        server = Server(directory, 'prometheus', f'--config.file={config}', '--no-self-scrape')
        acked = 0

        def phase(name, seconds, before=None, kill=False):
            """Pushes for a while; kills at the end where asked to."""
            nonlocal acked
            if before:
                before()
            load = Load(server, base, acked + 1)
            load.start()
            time.sleep(seconds)
            if kill:
                server.kill()
            load.halt = True
            load.join()
            if load.acked <= acked:
                failures.append(f'{name}: nothing was acknowledged: {load.problems}')
            failures.extend(f'{name}: {x}' for x in load.problems)
            acked = load.acked
            if kill:
                server.start()

        def mode(name):
            receiver.mode = name

        server.start()
        phase('a receiver that answers', 1.5)
        wait_for('the first samples', lambda: len(receiver.values('remote_load')) == SERIES)
        phase('a receiver in trouble (5xx)', 1.5, lambda: mode('broken'))
        phase('a busy receiver (429)', 1.5, lambda: mode('busy'))
        mode('ok')
        phase('no receiver', 2, receiver.down)
        phase('no receiver, and kill -9', 1.5, kill=True)
        phase('no receiver, and kill -9 again', 1, kill=True)
        phase('no receiver, restarted', 1)
        receiver.up()
        phase('the receiver is back', 1)
        phase('kill -9 while sending', 1, kill=True)
        def complete():
            got = receiver.values('remote_load')
            return len(got) == SERIES and all(base + k * STEP_MS in seen for seen in got.values() for k in range(1, acked + 1))
        try:
            wait_for('every acknowledged sample at the receiver', complete, timeout=60)
        except RuntimeError:
            for s, seen in sorted(receiver.values('remote_load').items()):
                lost = [k for k in range(1, acked + 1) if base + k * STEP_MS not in seen]
                if lost:
                    failures.append(f's {s}: {len(lost)} of {acked} never arrived, e.g. {lost[:5]}')
        with receiver.lock:
            for labels, seen in receiver.got.items():
                l = dict(labels)
                if l['__name__'] == 'dropped_load' or 'unwanted' in l:
                    failures.append(f'relabelling was not applied: {l}')
                if l.get('cluster') != 'e2e' or l.get('s') == 'never':
                    failures.append(f'external labels: {l}')
                if l['__name__'] == 'remote_load':
                    if any(t != base + int(v) * STEP_MS for t, v in seen.items()):
                        failures.append(f'{l}: invented samples')
                    if receiver.order[labels] != sorted(receiver.order[labels]):
                        failures.append(f'{l}: out of order')
            failures += receiver.problems
            if not {429} <= set(receiver.answers) or not {500, 502, 503} & set(receiver.answers):
                failures.append(f'the receiver never was in trouble: {receiver.answers}')
            if 401 in receiver.answers:
                failures.append(f'{receiver.answers[401]} requests without the right credentials')
        # What was acknowledged by Pharos is in Pharos, too.
        count = server.query(f'count_over_time(remote_load{{s="00"}}[{acked * STEP_MS + 1000}ms])', time=f'{(base + acked * STEP_MS) / 1000:.3f}')
        if [int(float(r['value'][1])) for r in count] != [acked]:
            failures.append(f'stored here: {count}, acknowledged {acked}')
        page = server.get('/metrics')[2].decode()
        for name in ('prometheus_remote_storage_samples_total', 'prometheus_remote_storage_samples_pending', 'prometheus_remote_storage_samples_failed_total'):
            if name + '{' not in page:
                failures.append(f'/metrics has no {name}')
        if server.stop() != 0:
            failures.append('the server did not stop cleanly')
        out = subprocess.run([BINARY, 'fsck', os.path.join(directory, 'data')], capture_output=True, text=True)
        if out.returncode:
            failures.append(f'fsck: {out.stdout[-500:]}{out.stderr[-500:]}')
        if 'remote secret' in open(server.log_path).read():
            failures.append('the password is in the log')
    receiver.down()
    for f in failures[:30]:
        print(f)
    print(f'{acked * SERIES} samples acknowledged, answers of the receiver {receiver.answers}, {len(failures)} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
