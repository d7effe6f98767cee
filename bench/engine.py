#!/usr/bin/env python3
"""Prometheus, VictoriaMetrics and Pharos side by side: the same configuration, the same targets, the same minutes.

    bench/engine.py steady queries restart disk churn              one session: 1,000 targets of 523 series every 10 s
    bench/engine.py steady queries --targets 200 --minutes 3       a small one
    bench/engine.py disk --interval 1 --targets 100                bytes per sample: many samples a series in a short time
    bench/engine.py 30d                                            2,000 series x 15 s x 30 days, sent by remote_write; without Prometheus
    bench/engine.py 10m                                            10,000,000 active series: fed, queried, killed, restarted; only Pharos

The targets are bench/fleet's: a real node_exporter page whose values move. All servers run at once unless --only says which, with
their defaults. CPU, resident memory and bytes written come from /proc; samples are counted by the fleet. Every query is asked
with an end no cache has seen; the least of its times counts, as others use this machine too, and its CPU is the server's, less what
scraping takes meanwhile. --record appends to docs/reach.jsonl.
"""
import argparse, atexit, os, statistics, subprocess, sys, time
from servers import *
from harness import scratch

QUERIES = [  # name, API, expression, whether it is one of the heavy ones
    ('sum by(mode)(rate)', 'query_range', 'sum by(mode)(rate(node_cpu_seconds_total[5m]))', True),
    ('sum by(instance)(rate)', 'query_range', 'sum by(instance)(rate(node_cpu_seconds_total{mode!="idle"}[5m]))', True),
    ('count over all series', 'query', 'count({job="node_exporter"})', True),
    ('one target, all series', 'query', '{instance="host-0-00042:9100"}', False),
    ('topk(10, irate)', 'query_range', 'topk(10, irate(node_network_receive_bytes_total[1m]))', None),
    ('avg_over_time, all load1', 'query_range', 'avg_over_time(node_load1[5m])', None),
    ('ratio of two metrics', 'query_range', '1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes', None),
]


class Report:
    """Prints figures, keeps them for --record and --json."""

    def __init__(self, args):
        self.args, self.results = args, {}
        if args.json and os.path.exists(args.json):
            with open(args.json) as f:
                self.results = json.load(f)
        self.command = 'bench/engine.py ' + ' '.join(sys.argv[1:])
        self.commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    def table(self, title, head, rows):
        print(f'\n== {title} (load {os.getloadavg()[0]:.1f})')
        rows = [[str(c) for c in r] for r in [head] + rows]
        widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
        for r in rows:
            print('  ' + '  '.join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))))
        sys.stdout.flush()

    def keep(self, key, value):
        self.results[key] = value
        self.results.setdefault('when', {})[key] = {'date': time.strftime('%Y-%m-%d'), 'load': round(os.getloadavg()[0], 1), 'commit': self.commit, 'command': self.command}
        if self.args.json:
            os.makedirs(os.path.dirname(os.path.abspath(self.args.json)), exist_ok=True)
            with open(self.args.json, 'w') as f:
                json.dump(self.results, f, indent=1)

    def row(self, row, figure, met):
        print(f'  {row}: {figure} -> {"met" if met else "NOT MET"}', flush=True)
        if self.args.record:
            subprocess.run([os.path.join(ROOT, 'scripts/reach.py'), 'add', '--row', row, '--figure', figure, '--met', 'yes' if met else 'no', '--command', self.command], check=True)


def ratio(ours, theirs):
    return f'{ours / theirs:.2f}' if theirs else '-'


# ---- one session of scraping ----

