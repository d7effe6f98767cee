#!/usr/bin/env python3
"""The differential fuzzer: random PromQL over random series, asked of Pharos and of the peer's Prometheus.

    python3 fuzz/promql_diff                                     a short run: 2,000 queries, two data sets
    python3 fuzz/promql_diff --queries 100000 --resume           counts go on where the last run of the same binary stopped
    python3 fuzz/promql_diff --seed 17 --queries 500 --shrink    one data set again, findings made small
    python3 fuzz/promql_diff --replay FILE                       a reproduction that was kept
"""
import argparse, hashlib, json, os, random, subprocess, sys, threading, time, traceback
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, '..', '..', 'tests', 'e2e')]
from harness import BINARY, ROOT, peer, skip
import data, grammar, judge, requests, rules, servers, shrink

STATE = os.path.join(ROOT, '.cache', 'promql_diff')


class Round:
    """One seed: a data set, how it gets into Pharos, and queries of it."""

    def __init__(self, seed):
        self.seed = seed
        rng = self.rng = random.Random(seed)
        long = rng.random() < 0.15
        interval, n = rng.choice([(5000, 1900), (1000, 1500), (5000, 1200)] if long else [(15000, 240), (15000, 400), (30000, 200), (10000, 150), (60000, 120)])
        now = int(time.time()) * 1000
        start = (now - interval * n - 60000) // 60000 * 60000 + (337 if rng.random() < 0.8 else 0)
        self.data = data.make(rng, start, interval, n, rng.random() < 0.4 and start % 1000)
        if long:
            self.data.series = rng.sample(self.data.series, len(self.data.series) * 2 // 3)
        self.flush = rng.choice(['1s', '1s', '1h'])
        self.late, self.how = rng.random() < 0.2, rng.choice(['memory', 'parts', 'restart', 'kill', 'merge', 'merge'])
        extra = rng.choice(['', '', ',promql-delayed-name-removal'])
        self.features = servers.FEATURES + extra
        self.gen = grammar.Gen(rng, self.data, delayed_names=bool(extra))

    def describe(self):
        d = self.data
        return f'seed {self.seed}: {len(d.series)} series, {sum(len(s.points) for s in d.series)} samples, every {d.interval / 1000:g} s, {self.how}, flush {self.flush}{", late samples" if self.late else ""}{self.features[len(servers.FEATURES):]}'

    def load(self, pair):
        def between(i, n):
            if self.how == 'memory' or i + 1 == n and self.how != 'merge':
                return
            if self.how in ('restart', 'kill') and i in (n // 3, n - 2):
                pair.ours.restart(kill=self.how == 'kill')
            elif self.how in ('parts', 'merge') and i % 4 == 3 and self.flush == '1s':
                time.sleep(1.1)
            elif self.how == 'merge' and i % 9 == 5:
                pair.ours.restart()
        servers.write(pair.loaded(), self.data.series, between, random.Random(self.seed + 1) if self.late else None)
        if self.how == 'merge':
            pair.ours.restart()
            pair.ours.merge()

    def ask(self):
        rng, d, node = self.rng, self.data, None
        other = rng.random()
        if other < 0.06:
            return requests.parsing(self.gen) if other < 0.04 else requests.known(self.gen, d)
        node = self.gen.query()
        span = d.end - d.start
        on_grid = rng.choice([1000, 1000, 15000, 60000, 1])
        t = d.start + int(rng.triangular(-0.02, 1.05, 0.8) * span)
        t -= t % on_grid
        extra = {'lookback_delta': rng.choice(['1m', '30s', '17s', '1h'])} if rng.random() < 0.05 else {}
        if node.type in (grammar.MATRIX, grammar.STRING) or rng.random() < 0.5:
            return judge.Ask(node, t, extra=extra)
        step = rng.choice([15000, 60000, 30000, 7000, 10000, 300000, 1000, d.interval])
        steps = rng.choice([0, 1, 5, 20, 60, 200]) if step > 1000 else rng.choice([3, 30])
        start = max(d.start - 60000, t - step * steps)
        start -= start % on_grid
        return judge.Ask(node, start, start + step * steps + rng.choice([0, 0, step // 2]), step, extra)


class Counts:
    """What a run came to so far. Kept between runs of one binary, so that a long run can be stopped."""

    def __init__(self):
        self.queries = self.filled = self.errors = self.unexplained = self.rounds = 0
        self.rows, self.lock = {}, threading.Lock()
        with open(BINARY, 'rb') as f:
            self.binary = hashlib.sha256(f.read()).hexdigest()

    def path(self):
        return os.path.join(STATE, 'counts.json')

    def resume(self):
        try:
            with open(self.path()) as f:
                kept = json.load(f)
        except FileNotFoundError:
            return
        if kept['binary'] == self.binary:
            self.__dict__.update(kept)
            print(f'goes on from {self.line()}')

    def save(self):
        with open(self.path() + '.new', 'w') as f:
            json.dump({k: v for k, v in self.__dict__.items() if k != 'lock'}, f)
        os.replace(self.path() + '.new', self.path())

    def line(self):
        q = max(self.queries, 1)
        return f'{self.queries:,} queries over {self.rounds} data sets, {100 * self.filled / q:.0f} % with a non-empty answer, {100 * self.errors / q:.1f} % errors, {sum(self.rows.values()):,} explained, {self.unexplained} unexplained'

    def record(self, wanted):
        met = 'yes' if self.queries >= wanted and not self.unexplained else 'no'
        subprocess.run([os.path.join(ROOT, 'scripts', 'reach.py'), 'add', '--row', 'differential fuzz', '--figure', self.line(), '--met', met,
                        '--command', 'scripts/long.sh promql-diff'], check=True)


def is_filled(answer):
    data = answer[1].get('data')
    return answer[1].get('status') == 'success' and bool(data['result'] if isinstance(data, dict) and 'result' in data else data)


class Runner:
    def __init__(self, args, counts):
        self.args, self.counts, self.findings = args, counts, []

    def one(self, pair, ask):
        c, request = self.counts, ask.request()
        ours, theirs = pair.ask(*request, post=len(ask.text()) > 1000 and ask.node is not None)
        a = servers.parsed(ours)
        rows, bad = [], []
        if ours != theirs:
            rows, bad = judge.verdict(pair, ask, a, servers.parsed(theirs))
        with c.lock:
            c.queries += 1
            c.filled += is_filled(a)
            c.errors += a[1].get('status') != 'success'
            for r in rows:
                c.rows[r] = c.rows.get(r, 0) + 1
            c.unexplained += bool(bad)
            if bad:
                self.findings.append((ask, bad[0]))

    def work(self, pair, asks):
        while not self.stopped:
            with self.counts.lock:
                ask = next(asks, None)
            if ask is None:
                return
            try:
                self.one(pair, ask)
            except Exception:
                self.stopped = True
                print(f'the query was: {ask.text()}', flush=True)
                traceback.print_exc()
                if not pair.ours.alive():
                    print(f'Pharos ended with {pair.ours.process.returncode}:\n{pair.ours.server.tail()}')

    def round(self, seed, n):
        r = Round(seed)
        print(r.describe(), flush=True)
        self.counts.rounds += 1
        self.stopped, before = False, len(self.findings)
        with servers.Pair(r.features, r.flush, self.args.third) as pair:
            began = time.monotonic()
            r.load(pair)
            loaded = time.monotonic()
            cpu = [s.cpu_seconds() for s in (pair.ours, pair.theirs)]
            asks = iter([r.ask() for _ in range(n)])
            threads = [threading.Thread(target=self.work, args=(pair, asks)) for _ in range(self.args.workers)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            if self.stopped:
                sys.exit('promql_diff: the run broke')
            cpu = [s.cpu_seconds() - c for s, c in zip((pair.ours, pair.theirs), cpu)]
            print(f'  loaded in {loaded - began:.1f} s, asked in {time.monotonic() - loaded:.1f} s (CPU: Pharos {cpu[0]:.1f} s, peer {cpu[1]:.1f} s); so far {self.counts.line()}', flush=True)
            new = self.findings[before:]
            if pair.third:
                new = self.sort_out(pair, new)
            for ask, locus in some_of_each(new)[:self.args.show]:
                shrink.report(pair, r, ask, locus, STATE, self.args.shrink)

    def sort_out(self, pair, findings):
        """Those in which the third agrees with Pharos are only counted, by what and where."""
        left, table = [], {}
        for ask, locus in findings:
            third = servers.parsed(pair.third.asker.ask(*locus.ask.request()))
            if judge.compare(locus.ours, third) is None:
                node = locus.ask.node
                key = (locus.diff[0], f'{node.kind} {node.name}' if node else 'api')
                table.setdefault(key, []).append(locus.ask.text())
            else:
                left.append((ask, locus))
        for key, texts in sorted(table.items(), key=lambda x: -len(x[1])):
            print(f'  the third agrees with Pharos {len(texts)} x {key}: {min(texts, key=len)}')
        return left


def some_of_each(findings):
    """At most two of a kind: what differs, and at which function or operator."""
    seen, out = {}, []
    for ask, locus in sorted(findings, key=lambda f: len(f[1].ask.text())):
        node = locus.ask.node
        key = (locus.diff[0], node and (node.kind, node.name if node.kind != 'selector' else ''))
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= 2:
            out.append((ask, locus))
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--queries', type=int, default=2000)
    p.add_argument('--per-round', type=int, default=1000)
    p.add_argument('--seed', type=int)
    p.add_argument('--workers', type=int, default=4)
    p.add_argument('--show', type=int, default=5, help='findings reported per round')
    p.add_argument('--shrink', action='store_true', help='also the series, on fresh servers')
    p.add_argument('--third', help='a Prometheus of the version whose language Pharos has: must agree where a rule says so')
    p.add_argument('--resume', action='store_true', help='count on from the last run of this binary')
    p.add_argument('--record', action='store_true', help='append the result to docs/reach.jsonl')
    p.add_argument('--replay', help='a reproduction that was kept')
    a = p.parse_args()
    if not peer('prometheus', 'prometheus'):
        skip('promql_diff: no peer, scripts/peers.sh unpacks it')
    rules.check_rows()
    os.makedirs(STATE, exist_ok=True)
    sys.exit(replay(a) if a.replay else fuzz(a))


def replay(args):
    features, series, ask = shrink.load(args.replay)
    locus = shrink.differs(features, series, ask, None)
    print(shrink.script(series, ask))
    print('\n'.join(shrink.answers(locus)) if locus else 'the answers are the same')
    return 1 if locus else 0


def fuzz(args):
    counts = Counts()
    if args.resume:
        counts.resume()
    run = Runner(args, counts)
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), 'big')
    while counts.queries < args.queries:
        run.round(seed, min(args.per_round, args.queries - counts.queries))
        if args.resume:
            counts.save()
        seed += 1
    for row, n in sorted(counts.rows.items(), key=lambda x: -x[1]):
        print(f'  {n:>6}  {row}')
    print(counts.line())
    if args.record:
        counts.record(args.queries)
    return 1 if counts.unexplained else 0


main()
