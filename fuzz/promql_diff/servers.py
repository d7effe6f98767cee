"""The two servers of a round: started empty, loaded with the same data, asked over connections that stay open."""
import http.client, json, os, shutil, subprocess, tempfile, threading, time, urllib.parse
import harness
from data import Hist
from harness import BINARY, free_port, peer, request, snappy, wait_for

FEATURES = 'promql-experimental-functions,native-histograms,exemplar-storage,promql-duration-expr'
PROMETHEUS_YML = 'global: {evaluation_interval: %s}\nstorage: {tsdb: {out_of_order_time_window: 30d}, exemplars: {max_exemplars: 100000}}\n'


class Asker:
    """Connections to one address, one per thread."""

    def __init__(self, address, may_hang_up=False):
        self.may_hang_up = may_hang_up  # an answer it cannot write ends the connection: that counts as the error it is
        self.address, self.local, self.all, self.lock = address, threading.local(), [], threading.Lock()

    def connection(self):
        c = getattr(self.local, 'c', None)
        if c is None:
            c = self.local.c = http.client.HTTPConnection(*self.address.rsplit(':', 1), timeout=150)
            with self.lock:
                self.all.append(c)
        return c

    def ask(self, path, params, post=False):
        """(status, body). A connection that the server closed meanwhile is opened again once."""
        form = urllib.parse.urlencode(params, doseq=True)
        for attempt in (0, 1):
            c = self.connection()
            try:
                if post:
                    c.request('POST', '/api/v1/' + path, form, {'Content-Type': 'application/x-www-form-urlencoded'})
                else:
                    c.request('GET', f'/api/v1/{path}?{form}')
                r = c.getresponse()
                return r.status, r.read()
            except (http.client.HTTPException, OSError):
                c.close()
                if attempt and self.may_hang_up:
                    return 500, b'{"status": "error", "errorType": "internal", "error": "unexpected error: runtime error: the connection was closed"}'
                if attempt:
                    raise

    def close(self):
        for c in self.all:
            c.close()


class Process:
    def stop(self, kill=False):
        if self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(60)
        self.asker.close()

    def alive(self):
        return self.process.poll() is None

    def cpu_seconds(self):
        fields = open(f'/proc/{self.process.pid}/stat').read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Prometheus(Process):
    def __init__(self, directory, features, binary=None, interval='1m'):
        self.directory = os.path.join(directory, 'third' if binary else 'prometheus')
        os.makedirs(self.directory)
        with open(os.path.join(self.directory, 'prometheus.yml'), 'w') as f:
            f.write(PROMETHEUS_YML % interval)
        self.address = f'127.0.0.1:{free_port()}'
        self.log = open(os.path.join(self.directory, 'log'), 'ab')
        self.process = subprocess.Popen(
            [binary or peer('prometheus', 'prometheus'), '--config.file=prometheus.yml', '--storage.tsdb.path=data', f'--web.listen-address={self.address}',
             '--web.enable-remote-write-receiver', '--storage.tsdb.retention.time=3650d', f'--enable-feature={features}'], cwd=self.directory, stdout=self.log, stderr=self.log)
        wait_for('the peer', lambda: request(self.address, 'GET', '/-/ready')[0] == 200)
        self.asker = Asker(self.address, may_hang_up=True)


class Pharos(Process):
    def __init__(self, directory, features, flush='1h', interval='1m'):
        self.directory, self.flush = os.path.join(directory, 'pharos'), flush
        os.makedirs(self.directory)
        with open(os.path.join(self.directory, 'prometheus.yml'), 'w') as f:
            f.write(f'global: {{evaluation_interval: {interval}}}\n')
        self.args = ('prometheus', '--config.file=prometheus.yml', f'--enable-feature={features}', '--web.enable-admin-api', f'--storage.flush-interval={flush}', '--storage.durability=process')
        self.start()

    def start(self):
        self.server = harness.Server(self.directory, *self.args).start()
        self.process, self.address = self.server.process, self.server.address
        self.asker = Asker(self.address)

    def restart(self, kill=False):
        self.stop(kill)
        self.start()

    def merge(self):
        request(self.address, 'POST', '/api/v1/admin/tsdb/clean_tombstones', timeout=120)


class Refused(Exception):
    pass


def push(address, series, points_of):
    """One remote_write request; points_of: series -> (points, exemplars)."""
    body = b''.join(s.wire(*points_of(s)) for s in series)
    if not body:
        return
    status, _, text = request(address, 'POST', '/api/v1/write', snappy(body),
                              {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf', 'X-Prometheus-Remote-Write-Version': '0.1.0'}, timeout=120)
    if status not in (200, 204):
        raise Refused(f'{address} answers a remote_write with {status}: {text[:300]}')


def slices(series, start, end, width):
    """Points cut at multiples of width, so that both servers get them in the order of time."""
    at = start
    while at <= end:
        cut = {id(s): ([p for p in s.points if at <= p[0] < at + width], [e for e in s.exemplars if at <= e[0] < at + width]) for s in series}
        some = [s for s in series if cut[id(s)][0]]
        if some:
            yield some, lambda s, cut=cut: cut[id(s)]
        at += width


def write(servers, series, between=lambda i, n: None, rng=None):
    """Loads all servers alike. With rng: some slices of float series come late, inside the window. Histograms keep their order: the
    peer mixes up buckets of late ones."""
    start = min(p[0] for s in series for p in s.points)
    end = max(p[0] for s in series for p in s.points)
    width = max(600000, (end - start) // 40)
    hists = [s for s in series if any(isinstance(p[1], Hist) for p in s.points)] if rng else []
    parts = list(slices([s for s in series if s not in hists], start, end, width))
    for i in range(len(parts) - 1 if rng else 0):
        if rng.random() < 0.3:
            parts[i], parts[i + 1] = parts[i + 1], parts[i]
    parts = list(slices(hists, start, end, width)) + parts
    for i, (some, points_of) in enumerate(parts):
        for s in servers:
            push(s.address, some, points_of)
        between(i, len(parts))


class Pair:
    """Both servers in a directory of their own."""

    def __init__(self, features=FEATURES, flush='1h', third=None):
        self.directory, self.third = tempfile.mkdtemp(prefix='promql-diff-'), None
        try:
            self.theirs = Prometheus(self.directory, features)
            self.ours = Pharos(self.directory, features, flush)
            if third:
                self.third = Prometheus(self.directory, features, third)
        except BaseException:
            self.close()
            raise

    def ask(self, path, params, post=False):
        return self.ours.asker.ask(path, params, post), self.theirs.asker.ask(path, params, post)

    def loaded(self):
        return [s for s in (self.ours, self.theirs, self.third) if s]

    def close(self):
        for s in (getattr(self, 'ours', None), getattr(self, 'theirs', None), self.third):
            if s:
                s.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def parsed(answer):
    status, body = answer
    try:
        return status, json.loads(body)
    except ValueError:
        return status, {'status': 'not JSON', 'text': body[:300].decode('utf-8', 'replace')}