class Session:
    def __init__(self, args, directory, report):
        self.args, self.report = args, report
        self.fleet = Fleet(directory, args.page, args.targets, args.seed)
        config = scrape_config(self.fleet, args.interval)
        self.engines = [ENGINES[name](directory, config) for name in args.only]
        for e in self.engines:
            e.start()
        self.series = args.targets * (self.fleet.series + Engine.own_series)
        self.idle_rate = {}  # CPU-s per second spent on scraping
        print(f'{args.targets} targets, {self.series:,} series, every {args.interval} s: {self.series / args.interval:,.0f} samples/s to each of {", ".join(args.only)}', flush=True)
        for e in self.engines:
            wait_for(f'{e.name} to scrape all', lambda: self.fleet.pages(e) >= args.targets * 2, timeout=300, every=0.5)
        self.begun = time.monotonic()

    def named(self, name):
        return next((e for e in self.engines if e.name == name), None)

    def peers(self, figures, pick=min):
        """The better peer's figure; None without peers."""
        values = [figures[e.name] for e in self.engines if e.name != 'pharos' and figures.get(e.name)]
        return pick(values) if values else None

    def run_to(self, minutes):
        """Waits until the session is that old."""
        time.sleep(max(0, self.begun + minutes * 60 - time.monotonic()))

    def steady(self):
        marks = {e.name: (time.monotonic(), e.cpu(), e.written(), self.fleet.samples(e)) for e in self.engines}
        memory = {e.name: [] for e in self.engines}
        end = self.begun + (self.args.warm + self.args.minutes) * 60
        while time.monotonic() < end:
            for e in self.engines:
                memory[e.name].append(e.rss())
            time.sleep(min(5, max(0.1, end - time.monotonic())))
        figures, rows = {}, []
        for e in self.engines:
            t, cpu, written, samples = marks[e.name]
            wall, cpu, written, samples = time.monotonic() - t, e.cpu() - cpu, e.written() - written, self.fleet.samples(e) - samples
            self.idle_rate[e.name] = cpu / wall
            f = figures[e.name] = {'samples': samples, 'us': cpu / samples * 1e6, 'written': written / samples, 'rss': statistics.median(memory[e.name]) / self.series * 1e6,
                                   'rss_max': max(memory[e.name]) / self.series * 1e6, 'anon': e.status('RssAnon') / self.series * 1e6}
            rows.append([e.name, f'{samples / 1e6:.1f} M', f'{f["us"]:.3f}', f'{f["rss"] / 1e9:.3f}', f'{f["rss_max"] / 1e9:.3f}', f'{f["anon"] / 1e9:.3f}', f'{f["written"]:.2f}'])
        self.report.table(f'steady, {self.args.minutes:g} minutes', ['', 'samples', 'us CPU per sample', 'GB RSS per 1 M series', 'most', 'anonymous', 'bytes written per sample'], rows)
        self.report.keep('steady', figures)
        ours, vm, prometheus = (figures.get(n) for n in ('pharos', 'victoriametrics', 'prometheus'))
        if not (ours and vm and prometheus):
            return
        row = self.report.row
        row('RSS per 1 M active series', f'{ours["rss"] / 1e9:.3f} GB (most {ours["rss_max"] / 1e9:.3f}) = {ratio(ours["rss"], vm["rss"])} of VictoriaMetrics ({vm["rss"] / 1e9:.2f}), {ratio(ours["rss"], prometheus["rss"])} of Prometheus '
            f'({prometheus["rss"] / 1e9:.2f}); {self.series:,} series', ours['rss'] <= 0.35e9 and ours['rss'] <= vm['rss'] / 2)
        row('CPU per sample, scrape to store', f'{ours["us"]:.3f} us = {ratio(ours["us"], prometheus["us"])} of Prometheus ({prometheus["us"]:.2f}), {ratio(ours["us"], vm["us"])} of VictoriaMetrics ({vm["us"]:.2f})',
            ours['us'] <= prometheus['us'] / 3 and ours['us'] <= vm['us'] / 4)
        row('bytes written to disk per sample, scraping', f'{ours["written"]:.2f} (Prometheus {prometheus["written"]:.2f}, VictoriaMetrics {vm["written"]:.2f}), {self.args.minutes:g} minutes', ours['written'] <= 4)

    def ask_timed(self, e, api, expr, end):
        params = {'time': end} if api == 'query' else {'start': end - self.span, 'end': end, 'step': 15}
        cpu, started = e.cpu(), time.monotonic()
        body = e.get('/api/v1/' + api, query=expr, **params)
        wall = time.monotonic() - started
        return wall, max(0, e.cpu() - cpu - self.idle_rate.get(e.name, 0) * wall), body

    def queries(self):
        self.span = min(900, int(time.monotonic() - self.begun) - 60)
        rows, kept, heavy = [], {}, []
        for name, api, expr, is_heavy in QUERIES:
            walls, cpus, counts = {e.name: [] for e in self.engines}, {e.name: [] for e in self.engines}, {}
            for k in range(self.args.repeats * (5 if is_heavy is False else 1)):
                for e in self.engines:  # ends differ by a second and some milliseconds: no cache has seen them
                    wall, cpu, body = self.ask_timed(e, api, expr, round(time.time() - 40 + k % 7 * 1.013, 3))
                    walls[e.name].append(wall)
                    cpus[e.name].append(cpu)
                    counts[e.name] = (len(json.loads(body)['data']['result']), len(body))
            median = {n: statistics.median(w) for n, w in walls.items()}
            for e in self.engines:
                n = e.name
                kept.setdefault(name, {})[n] = {'median_ms': median[n] * 1e3, 'min_ms': min(walls[n]) * 1e3, 'cpu_ms': statistics.fmean(cpus[n]) * 1e3, 'series': counts[n][0], 'bytes': counts[n][1]}
                rows.append([name if e is self.engines[0] else '', n, f'{median[n] * 1e3:.1f}', f'{min(walls[n]) * 1e3:.1f}', f'{statistics.fmean(cpus[n]) * 1e3:.1f}', counts[n][0], f'{counts[n][1]:,}'])
            best = self.peers({n: min(w) for n, w in walls.items()})
            if best and 'pharos' in median and is_heavy is not None:
                k = kept[name]
                ours = min(walls['pharos'])
                heavy.append((f'{name} {ours * 1e3:.1f} ms' + (f' = {ours / best:.2f} of the faster peer ({best * 1e3:.0f})' if is_heavy else '') + f', median {k["pharos"]["median_ms"]:.1f}',
                              ours <= best / 3 if is_heavy else ours <= 0.002))
        self.report.table(f'queries while scraping, ranges {self.span} s / 15 s', ['', '', 'median ms', 'least ms', 'CPU ms', 'series out', 'bytes out'], rows)
        self.report.keep('queries', kept)
        if heavy:
            self.report.row('heavy queries, count over all series, one target', '; '.join(h[0] for h in heavy), all(h[1] for h in heavy))

    def profile(self):
        """Where Pharos spends its time: scraping for half a minute, then each heavy query asked for some seconds."""
        e = self.named('pharos')
        self.span = min(900, int(time.monotonic() - self.begun) - 60)
        self.perf(e, 'scraping', 30, lambda: time.sleep(0.1))
        for name, api, expr, is_heavy in QUERIES:
            if is_heavy:
                self.perf(e, name, 6, lambda: self.ask_timed(e, api, expr, time.time() - 40))

    def perf(self, e, what, seconds, work):
        data = os.path.join(e.directory, 'perf.data')
        perf = spawn(['perf', 'record', '-q', '-F', '4999', '-p', str(e.process.pid), '-o', data, '--', 'sleep', str(seconds)], e.directory, 'perf')
        while perf.poll() is None:
            work()
        out = subprocess.run(['perf', 'report', '-i', data, '--stdio', '--no-children', '-s', 'symbol,dso'], capture_output=True, text=True).stdout
        top = [line.strip() for line in out.split('\n') if re.match(r'\s+[0-9.]+%', line)][:25]
        print(f'\n== profile: {what}', *('  ' + re.sub(r'\s+', ' ', line) for line in top), sep='\n', flush=True)
        self.report.keep('profile: ' + what, top)

    def count(self, e, expr, **params):
        """How many series it finds; 0 for a peer that gives up on the question, as VictoriaMetrics does after 30 s on a crowded machine."""
        try:
            return e.count(expr, **params)
        except RuntimeError as error:
            if e.name == 'pharos':
                raise
            print(f'  {error}', flush=True)
            return 0

    def restart(self):
        figures, rows = {}, []
        for e in self.engines:
            at = time.time() - 20
            e.kill()
            ready = e.start()
            cpu_ready = e.cpu()
            started = time.monotonic()
            while not e.ask('{instance="host-0-00000:9100"}', time=at):
                assert time.monotonic() - started < 600, 'no answer after the restart'
                time.sleep(0.002)
            answered = ready + time.monotonic() - started
            figures[e.name] = {'ready': ready, 'answered': answered, 'cpu': cpu_ready, 'found': self.count(e, '{job="node_exporter"}', time=at)}
            rows.append([e.name, f'{ready:.3f}', f'{answered:.3f}', f'{cpu_ready:.2f}', f'{figures[e.name]["found"]:,}'])
        self.report.table('after kill -9', ['', 's until ready', 's until a query answers', 'CPU-s until ready', 'series found'], rows)
        self.report.keep('restart', figures)
        if 'pharos' in figures:
            f = figures['pharos']
            self.report.row('ready after kill -9 with 530 k series', f'{f["answered"]:.2f} s until a query answers, {self.series:,} series' + ''.join(f'; {n} {x["answered"]:.1f} s' for n, x in figures.items() if n != 'pharos'),
                            f['answered'] <= 0.5 and self.series >= 520000 and f['found'] == self.series)

    def disk(self):
        figures, rows = {}, []
        for e in self.engines:
            samples = self.fleet.samples(e)
            total, index = e.merge()
            figures[e.name] = {'samples': samples, 'bytes': total, 'index': index, 'per_sample': total / samples}
            rows.append([e.name, f'{samples / 1e6:.1f} M', f'{total / 1e6:.1f}', f'{total / samples:.3f}', f'{(total - index) / samples:.3f}', f'{index / self.series:.0f}'])
            e.start()
        self.report.table('on disk, everything merged', ['', 'samples', 'MB', 'bytes per sample, all', 'without the index', 'index bytes per series'], rows)
        self.report.keep('disk', figures)
        ours, vm = figures.get('pharos'), figures.get('victoriametrics')
        if ours and vm:
            self.report.row('bytes per sample on disk after merge', f'{ours["per_sample"]:.3f}, of it {ours["index"] / ours["samples"]:.3f} labels; VictoriaMetrics {vm["per_sample"]:.3f} ({vm["index"] / vm["samples"]:.3f} index)'
                            + (f', Prometheus {figures["prometheus"]["per_sample"]:.2f}' if 'prometheus' in figures else '') + f'; {ours["samples"] / self.series:.0f} samples a series',
                            ours['per_sample'] <= 0.85 and ours['per_sample'] < vm['per_sample'])

    def churn(self):
        before = {e.name: e.rss() for e in self.engines}
        self.fleet.rename()
        samples = {e.name: [] for e in self.engines}
        end = time.monotonic() + self.args.churn_minutes * 60
        while time.monotonic() < end:
            for e in self.engines:
                samples[e.name].append(e.rss())
            time.sleep(2)
        figures, rows = {}, []
        for e in self.engines:
            settled = statistics.median(samples[e.name][-15:])
            new = self.count(e, '{instance=~"host-1-.*"}')
            figures[e.name] = {'before': before[e.name], 'peak': max(samples[e.name]), 'settled': settled, 'new': new}
            rows.append([e.name, f'{before[e.name] / 1e6:.0f}', f'{max(samples[e.name]) / 1e6:.0f}', f'{settled / 1e6:.0f}', f'{new:,}'])
        self.report.table(f'all instances renamed, {self.args.churn_minutes:g} minutes later', ['', 'MB RSS before', 'peak', 'settled', 'new series'], rows)
        self.report.keep('churn', figures)
        if 'pharos' in figures:
            f = figures['pharos']
            self.report.row('churn: all instances renamed', f'{f["settled"] / 1e9:.3f} GB settled, {f["peak"] / 1e9:.3f} at most, {2 * self.series:,} series' + ''.join(f'; {n} {x["settled"] / 1e9:.2f}' for n, x in figures.items() if n != 'pharos'),
                            f['settled'] <= 0.45e9 and self.series >= 520000 and f['new'] == self.series)


