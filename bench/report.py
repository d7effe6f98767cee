#!/usr/bin/env python3
"""Renews the tables of docs/performance.md from the figures bench/engine.py kept (--json).

    bench/report.py [FILE ...]      .cache/bench/figures.json when none is given; of several the later counts

A table stands between "<!-- table: NAME -->" and "<!-- end -->"; what has no figures stays as it is. The prose is written by hand.
"""
import json, os, platform, re, sys, tempfile, time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
NAMES = {'prometheus': 'Prometheus 3.5.3', 'victoriametrics': 'VictoriaMetrics 1.145', 'pharos': 'Pharos'}


def times(peer, ours):
    return f'{peer / ours:.1f}×' if peer and ours else ''


def markdown(head, rows):
    return '\n'.join(['| ' + ' | '.join(map(str, r)) + ' |' for r in [head, ['---'] + ['---:'] * (len(head) - 1)] + rows])


def by_engine(figures, columns):
    """One row per server and how many times less Pharos needs; columns: heading, key, scale, format."""
    rows = [[NAMES[n]] + [format(f[key] * scale, fmt) for _, key, scale, fmt in columns] for n, f in figures.items()]
    ours = figures['pharos']
    for n, f in figures.items():
        if n != 'pharos':
            rows.append([f'{NAMES[n]} / Pharos'] + [times(f[key], ours[key]) for _, key, _, _ in columns])
    return markdown([''] + [c[0] for c in columns], rows)


def steady(f):
    return by_engine(f, [('µs CPU per sample', 'us', 1, '.3f'), ('GB RSS per 1 M series', 'rss', 1e-9, '.3f'), ('at most', 'rss_max', 1e-9, '.3f'), ('bytes written per sample', 'written', 1, '.2f')])


def queries(f):
    rows = []
    for name, engines in f.items():
        ours = engines['pharos']
        best = min((e['min_ms'] for n, e in engines.items() if n != 'pharos'), default=None)
        cells = [f'{engines[n]["min_ms"]:.1f} ({engines[n]["median_ms"]:.1f}; {engines[n]["cpu_ms"]:.0f})' if n in engines else '' for n in NAMES]
        rows.append([f'`{name}`'] + cells + [times(best, ours['min_ms']), f'{ours["series"]:,}', f'{ours["bytes"] / 1e3:,.0f} kB'])
    return markdown(['', *NAMES.values(), 'faster peer / Pharos', 'series out', 'JSON'], rows)


def restart(f):
    return by_engine(f, [('s until ready', 'ready', 1, '.2f'), ('s until a query answers', 'answered', 1, '.2f'), ('CPU-s until ready', 'cpu', 1, '.2f')])


def disk(f):
    for e in f.values():
        e['values'], e['per_index'] = (e['bytes'] - e['index']) / e['samples'], e['index'] / e['samples']
    return by_engine(f, [('bytes per sample, all', 'per_sample', 1, '.3f'), ('of it labels and index', 'per_index', 1, '.3f'), ('samples and times', 'values', 1, '.3f')])


def churn(f):
    return by_engine(f, [('MB RSS before', 'before', 1e-6, '.0f'), ('peak', 'peak', 1e-6, '.0f'), ('settled', 'settled', 1e-6, '.0f')])


def long_range(f):
    head, rows = [''] + [NAMES[n] for n in f] + ['ratio'], []
    for key in f['pharos']:
        if isinstance(f['pharos'][key], dict):
            cells = [f'{e[key]["min_ms"]:,.1f} ({e[key]["median_ms"]:,.1f}; {e[key]["cpu_ms"]:,.0f})' for e in f.values()]
            rows.append([f'`{key}`, ms'] + cells + [times(f['victoriametrics'][key]['min_ms'], f['pharos'][key]['min_ms']) if 'victoriametrics' in f else ''])
    for title, key, scale, fmt in (('µs CPU per sample, sent by remote_write', 'cpu_us', 1, '.2f'), ('bytes per sample on disk, merged', 'per_sample', 1, '.3f'), ('MB RSS after the queries', 'rss', 1e-6, '.0f')):
        cells = [format(e[key] * scale, fmt) for e in f.values()]
        rows.append([title] + cells + [times(f['victoriametrics'][key], f['pharos'][key]) if 'victoriametrics' in f else ''])
    return markdown(head, rows)


