#!/usr/bin/env python3
"""Pharos between real peers, for as long as told:

    node-exporter <- Prometheus (scrapes it and itself) --remote_write--> Pharos --remote_write--> Prometheus and VictoriaMetrics

In the middle both receivers are down for a while. At the end twenty queries must agree exactly between the scraping Prometheus and
Pharos, and sample counts between Pharos and its receivers (VictoriaMetrics keeps no NaN samples: those are left out there).

    bench/with_peers.py --minutes 60 --outage-minutes 10 [--record]
"""
import argparse, os, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'e2e'))
from harness import *

# J stands for the jobs of the scraping Prometheus: Pharos has samples of its own beside them.
QUERIES = [q.replace('J', 'job=~"node|peer"') for q in (
    'up{J}', 'node_load1{J}', 'rate(node_cpu_seconds_total{J}[1m])', 'sum by (mode) (rate(node_cpu_seconds_total{J}[5m]))',
    'avg without (cpu) (irate(node_cpu_seconds_total{J}[30s]))', 'node_memory_MemTotal_bytes{J} - node_memory_MemAvailable_bytes{J}',
    'max_over_time(node_load1{J}[10m])', 'quantile_over_time(0.9, node_load5{J}[10m])',
    'histogram_quantile(0.99, sum by (le, handler) (rate(prometheus_http_request_duration_seconds_bucket{J}[5m])))',
    'topk(1, node_cpu_seconds_total{mode="user",J})', 'count by (job) ({__name__=~"node_.*",J})', 'increase(prometheus_http_requests_total{J}[10m])',
    'stddev_over_time(node_memory_MemFree_bytes{J}[10m])', 'changes(node_load1{J}[10m])', 'resets(process_cpu_seconds_total{J}[20m])',
    'deriv(node_memory_MemFree_bytes{J}[5m])', 'predict_linear(node_filesystem_avail_bytes{J}[10m], 3600)',
    'label_replace(up{J}, "host", "$1", "instance", "(.*):.*")', 'node_cpu_seconds_total{J} and on (cpu) (node_cpu_seconds_total{mode="idle",J} > 0)',
    'sum(scrape_samples_scraped{J}) / count(up{J})',
)]


def ask(address, path, **params):
    status, _, body = request(address, 'GET', f'/api/v1/{path}?{urllib.parse.urlencode(params)}', timeout=120)
    answer = json.loads(body)
    assert answer['status'] == 'success', (status, params, answer)
    return answer['data']


def agree(a, b, at):
    """Instant and range, results compared as sets of (labels, points), value by value as text."""
    different = []
    for q in QUERIES:
        for path, params in (('query', {'query': q, 'time': at}), ('query_range', {'query': q, 'start': at - 1500, 'end': at, 'step': 15})):
            rows = [{json.dumps(r['metric'], sort_keys=True): r.get('value') or r.get('values') for r in ask(x, path, **params)['result']} for x in (a, b)]
            if rows[0] != rows[1]:
                keys = [k for k in rows[0].keys() | rows[1].keys() if rows[0].get(k) != rows[1].get(k)]
                different.append(f'{path} {q}: {len(keys)} of {len(rows[0])} series, e.g. {keys[0]}: {str(rows[0].get(keys[0]))[:200]} / {str(rows[1].get(keys[0]))[:200]}')
    return different


def counts(ours, receiver, at, window, no_nan):
    """Names whose sample counts differ, and the sum."""
    different, total = [], 0
    for name in ask(ours, 'label/__name__/values'):
        q = f'sum by (job) (count_over_time({{__name__="{name}"}}[{window}s]))'
        rows = [{r['metric'].get('job'): int(float(r['value'][1])) for r in ask(x, 'query', query=q, time=at)['result']} for x in (ours, receiver)]
        if rows[0] != rows[1] and no_nan:
            rows[0] = {}
            for r in ask(ours, 'query', query=f'{{__name__="{name}"}}[{window}s]', time=at)['result']:
                n = sum(v != 'NaN' for _, v in r['values'])
                if n:
                    rows[0][r['metric'].get('job')] = rows[0].get(r['metric'].get('job'), 0) + n
        total += sum(rows[1].values())
        if rows[0] != rows[1]:
            different.append(f'{name}: {rows}')
    return different, total


