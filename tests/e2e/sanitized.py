#!/usr/bin/env python3
"""Everything at once in a sanitizer build: scraping itself, rules, alerts, remote_write to itself, pushes, queries, reloads, callers
that hang up; then SIGTERM. The exit status is 0 and no sanitizer has said anything.

    tests/e2e/sanitized.py                                          build-san/pharos for 12 seconds: memory, leaks, undefined behaviour
    tests/e2e/sanitized.py --binary build-tsan/pharos --seconds 60  races
"""
import argparse, os, random, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

failures, counts, leaving, ending = [], {}, threading.Event(), threading.Event()
SAYS = ('ThreadSanitizer', 'AddressSanitizer', 'LeakSanitizer', 'runtime error:')
PATHS = ['query?query=sum+by+(job)+(rate(prometheus_http_requests_total[30s]))', 'query?query=up', 'query?query=count({__name__=~".%2B"})',
         'query?query=topk(3,{__name__=~"process.*"})', 'query?query=pushed_total', 'query?query=sum(', 'query?query=ALERTS',
         'query_range?query=rate(process_cpu_seconds_total[10s])&step=1&start={from}&end={to}', 'query_exemplars?query=up&start={from}&end={to}',
         'query_range?query=histogram_quantile(.9,rate(prometheus_http_request_duration_seconds_bucket[10s]))&step=5&start={from}&end={to}',
         'series?match[]=up', 'labels', 'label/job/values', 'label/__name__/values', 'metadata', 'targets', 'targets/metadata', 'scrape_pools',
         'rules', 'alerts', 'status/tsdb', 'status/config', 'status/flags', 'status/runtimeinfo', '../../metrics', '../../federate?match[]=up',
         '../../', '../../-/ready', '../../no/such/page']


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        counts['notifications'] = counts.get('notifications', 0) + 1
        self.send_response(200 if random.random() < .8 else 500)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *args):
        pass


def busily(name, work):
    def loop():
        while not ending.is_set():
            try:
                work()
                counts[name] = counts.get(name, 0) + 1
            except Exception as e:
                if not leaving.is_set():
                    failures.append(f'{name}: {e!r}')
                    return
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return thread


def configuration(address, n):
    looped = '{target_label: looped, replacement: "yes"}'
    return f'''global: {{scrape_interval: 1s, evaluation_interval: 1s, external_labels: {{cluster: c{n % 2}}}}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: self
    static_configs: [{{targets: ['{address}'], labels: {{turn: "{n % 3}"}}}}]
  - job_name: host
    metrics_path: /metrics/host
    file_sd_configs: [{{files: [sd.yml], refresh_interval: 1s}}]
  - job_name: gone{n % 4}
    static_configs: [{{targets: ['127.0.0.1:1']}}]
remote_write:
  - url: http://{address}/api/v1/write
    write_relabel_configs: [{{source_labels: [looped], regex: .+, action: drop}}, {looped}]
  - {{url: 'http://127.0.0.1:1/write', name: nobody{n % 2}}}
'''


