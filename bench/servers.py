"""What the engine benchmarks share: the fleet of targets, and Prometheus, VictoriaMetrics and Pharos as processes that are measured alike.

Everything binds to loopback; ports are the kernel's; data lies in a scratch directory that goes away.
"""
import json, os, re, signal, subprocess, sys, time, urllib.parse
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'e2e'))
from harness import ROOT, BINARY, free_port, peer, request, wait_for

TOOLS = os.environ.get('PHAROS_BENCH', os.path.join(ROOT, 'build-bench', 'bench'))
TICK = os.sysconf('SC_CLK_TCK')
running = []


def spawn(args, directory, name, **more):
    os.makedirs(directory, exist_ok=True)
    log = open(os.path.join(directory, name + '.log'), 'ab')
    process = subprocess.Popen(args, stdout=more.pop('stdout', log), stderr=log, cwd=directory, **more)
    running.append(process)
    return process


def end_all():
    for p in running:
        if p.poll() is None:
            p.kill()
            p.wait()


def bytes_under(path, counts=lambda path: True):
    """Lengths of all files, which is what a copy of the directory would take."""
    return sum(os.lstat(p).st_size for d, _, files in os.walk(path) for p in (os.path.join(d, f) for f in files) if counts(p))


def capture_tape(path, pages=24, every=10):
    """Pages of a real node_exporter with its default collectors, one every ten seconds; taken once, then reused."""
    if os.path.exists(path):
        return path
    exe = peer('prometheus-node-exporter', 'prometheus-node-exporter')
    if not exe:
        raise SystemExit('no node_exporter to take a page from: scripts/peers.sh unpacks it, or give --page')
    os.makedirs(os.path.dirname(path), exist_ok=True)
    address = f'127.0.0.1:{free_port()}'
    process = spawn([exe, f'--web.listen-address={address}'], os.path.dirname(path), 'node-exporter')
    wait_for('node_exporter', lambda: request(address, 'GET', '/metrics')[0] == 200)
    print(f'taking {pages} pages of node_exporter, one every {every} s, into {path} (once)', flush=True)
    for _ in range(200):  # so that its own memory and garbage collection have found their level
        request(address, 'GET', '/metrics')
    with open(path + '.part', 'wb') as out:
        for k in range(pages):
            out.write(request(address, 'GET', '/metrics')[2] + b'# page\n')
            if k + 1 < pages:
                time.sleep(every)
    process.terminate()
    process.wait()
    os.rename(path + '.part', path)
    return path