# ---- history sent by remote_write ----

def backfill(e, **flags):
    args = [os.path.join(TOOLS, 'backfill'), '--url', f'http://{e.address}{e.write_path}'] + [x for k, v in flags.items() for x in ('--' + k.replace('_', '-'), str(v))]
    out = subprocess.run(args, capture_output=True, text=True)
    if out.returncode:
        raise RuntimeError(f'backfill into {e.name}: {out.stderr}')
    return {k: float(v) for k, v in (x.split('=') for x in out.stdout.split())}


LONG_QUERIES = [('rate(x[30d])', 'query', 'rate(metric_0_total[30d])'), ('avg_over_time(x[30d])', 'query', 'avg_over_time(metric_0_total[30d])'),
                ('sum(rate(x[1h])), 30 d / 1 h', 'query_range', 'sum(rate(metric_0_total[1h]))'), ('max_over_time(x[1d]), 30 d / 1 h', 'query_range', 'max_over_time(metric_0_total[1d])')]


def long_range(args, directory, report):
    end = int(time.time()) // 3600 * 3600 - 3600
    samples = int(args.days * 86400 / 15)
    kept, rows = {}, []
    for name in [n for n in args.only if n != 'prometheus']:
        e = ENGINES[name](directory, 'global: {scrape_interval: 1m}\n')
        e.extra = {'pharos': ['--storage.tsdb.retention.time=100d', '--query.max-samples=1000000000'], 'victoriametrics': ['-search.maxQueryDuration=10m', '-search.maxSamplesPerQuery=2000000000']}[name]
        e.start()
        sent = backfill(e, series=args.series, interval_ms=15000, samples=samples, end_ms=end * 1000)
        cpu = e.cpu()
        disk, _ = e.merge()
        e.start()
        kept[name] = {'samples': sent['samples'], 'seconds': sent['seconds'], 'cpu_us': cpu / sent['samples'] * 1e6, 'per_sample': disk / sent['samples']}
        print(f'{name}: {sent["samples"] / 1e6:.0f} M samples in {sent["seconds"]:.0f} s, {cpu / sent["samples"] * 1e6:.2f} us CPU each, {disk / sent["samples"]:.3f} bytes each merged', flush=True)
        for title, api, expr in LONG_QUERIES:
            walls, cpus = [], []
            for k in range(args.repeats_long):
                at = end - 15 * k - 0.337
                params = {'time': at} if api == 'query' else {'start': at - args.days * 86400 + 3600, 'end': at, 'step': 3600}
                before, started = e.cpu(), time.monotonic()
                body = e.get('/api/v1/' + api, query=expr.replace('30d', f'{args.days:g}d'), **params)
                walls.append(time.monotonic() - started)
                cpus.append(e.cpu() - before)
            kept[name][title] = {'median_ms': statistics.median(walls) * 1e3, 'first_ms': walls[0] * 1e3, 'min_ms': min(walls) * 1e3, 'cpu_ms': statistics.fmean(cpus) * 1e3, 'bytes': len(body)}
            rows.append([title, name, f'{statistics.median(walls) * 1e3:.1f}', f'{walls[0] * 1e3:.1f}', f'{min(walls) * 1e3:.1f}', f'{statistics.fmean(cpus) * 1e3:.0f}', f'{len(body):,}'])
        kept[name]['rss'] = e.rss()
        e.stop()
        subprocess.run(['rm', '-rf', e.data])
    report.table(f'{args.series} series x 15 s x {args.days:g} days', ['', '', 'median ms', 'first', 'least', 'CPU ms', 'bytes out'], sorted(rows, key=lambda r: [q[0] for q in LONG_QUERIES].index(r[0])))
    report.keep('30d', kept)
    if 'pharos' in kept and 'victoriametrics' in kept:
        times = {t: kept['victoriametrics'][t]['min_ms'] / kept['pharos'][t]['min_ms'] for t in ('rate(x[30d])', 'avg_over_time(x[30d])')}
        report.row('rate and avg_over_time over 30 days', '; '.join(f'{t} {kept["pharos"][t]["min_ms"]:.1f} ms, {x:.1f} times faster than VictoriaMetrics ({kept["victoriametrics"][t]["min_ms"]:.0f})' for t, x in times.items())
                   + f'; {args.series} series, {args.days:g} days', all(x >= 10 for x in times.values()) and args.days >= 30 and args.series >= 2000)