def rules(n):
    return f'''groups:
  - name: g{n % 2}
    interval: 1s
    rules:
      - {{record: "job:up:sum", expr: sum by (job) (up)}}
      - {{record: "turn:{n % 3}", expr: count(up)}}
      - {{alert: Always, expr: up == 0, labels: {{severity: page}}, annotations: {{summary: "{{{{ $labels.job }}}} is {{{{ $value }}}}"}}}}
      - {{alert: Sometimes, expr: 'vector(time()) % 4 < 2', keep_firing_for: 1s}}
'''


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--binary', default=os.path.join(ROOT, 'build-san', 'pharos'))
    p.add_argument('--seconds', type=float, default=12)
    args = p.parse_args()
    if not os.access(args.binary, os.X_OK):
        skip(f'{args.binary} is not built')
    hooks = ThreadingHTTPServer(('127.0.0.1', 0), Hook)
    hooks.daemon_threads = True
    threading.Thread(target=hooks.serve_forever, daemon=True).start()
    with scratch() as directory:
        place = lambda name, text: (open(os.path.join(directory, name + '.new'), 'w').write(text),
                                    os.replace(os.path.join(directory, name + '.new'), os.path.join(directory, name)))
        place('alertmanager.yml', 'route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 1m}\n'
              f'receivers: [{{name: hook, webhook_configs: [{{url: "http://127.0.0.1:{hooks.server_port}/hook"}}]}}]\n')
        place('rules.yml', rules(0))
        place('sd.yml', '[]\n')
        place('prometheus.yml', 'scrape_configs: []\n')
        options = {'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0', 'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=0', 'TSAN_OPTIONS': 'halt_on_error=0'}
        server = Server(directory, 'all', f'--config.file={directory}/prometheus.yml', f'--alertmanager.config.file={directory}/alertmanager.yml',
                        '--storage.flush-interval=300ms', '--web.enable-admin-api', binary=os.path.abspath(args.binary), env=options).start()
        turn = 0

        def ask():
            now = time.time()
            path = random.choice(PATHS).replace('{from}', f'{now - 60:.0f}').replace('{to}', f'{now:.0f}')
            status = server.get('/api/v1/' + path if not path.startswith('../../') else path[5:], timeout=60)[0]
            if status not in (200, 400, 404, 422, 503):
                raise RuntimeError(f'{path}: {status}')

        def push(writer, k):
            now = int(time.time() * 1000)
            status, _, text = writer.push([({'__name__': 'pushed_total', 'k': str(k), 'i': str(i)}, [(now, float(now))]) for i in range(50)])
            if status not in (200, 204, 400, 429, 503):
                raise RuntimeError(f'push: {status} {text[:200]}')
            time.sleep(.05)

        def reload():
            nonlocal turn
            turn += 1
            place('prometheus.yml', configuration(server.address, turn))
            place('rules.yml', rules(turn))
            place('sd.yml', f'[{{targets: ["{server.address}"], labels: {{n: "{turn}"}}}}]\n')
            status, _, text = request(server.address, 'POST', '/-/reload', timeout=60)
            if status != 200:
                raise RuntimeError(f'reload: {status} {text[:300]}')
            time.sleep(1.5)

        def hang_up():
            host, port = server.address.rsplit(':', 1)
            with socket.create_connection((host, int(port)), timeout=30) as s:
                s.sendall(random.choice([b'GET /api/v1/labels HTTP/1.1\r\nHost: a\r\n\r\n', b'POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\nabc',
                                         b'GET / HT', b'\x16\x03\x01\x02', b'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n']))
            time.sleep(.05)

        def delete():
            status, _, text = request(server.address, 'POST', '/api/v1/admin/tsdb/delete_series?match[]=pushed_total{i="7"}', timeout=60)
            if status != 204:
                raise RuntimeError(f'delete: {status} {text[:300]}')
            time.sleep(3)

        threads = [busily('reloads', reload)] + [busily('questions', ask) for _ in range(3)] + [busily('hang-ups', hang_up), busily('deletions', delete)]
        for k in range(2):
            writer = Writer(server.address, timeout=60)
            threads.append(busily('pushes', lambda writer=writer, k=k: push(writer, k)))
        time.sleep(args.seconds)
        if server.process.poll() is None:
            counts['series of itself'] = sum(float(r['value'][1]) for r in server.query('count({job="self"})'))
            counts['looped back'] = sum(float(r['value'][1]) for r in server.query('count({looped="yes"})'))
        leaving.set()
        server.process.send_signal(signal.SIGTERM)  # while everything goes on
        time.sleep(.2)
        ending.set()
        code = server.process.wait(120)
        for t in threads:
            t.join(60)
        if code != 0:
            failures.append(f'the exit status is {code}')
        said = [n for n, line in enumerate(open(server.log_path, errors='replace'), 1) if any(s in line for s in SAYS)]
        if said:
            lines = open(server.log_path, errors='replace').read().split('\n')
            failures.append(f'{len(said)} lines of a sanitizer; the first:\n' + '\n'.join(lines[max(0, said[0] - 2):said[0] + 60]))
        for name in ('reloads', 'questions', 'pushes', 'hang-ups', 'deletions', 'notifications', 'series of itself', 'looped back'):
            if not counts.get(name):
                failures.append(f'no {name}')
    print(', '.join(f'{v:.0f} {k}' for k, v in sorted(counts.items())))
    for f in failures:
        print('FAILED:', f)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