class Fleet:
    def __init__(self, directory, page, targets, seed=1):
        self.process = spawn([os.path.join(TOOLS, 'fleet'), '--page', page, '--targets', str(targets), '--seed', str(seed)], directory, 'fleet', stdout=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        assert line, 'the fleet did not start'
        self.address = line.split()[0]
        self.targets, self.series = targets, int(re.search(r'series=(\d+)', line)[1])

    def stats(self):
        return json.loads(request(self.address, 'GET', '/stats', timeout=300)[2])

    def pages(self, engine):
        """Pages served to it so far."""
        return next((s['pages'] for name, s in self.stats()['scrapers'].items() if name.lower().startswith(engine.agent)), 0)

    def samples(self, engine):
        return self.pages(engine) * (self.series + engine.own_series)

    def rename(self):
        assert request(self.address, 'POST', '/rename', timeout=300)[0] == 200

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Engine:
    """One server. Subclasses say how it is started, asked whether it is ready, and merged."""
    name = agent = ready_path = None
    own_series = 5  # up, scrape_duration_seconds and so on, which it adds to every target
    write_path = '/api/v1/write'
    uncached = {}

    def __init__(self, directory, config):
        self.directory, self.config = os.path.join(directory, self.name), config
        self.data = os.path.join(self.directory, 'data')
        self.port = free_port()
        self.address = f'127.0.0.1:{self.port}'
        os.makedirs(self.directory, exist_ok=True)
        with open(os.path.join(self.directory, 'p.yml'), 'w') as f:
            f.write(config)
        self.process = None

    def start(self, timeout=600):
        """Seconds until it says it is ready."""
        started = time.monotonic()
        self.process = spawn(self.argv(), self.directory, 'log')
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f'{self.name} ended: {self.tail()}')
            try:
                if request(self.address, 'GET', self.ready_path, timeout=5)[0] == 200:
                    return time.monotonic() - started
            except OSError:
                pass
            if time.monotonic() - started > timeout:
                raise RuntimeError(f'{self.name} is not ready: {self.tail()}')
            time.sleep(0.002)

    def tail(self):
        with open(os.path.join(self.directory, 'log.log'), errors='replace') as f:
            return ''.join(f.readlines()[-15:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(600)

    def cpu(self):
        parts = open(f'/proc/{self.process.pid}/stat').read().rsplit(')', 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / TICK

    def written(self):
        return int(re.search(r'^write_bytes: (\d+)', open(f'/proc/{self.process.pid}/io').read(), re.M)[1])

    def status(self, key):
        return int(re.search(rf'^{key}:\s+(\d+)', open(f'/proc/{self.process.pid}/status').read(), re.M)[1]) * 1024

    def rss(self):
        return self.status('VmRSS')

    def get(self, path, **params):
        """The raw body; anything but 200 is an error."""
        query = urllib.parse.urlencode({**params, **(self.uncached if 'query' in params else {})})
        status, _, body = request(self.address, 'GET', path + ('?' + query if query else ''), timeout=900)
        if status != 200:
            raise RuntimeError(f'{self.name} {path} {params}: {status} {body[:300]}')
        return body

    def ask(self, expr, **params):
        return json.loads(self.get('/api/v1/query', query=expr, **params))['data']['result']

    def count(self, expr, **params):
        rows = self.ask(f'count({expr})', **params)
        return int(float(rows[0]['value'][1])) if rows else 0

    def metric(self, name):
        """Sum of a metric of its own page; None when it has none."""
        found = re.findall(rf'^{name}(?:\{{[^}}]*\}})? ([^ \n]+)', request(self.address, 'GET', '/metrics', timeout=60)[2].decode(), re.M)
        return sum(map(float, found)) if found else None

    def merge(self):
        """Everything in memory to disk and merged as far as the server goes; the server is down afterwards. Returns bytes on disk: all, and of
        those what keeps labels and finds series by them."""
        raise NotImplementedError


class Pharos(Engine):
    name, agent, ready_path = 'pharos', 'pharos', '/-/ready'
    extra = []

    def argv(self):
        binary = os.environ.get('PHAROS', os.path.join(ROOT, 'build-bench', 'pharos'))
        return [binary, 'prometheus', '--config.file=p.yml', f'--web.listen-address={self.address}', f'--storage.path={self.data}', '--web.enable-admin-api', *self.extra]

    def merge(self):
        self.stop()  # what is in memory becomes parts
        self.start()
        status, _, body = request(self.address, 'POST', '/api/v1/admin/tsdb/clean_tombstones', timeout=900)
        assert status == 204, (status, body)
        self.stop()
        return bytes_under(self.data), bytes_under(self.data, lambda path: re.search(r'/t\d+/c\d{20}$', path))


class Prometheus(Engine):
    name, agent, ready_path = 'prometheus', 'prometheus', '/-/ready'
    extra = []

    def argv(self):
        return [peer('prometheus', 'prometheus'), '--config.file=p.yml', f'--web.listen-address={self.address}', f'--storage.tsdb.path={self.data}', '--web.enable-admin-api',
                '--web.enable-remote-write-receiver', *self.extra]

    def merge(self):
        """A snapshot: blocks of everything, the head's included."""
        status, _, body = request(self.address, 'POST', '/api/v1/admin/tsdb/snapshot', timeout=900)
        assert status == 200, (status, body)
        self.stop()
        snapshots = os.path.join(self.data, 'snapshots')
        return bytes_under(snapshots), bytes_under(snapshots, lambda path: path.endswith('/index'))


class VictoriaMetrics(Engine):
    name, agent, ready_path = 'victoriametrics', 'vm', '/health'
    own_series = 7
    uncached = {'nocache': 1}
    extra = []

    def argv(self):
        return [peer('victoria-metrics', 'victoria-metrics'), '-promscrape.config=p.yml', f'-httpListenAddr={self.address}', f'-storageDataPath={self.data}', '-retentionPeriod=100d',
                '-promscrape.httpSDCheckInterval=10s', '-promscrape.config.strictParse=false', *self.extra]

    def merge(self):
        request(self.address, 'GET', '/internal/force_flush', timeout=900)
        request(self.address, 'GET', '/internal/force_merge', timeout=900)
        time.sleep(2)
        wait_for('the forced merge', lambda: not self.metric('vm_active_force_merges') and not self.metric('vm_active_merges'), timeout=900, every=1)
        self.stop()
        return bytes_under(self.data, lambda path: '/data/cache/' not in path), bytes_under(self.data, lambda path: '/indexdb/' in path)


ENGINES = {e.name: e for e in (Prometheus, VictoriaMetrics, Pharos)}


def scrape_config(fleet, interval):
    return f'''global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}
scrape_configs:
  - job_name: node_exporter
    http_sd_configs: [{{url: "http://{fleet.address}/sd", refresh_interval: 10s}}]
'''