def ten_million(args, directory, report):
    e = Pharos(directory, 'global: {scrape_interval: 1m}\n')
    e.start()
    end = int(time.time()) * 1000
    sent = backfill(e, series=args.hold_series, names=500, window=1, interval_ms=30000, samples=3, end_ms=end)
    rss = e.rss()
    at = end / 1000 + 1

    def timed(expr, api='query'):
        started = time.monotonic()
        rows = e.ask(expr, time=at)
        return time.monotonic() - started, rows
    count_s, rows = timed('count({job="bench"})')
    held = int(float(rows[0]['value'][1]))
    one_s, one = timed('{instance="host-00042:9100"}')
    rate_s, _ = timed('sum by(code)(rate(metric_7_total[5m]))')
    peak = e.status('VmHWM')
    e.kill()
    ready = e.start()
    again_s, rows = timed('count({job="bench"})')
    again = int(float(rows[0]['value'][1]))
    figure = (f'{held:,} series held in {rss / 1e9:.2f} GB ({rss / held:.0f} B each, at most {peak / 1e9:.2f} GB); fed at {sent["samples"] / sent["seconds"] / 1e3:,.0f} k samples/s; count {count_s:.2f} s, one target {one_s * 1e3:.0f} ms, '
              f'sum by(code)(rate) of {held // 500:,} series {rate_s * 1e3:.0f} ms; ready {ready:.2f} s after kill -9, then count {again:,} in {again_s:.2f} s, RSS {e.rss() / 1e9:.2f} GB')
    report.keep('10m', {'held': held, 'rss': rss, 'peak': peak, 'count_s': count_s, 'one_s': one_s, 'rate_s': rate_s, 'ready': ready, 'again': again, 'again_s': again_s, 'feed_s': sent['seconds']})
    report.row('10 M active series on this machine', figure, held >= 10_000_000 and again == held)
    e.stop()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    session_runs = ['steady', 'queries', 'profile', 'restart', 'disk', 'churn']
    p.add_argument('runs', nargs='+', choices=session_runs + ['30d', '10m'], metavar='RUN', help='steady queries profile restart disk churn 30d 10m')
    p.add_argument('--targets', type=int, default=1000)
    p.add_argument('--interval', type=int, default=10, help='seconds')
    p.add_argument('--warm', type=float, default=2, help='minutes before measuring')
    p.add_argument('--minutes', type=float, default=14, help='measured')
    p.add_argument('--churn-minutes', type=float, default=4)
    p.add_argument('--repeats', type=int, default=7)
    p.add_argument('--repeats-long', type=int, default=3)
    p.add_argument('--days', type=float, default=30)
    p.add_argument('--series', type=int, default=2000, help='of 30d')
    p.add_argument('--hold-series', type=int, default=10_000_000, help='of 10m')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--page', default=os.path.join(ROOT, '.cache/bench/node.tape'), help='a tape (bench/page.h); taken from the node_exporter peer when it is not there')
    p.add_argument('--only', default='prometheus,victoriametrics,pharos')
    p.add_argument('--record', action='store_true')
    p.add_argument('--json', help='keep all figures there; those of other runs stay')
    args = p.parse_args()
    packages = {'prometheus': 'prometheus', 'victoriametrics': 'victoria-metrics'}
    args.only = args.only.split(',')
    for n in [n for n in args.only if n in packages and not peer(packages[n], packages[n])]:
        print(f'without {n}: scripts/peers.sh unpacks it')
        args.only.remove(n)
    atexit.register(end_all)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report(args)
    with scratch() as directory:
        if set(args.runs) & set(session_runs):
            capture_tape(args.page)
            session = Session(args, directory, report)
            session.run_to(args.warm)
            for run in session_runs:
                if run in args.runs:
                    getattr(session, run)()
            for e in session.engines:
                e.stop()
            session.fleet.stop()
        if '30d' in args.runs:
            long_range(args, directory, report)
        if '10m' in args.runs:
            ten_million(args, directory, report)


if __name__ == '__main__':
    main()