def spawn(args, directory, name):
    log = open(os.path.join(directory, name + '.log'), 'ab')
    return subprocess.Popen(args, stdout=log, stderr=log, cwd=directory)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--minutes', type=float, default=60)
    p.add_argument('--outage-minutes', type=float, default=10)
    p.add_argument('--record', action='store_true')
    a = p.parse_args()
    prometheus, node, vm = peer('prometheus', 'prometheus'), peer('prometheus-node-exporter', 'prometheus-node-exporter'), peer('victoria-metrics', 'victoria-metrics')
    if not (prometheus and node and vm):
        skip('no peers: scripts/peers.sh unpacks them')
    with scratch() as d:
        ports = {k: free_port() for k in ('node', 'scraper', 'receiver', 'vm', 'ours')}
        at = {k: f'127.0.0.1:{v}' for k, v in ports.items()}
        files = {
            'scraper.yml': f'global: {{scrape_interval: 5s}}\nscrape_configs:\n  - job_name: node\n    static_configs: [{{targets: ["{at["node"]}"]}}]\n'
                           f'  - job_name: peer\n    static_configs: [{{targets: ["{at["scraper"]}"]}}]\nremote_write:\n  - url: http://{at["ours"]}/api/v1/write\n',
            'receiver.yml': 'global: {}\n',
            'ours.yml': f'global: {{scrape_interval: 5s}}\nscrape_configs:\n  - job_name: own\n    static_configs: [{{targets: ["{at["ours"]}"]}}]\n'
                        f'remote_write:\n  - {{name: prometheus, url: "http://{at["receiver"]}/api/v1/write"}}\n  - {{name: vm, url: "http://{at["vm"]}/api/v1/write"}}\n',
        }
        for name, text in files.items():
            with open(os.path.join(d, name), 'w') as f:
                f.write(text)

        def receivers():
            return [spawn([prometheus, '--config.file=receiver.yml', '--storage.tsdb.path=receiver', f'--web.listen-address={at["receiver"]}', '--web.enable-remote-write-receiver'], d, 'receiver'),
                    spawn([vm, '-storageDataPath=vm', f'-httpListenAddr={at["vm"]}', '-retentionPeriod=30d'], d, 'vm')]

        running = [spawn([node, f'--web.listen-address={at["node"]}'], d, 'node'),
                   spawn([BINARY, 'prometheus', '--config.file=ours.yml', f'--web.listen-address={at["ours"]}', '--storage.path=ours'], d, 'ours')]
        far = receivers()
        time.sleep(2)
        running.append(spawn([prometheus, '--config.file=scraper.yml', '--storage.tsdb.path=scraper', f'--web.listen-address={at["scraper"]}'], d, 'scraper'))
        try:
            half = max(a.minutes - a.outage_minutes, 0) * 30
            time.sleep(half)
            for x in far:
                x.terminate()
                x.wait()
            print(f'receivers down for {a.outage_minutes} minutes', flush=True)
            time.sleep(a.outage_minutes * 60)
            far = receivers()
            time.sleep(half)
            running[2].terminate()  # the scraper: what it still holds arrives within the minute
            running[2].wait()
            running[2] = spawn([prometheus, '--config.file=receiver.yml', '--storage.tsdb.path=scraper', f'--web.listen-address={at["scraper"]}'], d, 'scraper')
            time.sleep(90)
            now = int(time.time()) - 120
            different = agree(at['scraper'], at['ours'], now + 0.337)
            window = int(a.minutes * 60)
            lost = counts(at['ours'], at['receiver'], now, window, False), counts(at['ours'], at['vm'], now, window, True)
        finally:
            for x in running + far:
                x.terminate()
                x.wait()
    for line in different + lost[0][0] + lost[1][0]:
        print(line)
    first = f'{a.minutes:g} minutes, {len(QUERIES)} queries, instant and range: {len(different)} differ'
    second = f'after {a.outage_minutes:g} minutes of outage: {lost[0][1]} samples in Prometheus, {lost[1][1]} in VictoriaMetrics (NaN apart), {len(lost[0][0]) + len(lost[1][0])} names differ'
    print(first, second, sep='\n')
    if a.record:
        add = [os.path.join(ROOT, 'scripts/reach.py'), 'add', '--command', 'bench/with_peers.py ' + ' '.join(sys.argv[1:])]
        subprocess.run(add + ['--row', 'peer scrape for an hour remote-written into Pharos', '--figure', first, '--met', 'yes' if not different and a.minutes >= 60 else 'no'])
        subprocess.run(add + ['--row', 'remote-write to Prometheus and VictoriaMetrics', '--figure', second, '--met', 'yes' if not lost[0][0] and not lost[1][0] and a.outage_minutes >= 10 else 'no'])
    return 1 if different or lost[0][0] or lost[1][0] else 0


if __name__ == '__main__':
    sys.exit(main())
