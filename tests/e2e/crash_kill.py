#!/usr/bin/env python3
"""kill -9 under load: what was acknowledged is there after the restart, once, and nothing was invented.

    tests/e2e/crash_kill.py --cycles 30 --seed 1      (CI's short form is the default)
    tests/e2e/crash_kill.py --cycles 100 --record     appends the outcome to docs/reach.jsonl

Each writer pushes requests of 50 series; request k of a writer carries the value k at a time that follows from k. So the
acknowledged set is a number per writer, and any loss, double or invention shows in the values themselves.
"""
import argparse, os, random, subprocess, sys, threading, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

SERIES, STEP_MS, WRITERS = 50, 20, 4


class Load(threading.Thread):
    def __init__(self, server, writer, base_ms, first):
        super().__init__(daemon=True)
        self.server, self.writer, self.base, self.next = server, writer, base_ms, first
        self.acked, self.sent, self.refused = first - 1, first - 1, 0
        self.halt = False

    def run(self):
        w = Writer(self.server.address)
        while not self.halt:
            k = self.next
            self.sent = k
            try:
                status, _, text = w.push([({'__name__': 'crash', 'writer': str(self.writer), 's': f'{i:02}'},
                                           [(self.base + k * STEP_MS, float(k))]) for i in range(SERIES)])
            except Exception:
                break
            if status // 100 != 2:
                self.refused += 1
                break
            self.acked = k
            self.next = k + 1
        w.close()


def verify(server, base, acked, sent):
    """Per writer: values 1..n for n between acked and sent, each once, each at its own time, in every series."""
    problems = []
    for writer in range(WRITERS):
        window = (sent[writer] + 2) * STEP_MS + 1000
        at = (base + sent[writer] * STEP_MS + 500) / 1000
        rows = server.query(f'crash{{writer="{writer}"}}[{window}ms]', time=f'{at:.3f}') if sent[writer] else []
        if acked[writer] and len(rows) != SERIES:
            problems.append(f'writer {writer}: {len(rows)} of {SERIES} series')
        for row in rows:
            values = [(int(round(float(t) * 1000)), int(float(v))) for t, v in row['values']]
            have = [v for _, v in values]
            if len(set(have)) != len(have):
                problems.append(f'writer {writer} s {row["metric"]["s"]}: doubled')
            lost = set(range(1, acked[writer] + 1)) - set(have)
            if lost:
                problems.append(f'writer {writer} s {row["metric"]["s"]}: lost {len(lost)} acknowledged, e.g. {sorted(lost)[:5]} of {acked[writer]}')
            if any(v > sent[writer] or t != base + v * STEP_MS for t, v in values):
                problems.append(f'writer {writer} s {row["metric"]["s"]}: invented')
    return problems


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--cycles', type=int, default=30)
    p.add_argument('--seed', type=int, default=int(time.time()))
    p.add_argument('--record', action='store_true')
    args = p.parse_args()
    rng = random.Random(args.seed)
    failures, slowest, total = [], 0.0, 0
    with scratch() as directory:
        server = Server(directory, 'prometheus', '--storage.flush-interval=200ms', '--no-self-scrape')
        base = int(time.time() * 1000) - 3600_000
        acked, sent = [0] * WRITERS, [0] * WRITERS
        for cycle in range(1, args.cycles + 1):
            server.start()
            slowest = max(slowest, server.ready_seconds)
            problems = verify(server, base, acked, sent)
            failures += [f'cycle {cycle}: {x}' for x in problems]
            # What was sent but not acknowledged may be there or not; the next request repeats it, as a client would.
            loads = [Load(server, w, base, acked[w] + 1) for w in range(WRITERS)]
            for x in loads:
                x.start()
            time.sleep(rng.uniform(0.05, 0.3) if rng.random() < 0.3 else rng.uniform(0.3, 2.0))
            server.kill()
            for x in loads:
                x.halt = True
            for x in loads:
                x.join()
            refused = sum(x.refused for x in loads)
            if refused:
                failures.append(f'cycle {cycle}: {refused} requests refused')
            acked = [max(a, x.acked) for a, x in zip(acked, loads)]
            sent = [max(s, x.sent) for s, x in zip(sent, loads)]
            total = sum(acked) * SERIES
            if failures:
                break
        server.start()
        failures += [f'end: {x}' for x in verify(server, base, acked, sent)]
        if server.stop() != 0:
            failures.append('the last stop was not clean')
        out = subprocess.run([BINARY, 'fsck', os.path.join(directory, 'data')], capture_output=True, text=True)
        if out.returncode:
            failures.append(f'fsck: {out.stdout[-500:]}{out.stderr[-500:]}')
    for f in failures[:20]:
        print(f)
    figure = f'{args.cycles} cycles, {total} samples acknowledged, {len(failures)} problems, slowest start {slowest:.2f} s'
    print(f'seed {args.seed}: {figure}')
    if args.record:
        subprocess.run([os.path.join(ROOT, 'scripts/reach.py'), 'add', '--row', 'kill -9 under load', '--figure', figure, '--met',
                        'yes' if not failures and args.cycles >= 100 else 'no', '--command', f'tests/e2e/crash_kill.py --cycles {args.cycles} --record'])
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
