#!/usr/bin/env python3
"""A full disk: writes are refused with 507 or 503 and Retry-After, the process lives, queries work, writing resumes by itself
within 10 s after space returns, and nothing acknowledged is lost.

    tests/e2e/disk_full.py               on a tmpfs of 96 MiB (needs the right to mount; skipped otherwise)
    tests/e2e/disk_full.py --record      appends the outcome to docs/reach.jsonl
"""
import argparse, errno, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

SERIES, STEP_MS, RESUME_MAX = 50, 20, 10.0


@contextlib.contextmanager
def small_disk(directory, mib=96):
    path = os.path.join(directory, 'disk')
    os.makedirs(path)
    out = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={mib}m', 'tmpfs', path], capture_output=True, text=True)
    if out.returncode:
        skip(f'a small tmpfs cannot be mounted here: {out.stderr.strip()}')
    try:
        yield path
    finally:
        subprocess.run(['umount', '-l', path], check=False)


class Filler:
    def __init__(self, disk):
        self.path = os.path.join(disk, 'filler')

    def fill(self):
        """Takes every byte that is left, again and again while others give some back."""
        with open(self.path, 'ab', buffering=0) as f:
            for size in (1 << 20, 65536, 4096, 1):
                try:
                    while True:
                        f.write(b'x' * size)
                except OSError as e:
                    assert e.errno == errno.ENOSPC, e

    def free(self):
        os.unlink(self.path)


class Load(threading.Thread):
    """Pushes request k until it is acknowledged, then k + 1."""

    def __init__(self, server, base, first):
        super().__init__(daemon=True)
        self.server, self.base, self.acked, self.halt = server, base, first - 1, False
        self.answers, self.refusals, self.problems, self.last_ok = [], {}, [], None

    def run(self):
        w = Writer(self.server.address)
        while not self.halt:
            k = self.acked + 1
            try:
                status, headers, text = w.push([({'__name__': 'full', 's': f'{i:02}'}, [(self.base + k * STEP_MS, float(k))]) for i in range(SERIES)])
            except Exception as e:
                if not self.halt:
                    self.problems.append(f'request {k}: {e!r}')
                break
            if status // 100 == 2:
                self.acked, self.last_ok = k, time.monotonic()
                time.sleep(0.002)
                continue
            self.refusals[status] = self.refusals.get(status, 0) + 1
            if status not in (507, 503):
                self.problems.append(f'request {k}: {status} {text[:200]}')
            if not any(h.lower() == 'retry-after' for h in headers):
                self.problems.append(f'request {k}: {status} without Retry-After')
            time.sleep(0.05)
        w.close()


