"""What the end-to-end scripts share: starting the real binary, a minimal remote_write client, queries, doubles.

Only Python's standard library. Every server binds to 127.0.0.1 on a port the kernel picks.
"""
import atexit, contextlib, http.client, json, os, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time, urllib.parse

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
BINARY = os.environ.get('PHAROS', os.path.join(ROOT, 'build', 'pharos'))
PEERS = os.environ.get('PHAROS_PEERS', os.path.join(ROOT, '.cache', 'peers'))
SKIPPED = 77


def skip(why):
    print(f'SKIPPED: {why}')
    sys.exit(SKIPPED)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


# ---- protobuf and snappy, as little as remote_write 1.0 needs ----

def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def write_request(series):
    """series: list of (labels dict, list of (t_ms, value))."""
    out = bytearray()
    for labels, samples in series:
        one = bytearray()
        for name in sorted(labels):
            one += field(1, field(1, name.encode()) + field(2, labels[name].encode()))
        for t, v in samples:
            one += field(2, b'\x09' + struct.pack('<d', v) + b'\x10' + varint(t))
        out += field(1, bytes(one))
    return bytes(out)


def snappy(data):
    """A valid snappy block of literals only."""
    out = bytearray(varint(len(data)))
    for at in range(0, len(data), 65536):
        chunk = data[at:at + 65536]
        n = len(chunk) - 1
        out += bytes([n << 2]) if n < 60 else bytes([61 << 2]) + struct.pack('<H', n)
        out += chunk
    return bytes(out)


def unsnappy(data):
    """Decodes a snappy block (for doubles that receive)."""
    at = shift = size = 0
    while True:
        b = data[at]; at += 1
        size |= (b & 127) << shift
        shift += 7
        if b < 128:
            break
    out = bytearray()
    while at < len(data):
        tag = data[at]; at += 1
        if tag & 3 == 0:
            n = tag >> 2
            if n >= 60:
                k = n - 59
                n = int.from_bytes(data[at:at + k], 'little'); at += k
            out += data[at:at + n + 1]; at += n + 1
            continue
        if tag & 3 == 1:
            n = (tag >> 2 & 7) + 4
            off = tag >> 5 << 8 | data[at]; at += 1
        elif tag & 3 == 2:
            n = (tag >> 2) + 1
            off = int.from_bytes(data[at:at + 2], 'little'); at += 2
        else:
            n = (tag >> 2) + 1
            off = int.from_bytes(data[at:at + 4], 'little'); at += 4
        for _ in range(n):
            out.append(out[-off])
    assert len(out) == size, (len(out), size)
    return bytes(out)


# ---- HTTP ----

def request(address, method, path, body=None, headers=None, timeout=30):
    host, port = address.rsplit(':', 1)
    c = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, dict(r.getheaders()), r.read()
    finally:
        c.close()


class Writer:
    """Keeps one connection and pushes remote_write requests over it."""

    def __init__(self, address, path='/api/v1/write', timeout=30):
        self.address, self.path, self.timeout, self.conn = address, path, timeout, None

    def push(self, series):
        body = snappy(write_request(series))
        if self.conn is None:
            host, port = self.address.rsplit(':', 1)
            self.conn = http.client.HTTPConnection(host, int(port), timeout=self.timeout)
        try:
            self.conn.request('POST', self.path, body, {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf',
                                                        'X-Prometheus-Remote-Write-Version': '0.1.0'})
            r = self.conn.getresponse()
            text = r.read()
            return r.status, dict(r.getheaders()), text
        except Exception:
            self.close()
            raise

    def close(self):
        if self.conn is not None:
            self.conn.close()
            self.conn = None


class Server:
    """A pharos process on ports the kernel picks. `address` is the web listener's."""

    def __init__(self, directory, *args, env=None, binary=None, log=None):
        self.directory, self.args, self.env, self.binary = directory, list(args), env, binary or BINARY
        self.process, self.address, self.addresses = None, None, {}
        self.log_path = log or os.path.join(directory, 'pharos.log')

    def start(self, wait=True, timeout=60):
        os.makedirs(self.directory, exist_ok=True)
        ready = os.path.join(self.directory, 'ready')
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ready)
        others = [] if self.args[:1] == ['alertmanager'] else ['--ui.listen-address=127.0.0.1:0', '--alertmanager.listen-address=127.0.0.1:0']
        args = [self.binary, *self.args, '--web.listen-address=127.0.0.1:0', *others,
                f'--storage.path={os.path.join(self.directory, "data")}', f'--ready-file={ready}']
        self.log = open(self.log_path, 'ab')
        atexit.register(self.end)
        self.process = subprocess.Popen(args, stdout=self.log, stderr=self.log, env={**os.environ, **(self.env or {})}, cwd=self.directory)
        if not wait:
            return self
        started = time.monotonic()
        while time.monotonic() - started < timeout:
            if self.process.poll() is not None:
                raise RuntimeError(f'pharos ended with {self.process.returncode}:\n{self.tail()}')
            if os.path.exists(ready):
                self.addresses = dict(line.split() for line in open(ready))
                self.address = self.addresses.get('web') or next(iter(self.addresses.values()))
                self.ready_seconds = time.monotonic() - started
                return self
            time.sleep(0.002)
        raise RuntimeError(f'not ready after {timeout} s:\n{self.tail()}')

    def tail(self, lines=30):
        with open(self.log_path, errors='replace') as f:
            return ''.join(f.readlines()[-lines:])

    def end(self):
        """Whatever became of the script, no server outlives it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def stop(self, timeout=60):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self.log.close()
        return code

    def get(self, path, timeout=30):
        return request(self.address, 'GET', path, timeout=timeout)

    def api(self, path, **params):
        query = urllib.parse.urlencode(params, doseq=True)
        status, _, body = self.get(f'/api/v1/{path}' + ('?' + query if query else ''))
        answer = json.loads(body)
        if answer['status'] != 'success':
            raise RuntimeError(f'{path} {params}: {status} {answer}')
        return answer['data']

    def query(self, expr, **params):
        return self.api('query', query=expr, **params)['result']

    def rss(self):
        """(VmRSS, RssAnon) in bytes."""
        fields = dict(line.split(':', 1) for line in open(f'/proc/{self.process.pid}/status'))
        return tuple(int(fields[k].split()[0]) * 1024 for k in ('VmRSS', 'RssAnon'))

    def cpu_seconds(self):
        parts = open(f'/proc/{self.process.pid}/stat').read().rsplit(')', 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf('SC_CLK_TCK')


@contextlib.contextmanager
def scratch():
    path = tempfile.mkdtemp(prefix='pharos-e2e-')
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def wait_for(what, condition, timeout=30, every=0.05):
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = condition()
            if value:
                return value
            last = 'condition is false'
        except Exception as e:
            last = repr(e)
        if time.monotonic() > deadline:
            raise RuntimeError(f'waited {timeout} s for {what}: {last}')
        time.sleep(every)


def peer(package, binary):
    path = os.path.join(PEERS, package, 'usr', 'bin', binary)
    return path if os.access(path, os.X_OK) else None