def hold(f):
    lines = [('series held', f'{f["held"]:,}'), ('RSS', f'{f["rss"] / 1e9:.2f} GB = {f["rss"] / f["held"]:.0f} bytes a series (at most {f["peak"] / 1e9:.2f} GB)'), ('three samples of each sent in', f'{f["feed_s"]:.0f} s'),
             ('count over all', f'{f["count_s"]:.2f} s'), ('one target, 500 series', f'{f["one_s"] * 1e3:.0f} ms'), (f'sum by(code)(rate) of {f["held"] // 500:,} series', f'{f["rate_s"] * 1e3:.0f} ms'),
             ('ready after kill -9', f'{f["ready"]:.2f} s'), ('count over all, then', f'{f["again"]:,} in {f["again_s"]:.2f} s')]
    return markdown(['', ''], [list(x) for x in lines])


def profile(results):
    def plain(line):
        return ' '.join(w for w in line.split() if w != '-' and not w.startswith(('pharos', '[kernel')))
    parts = [f'{key.split(": ")[1]}\n```\n' + '\n'.join(map(plain, lines[:15])) + '\n```' for key, lines in results.items() if key.startswith('profile: ')]
    return '\n\n'.join(parts)


def sync_ms():
    """The median fdatasync after a write of 4 KiB, here."""
    with tempfile.NamedTemporaryFile(dir='/tmp') as f:
        took = []
        for _ in range(101):
            f.write(bytes(4096))
            f.flush()
            t = time.perf_counter()
            os.fdatasync(f.fileno())
            took.append(time.perf_counter() - t)
    return sorted(took)[50] * 1e3


def machine(results):
    cpu = next(line.split(': ')[1].strip() for line in open('/proc/cpuinfo') if line.startswith('model name'))
    memory = int(re.search(r'MemTotal:\s+(\d+)', open('/proc/meminfo').read())[1]) / 1e6
    when = [[k, w['date'], w['commit'], w['load'], '`' + re.sub(r' --json \S+', '', w['command']) + '`'] for k, w in results['when'].items() if not k.startswith('profile')]
    return f'{os.cpu_count()} cores of {cpu}, {memory:.0f} GB, Linux {platform.release()}; median fdatasync of 4 KiB {sync_ms():.2f} ms.\n\n' + markdown(['figures of', 'taken on', 'at commit', 'load at the end', 'by'], when)


def main():
    results = {'when': {}}
    for path in sys.argv[1:] or [os.path.join(ROOT, '.cache/bench/figures.json')]:
        one = json.load(open(path))
        results = {**results, **one, 'when': {**results['when'], **one['when']}}
    page = os.path.join(ROOT, 'docs/performance.md')
    text = open(page, encoding='utf-8').read()
    tables = {'steady': steady, 'queries': queries, 'restart': restart, 'disk': disk, 'churn': churn, '30d': long_range, '10m': hold}
    made = {name: make(results[name]) for name, make in tables.items() if name in results}
    made['machine'] = machine(results)
    if any(k.startswith('profile: ') for k in results):
        made['profile'] = profile(results)
    for name, table in made.items():
        text, n = re.subn(rf'(<!-- table: {name} -->\n).*?(<!-- end -->)', lambda m: m[1] + table + '\n' + m[2], text, flags=re.S)
        if not n:
            print(f'docs/performance.md has no place for the table {name}')
    with open(page, 'w', encoding='utf-8') as f:
        f.write(text)


if __name__ == '__main__':
    main()