def verify(server, base, acked, sent):
    problems = []
    at = (base + sent * STEP_MS + 500) / 1000
    rows = server.query(f'full[{(sent + 2) * STEP_MS + 1000}ms]', time=f'{at:.3f}')
    if len(rows) != SERIES:
        problems.append(f'{len(rows)} of {SERIES} series')
    for row in rows:
        values = [(int(round(float(t) * 1000)), int(float(v))) for t, v in row['values']]
        have = [v for _, v in values]
        lost = set(range(1, acked + 1)) - set(have)
        if lost:
            problems.append(f's {row["metric"]["s"]}: lost {len(lost)} of {acked} acknowledged, e.g. {sorted(lost)[:5]}')
        if len(set(have)) != len(have) or any(v > sent or t != base + v * STEP_MS for t, v in values):
            problems.append(f's {row["metric"]["s"]}: doubled or invented')
    return problems[:5]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--rounds', type=int, default=2)
    p.add_argument('--record', action='store_true')
    args = p.parse_args()
    failures, slowest, refusals, acked = [], 0.0, {}, 0
    base = int(time.time() * 1000) - 3600_000
    with scratch() as directory, small_disk(directory) as disk:
        data = os.path.join(disk, 'data')
        server = Server(directory, 'prometheus', f'--storage.tsdb.path={data}', '--storage.flush-interval=200ms', '--storage.wal.max-bytes=16MiB', '--no-self-scrape')
        filler = Filler(disk)
        server.start()
        for round in range(1, args.rounds + 1):
            is_last = round == args.rounds
            load = Load(server, base, acked + 1)
            load.start()
            time.sleep(3)
            if load.acked <= acked:
                failures.append(f'round {round}: nothing was accepted before the disk was full: {load.problems[:2]}')
            started = time.monotonic()
            while not load.refusals and time.monotonic() - started < 60 and load.is_alive():
                filler.fill()
                time.sleep(0.05)
            if not load.refusals:
                failures.append(f'round {round}: a full disk refused nothing: {load.problems[:2]}')
            # Full for as long as several flushes take. The process lives and answers.
            until = time.monotonic() + 5
            while time.monotonic() < until:
                filler.fill()
                if server.process.poll() is not None:
                    failures.append(f'round {round}: the process ended with {server.process.returncode}: {server.tail()}')
                    break
                for path in ('/-/healthy', '/metrics', '/api/v1/query?query=count(full)', '/api/v1/status/tsdb'):
                    status = server.get(path)[0]
                    if status != 200:
                        failures.append(f'round {round}: {path} on a full disk: {status}')
                time.sleep(0.1)
            if failures:
                break
            have = len(server.query('full', time=f'{(base + load.acked * STEP_MS) / 1000:.3f}'))
            if have != SERIES:
                failures.append(f'round {round}: a query on the full disk sees {have} of {SERIES} series')
            if is_last:
                # kill -9 on the full disk: the next start has no room either, and still serves what was acknowledged.
                load.halt = True
                load.join()
                server.kill()
                filler.fill()
                server.start()
                failures += [f'restarted on the full disk: {x}' for x in verify(server, base, load.acked, load.acked + 1)]
                acked = load.acked
                problems, seen = load.problems, load.refusals
                load = Load(server, base, acked + 1)
                load.problems, load.refusals = problems, seen
                load.start()
                time.sleep(1)
            filler.free()
            freed = time.monotonic()
            mark = load.last_ok
            while time.monotonic() - freed < 60 and (load.last_ok is None or load.last_ok < freed) and load.is_alive():
                time.sleep(0.01)
            resumed = (load.last_ok or time.monotonic()) - freed
            slowest = max(slowest, resumed)
            if load.last_ok is None or load.last_ok < freed:
                failures.append(f'round {round}: writing did not resume within 60 s: {load.refusals}\n{server.tail()}')
            elif resumed > RESUME_MAX:
                failures.append(f'round {round}: writing resumed after {resumed:.1f} s only')
            time.sleep(1)
            load.halt = True
            load.join()
            failures += [f'round {round}: {x}' for x in load.problems[:5]]
            acked = load.acked
            for status, n in load.refusals.items():
                refusals[status] = refusals.get(status, 0) + n
            failures += [f'round {round}: {x}' for x in verify(server, base, acked, acked + 1)]
            if failures:
                break
        if server.process.poll() is None:
            if server.stop() != 0:
                failures.append('the last stop was not clean')
            server.start()
            failures += [f'end: {x}' for x in verify(server, base, acked, acked + 1)]
            server.stop()
            out = subprocess.run([BINARY, 'fsck', data], capture_output=True, text=True)
            if out.returncode:
                failures.append(f'fsck: {out.stdout[-500:]}{out.stderr[-500:]}')
    for f in failures[:20]:
        print(f)
    figure = (f'{args.rounds} times full: {acked * SERIES} samples acknowledged, none lost; refused ' + ', '.join(f'{n} x {status}' for status, n in sorted(refusals.items())) +
              f'; resumed within {slowest:.1f} s' if not failures else f'{len(failures)} problems')
    print(figure)
    if args.record:
        subprocess.run([os.path.join(ROOT, 'scripts/reach.py'), 'add', '--row', 'disk full', '--figure', figure, '--met', 'no' if failures else 'yes',
                        '--command', f'tests/e2e/disk_full.py --rounds {args.rounds} --record'])
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
