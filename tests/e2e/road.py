#!/usr/bin/env python3
"""The whole road: a target's pages are scraped, stored, asked for, judged by rules, and told to a double of Discord.

What is asked for must be what was served, sample by sample. The target then breaks its page, loses a series and goes away; an
alert fires, is told once in spite of 429, 5xx and closed connections, survives kill -9, and resolves: the message is edited and
a reply posted.
"""
import math, os, re, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *
from discord_double import DiscordDouble, TOKEN

failures = []


def expect(what, got, want):
    if got != want:
        failures.append(f'{what}: {got!r}, expected {want!r}')


class Target:
    """Two pages that change with every scrape; remembers what it served."""

    def __init__(self):
        self.lock = threading.Lock()
        self.served = {'/classic': [], '/openmetrics': []}
        self.accepts, self.broken, self.without_gauge, self.temperature, self.disk = {}, False, False, 20.5, 10
        me = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                kind, body = me.page(self.path, self.headers)
                self.send_response(200 if body is not None else 404)
                self.send_header('Content-Type', kind)
                self.send_header('Content-Length', str(len(body or b'')))
                self.end_headers()
                self.wfile.write(body or b'')

            def setup(self):
                me.connections.add(self.request)
                super().setup()

            def log_message(self, *args):
                pass

        class Httpd(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass

        self.connections = set()
        self.httpd = Httpd(('127.0.0.1', 0), Handler)
        self.address = f'127.0.0.1:{self.httpd.server_port}'
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def page(self, path, headers):
        with self.lock:
            self.accepts[path] = headers.get('Accept', '')
            if path not in self.served:
                return 'text/plain', None
            if self.broken:
                return 'text/plain; version=0.0.4', b'road_half_stored 1\nroad_requests_total{code="200" 7\n'
            n = len(self.served[path]) + 1
            self.served[path].append(n)
            if path == '/classic':
                gauge = '' if self.without_gauge else f'road_temperature_celsius{{room="a"}} {self.temperature}\n'
                text = f'''# HELP road_requests_total Requests, as they came.
# TYPE road_requests_total counter
road_requests_total{{code="200",path="/a\\"b\\\\c\\nd"}} {n * 7}
road_requests_total{{code="500"}} {n}
# TYPE road_temperature_celsius gauge
{gauge}# HELP road_latency_seconds How long.
# TYPE road_latency_seconds histogram
road_latency_seconds_bucket{{le="0.1"}} {n}
road_latency_seconds_bucket{{le="1"}} {n * 3}
road_latency_seconds_bucket{{le="+Inf"}} {n * 4}
road_latency_seconds_sum {n * 2.5}
road_latency_seconds_count {n * 4}
# TYPE road_disk_percent gauge
road_disk_percent {self.disk}
road_odd{{v="nan"}} NaN
road_odd{{v="inf"}} +Inf
road_odd{{v="small"}} 5e-324
road_odd{{v="exact"}} 0.1
{{"road.dotted.name","label.dotted"="ü✓"}} {n}
'''
                return 'text/plain; version=0.0.4; charset=utf-8', text.encode()
            text = f'''# HELP road_jobs Jobs done.
# TYPE road_jobs counter
# UNIT road_jobs jobs
road_jobs_total{{queue="q"}} {n} # {{trace_id="t{n}"}} {n}.5 {time.time():.3f}
road_jobs_created{{queue="q"}} 1700000000
# TYPE road_build info
road_build_info{{version="1.2"}} 1
# EOF
'''.replace('# UNIT road_jobs jobs\n', '')
            return 'application/openmetrics-text; version=1.0.0; charset=utf-8', text.encode()

    def gone(self):
        self.httpd.shutdown()
        self.httpd.server_close()
        for s in list(self.connections):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


class Alertmanager:
    """Takes alerts as Alertmanager's API v2 does, and keeps the newest state of each."""

    def __init__(self):
        self.alerts, self.problems = {}, []
        me = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                try:
                    if self.path != '/am/api/v2/alerts' or self.headers['Content-Type'] != 'application/json':
                        raise ValueError(f'{self.path} {self.headers["Content-Type"]}')
                    for a in json.loads(body):
                        me.alerts[a['labels']['alertname']] = a
                except (ValueError, KeyError) as e:
                    me.problems.append(repr(e))
                self.send_response(200)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *args):
                pass

        self.httpd = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.httpd.daemon_threads = True
        self.address = f'127.0.0.1:{self.httpd.server_port}'
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()


def run_of(values, served):
    """values must be a run of served without a gap."""
    return bool(values) and any(values == served[i:i + len(values)] for i in range(len(served)))


def write_config(directory, target, discord, alertmanager):
    os.makedirs(os.path.join(directory, 'rules'))
    with open(os.path.join(directory, 'prometheus.yml'), 'w') as f:
        f.write(f'''global: {{scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms, external_labels: {{dc: e2e}}}}
rule_files: [rules/*.yml]
alerting:
  alert_relabel_configs: [{{regex: team, action: labeldrop}}]
  alertmanagers: [{{path_prefix: /am, static_configs: [{{targets: ['{alertmanager}']}}]}}]
scrape_configs:
  - job_name: road
    metrics_path: /classic
    static_configs: [{{targets: ['{target}'], labels: {{team: "blue"}}}}]
    metric_relabel_configs:
      - {{source_labels: [code], regex: '(\\d)..', target_label: class, replacement: '${{1}}xx'}}
  - job_name: om
    metrics_path: /openmetrics
    static_configs: [{{targets: ['{target}']}}]
''')
    with open(os.path.join(directory, 'rules', 'road.yml'), 'w') as f:
        f.write('''groups:
  - name: road
    rules:
      - record: road:requests:sum
        expr: sum by (team) (road_requests_total)
      - alert: RoadHot
        expr: road_temperature_celsius > 30
        for: 1s
        labels: {severity: page}
        annotations:
          summary: 'It is {{ $value | humanize }} degrees in {{ $labels.room }} of {{ $externalLabels.dc }} @everyone *now*'
      - alert: RoadDisk
        expr: road_disk_percent > 90
        annotations: {summary: 'disk at {{ $value }}'}
''')
    with open(os.path.join(directory, 'alertmanager.yml'), 'w') as f:
        f.write(f'''route: {{receiver: channel, group_by: [alertname], group_wait: 200ms, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: channel
    discord_configs: [{{webhook_url: '{discord}'}}]
''')


def check_what_was_served(server, target):
    wait_for('some scrapes', lambda: len(target.served['/classic']) >= 6 and len(target.served['/openmetrics']) >= 6)
    at = time.time()
    raw = lambda expr: [[float(v) for _, v in r['values']] for r in server.query(expr, time=f'{at:.3f}')]
    for expr, factor in (('road_requests_total{code="200"}[1m]', 7), ('road_requests_total{code="500"}[1m]', 1), ('road_latency_seconds_sum[1m]', 2.5), ('{"road.dotted.name"}[1m]', 1)):
        rows = raw(expr)
        if len(rows) != 1 or not run_of(rows[0], [n * factor for n in target.served['/classic']]):
            failures.append(f'{expr}: {rows}, served n x {factor} for n up to {len(target.served["/classic"])}')
    rows = raw('road_jobs_total[1m]')
    if len(rows) != 1 or not run_of(rows[0], [float(n) for n in target.served['/openmetrics']]):
        failures.append(f'road_jobs_total: {rows}')
    instant = lambda expr: server.query(expr)
    row = instant('road_requests_total{code="200"}')[0]['metric']
    expect('labels of a counter', row, {'__name__': 'road_requests_total', 'code': '200', 'class': '2xx', 'path': '/a"b\\c\nd', 'instance': target.address, 'job': 'road', 'team': 'blue'})
    expect('labels of a dotted name', instant('{"road.dotted.name"}')[0]['metric'],
           {'__name__': 'road.dotted.name', 'label.dotted': 'ü✓', 'instance': target.address, 'job': 'road', 'team': 'blue'})
    expect('bounds are normalised', sorted(r['metric']['le'] for r in instant('road_latency_seconds_bucket')), ['+Inf', '0.1', '1.0'])
    odd = {r['metric']['v']: r['value'][1] for r in instant('road_odd')}
    expect('odd values', odd, {'nan': 'NaN', 'inf': '+Inf', 'small': '5e-324', 'exact': '0.1'})
    quantile = float(instant('histogram_quantile(0.5, road_latency_seconds_bucket)')[0]['value'][1])
    if not math.isclose(quantile, 0.1 + 0.9 * 0.5, rel_tol=1e-9):  # half of 4n is 2n: half-way between n at 0.1 and 3n at 1
        failures.append(f'histogram_quantile: {quantile}')
    expect('a rule over both counters', instant('road:requests:sum')[0]['metric'], {'__name__': 'road:requests:sum', 'team': 'blue'})
    # query_range on a grid finds at each step the newest sample at or before it.
    samples = [(float(t), v) for t, v in server.query('road_requests_total{code="500"}[1m]', time=f'{at:.3f}')[0]['values']]
    start, end = samples[1][0] + 0.1, samples[-1][0] + 0.1
    answer = server.api('query_range', query='road_requests_total{code="500"}', start=f'{start:.3f}', end=f'{end:.3f}', step='0.25')['result'][0]['values']
    want = []
    for i in range(int((end - start) / 0.25 + 1e-9) + 1):
        t = round(start + i * 0.25, 3)
        want.append([t, [v for at_, v in samples if at_ <= t + 1e-9][-1]])
    expect('query_range', [[round(float(t), 3), v] for t, v in answer], want)
    # Series, labels, metadata.
    names = server.api('label/__name__/values')
    for name in ('road_requests_total', 'road.dotted.name', 'road_latency_seconds_bucket', 'road_jobs_total', 'road_build_info', 'up', 'scrape_duration_seconds', 'road:requests:sum'):
        if name not in names:
            failures.append(f'label values miss {name}')
    expect('series', sorted(s['code'] for s in server.api('series', **{'match[]': 'road_requests_total'})), ['200', '500'])
    expect('labels of a match', server.api('labels', **{'match[]': 'road_temperature_celsius'}), ['__name__', 'instance', 'job', 'room', 'team'])
    expect('values of a match', server.api('label/class/values', **{'match[]': 'road_requests_total'}), ['2xx', '5xx'])
    expect('metadata', server.api('metadata', metric='road_requests_total'), {'road_requests_total': [{'type': 'counter', 'help': 'Requests, as they came.', 'unit': ''}]})
    expect('metadata of OpenMetrics', server.api('metadata', metric='road_jobs')['road_jobs'][0]['type'], 'counter')
    of_target = server.api('targets/metadata', match_target='{job="road"}', metric='road_latency_seconds')
    expect('metadata of a target', [(m['type'], m['help'], m['target']['job']) for m in of_target], [('histogram', 'How long.', 'road')])
    # Exemplars: those that were served, with their labels and values.
    exemplars = server.api('query_exemplars', query='road_jobs_total', start=f'{at - 60:.3f}', end=f'{at:.3f}')
    expect('series with exemplars', [e['seriesLabels']['__name__'] for e in exemplars], ['road_jobs_total'])
    got = [(e['labels'], float(e['value'])) for e in exemplars[0]['exemplars']] if exemplars else []
    if not run_of([v for _, v in got], [n + 0.5 for n in target.served['/openmetrics']]) or any(l != {'trace_id': f't{int(v)}'} for l, v in got):
        failures.append(f'exemplars: {got}')
    for path in target.served:
        accept = target.accepts[path]
        for part in ('application/openmetrics-text', 'text/plain;version=0.0.4', 'escaping=allow-utf-8'):
            if part not in accept.replace('; ', ';'):
                failures.append(f'the scrape of {path} does not accept {part}: {accept}')
    targets = server.api('targets')['activeTargets']
    expect('targets', sorted((t['labels']['job'], t['health'], t['lastError']) for t in targets), [('om', 'up', ''), ('road', 'up', '')])


def check_broken_page(server, target):
    mark = time.time()
    target.broken = True
    one = lambda: next(t for t in server.api('targets')['activeTargets'] if t['labels']['job'] == 'road')
    broken = wait_for('the broken page to be noticed', lambda: one()['health'] == 'down' and one())
    if not re.search(r'\bline 2, column \d+', broken['lastError']):
        failures.append(f'the broken page: no line and column in "{broken["lastError"]}"')
    expect('up of a broken page', [r['value'][1] for r in server.query('up{job="road"}')], ['0'])
    expect('nothing of a broken page is stored', server.query('road_half_stored[5m]'), [])
    wait_for('its series end', lambda: server.query('road_requests_total') == [])
    target.broken = False
    wait_for('the mended page', lambda: one()['health'] == 'up' and server.query('road_requests_total{code="500"}'))
    # A series that leaves the page ends at once, the others go on.
    target.without_gauge = True
    wait_for('the missing series ends', lambda: server.query('road_temperature_celsius') == [])
    expect('the others go on', len(server.query('road_requests_total')), 2)
    target.without_gauge = False
    wait_for('the series is back', lambda: len(server.query('road_temperature_celsius')) == 1)


def check_alerts(server, target, discord, manager):
    expect('alertmanagers', server.api('alertmanagers'), {'activeAlertmanagers': [{'url': f'http://{manager.address}/am/api/v2/alerts'}], 'droppedAlertmanagers': []})
    expect('no alert yet', (server.api('alerts')['alerts'], discord.count()), ([], 0))
    discord.script += [('429', 0.7), ('500',), ('close',)]
    target.temperature = 33.25
    wait_for('pending or firing', lambda: server.api('alerts')['alerts'])
    wait_for('firing', lambda: [a['state'] for a in server.api('alerts')['alerts']] == ['firing'])
    alert = server.api('alerts')['alerts'][0]
    expect('the alert', (alert['labels'], alert['annotations']['summary'], alert['value']),
           ({'alertname': 'RoadHot', 'severity': 'page', 'room': 'a', 'instance': target.address, 'job': 'road', 'team': 'blue'}, 'It is 33.25 degrees in a of e2e @everyone *now*', '3.325e+01'))
    wait_for('ALERTS', lambda: [r['metric']['alertstate'] for r in server.query('ALERTS{alertname="RoadHot"}')] == ['firing'])
    rules = server.api('rules')['groups'][0]['rules']
    expect('rules', [(r['name'], r['type'], r['health']) for r in rules], [('road:requests:sum', 'recording', 'ok'), ('RoadHot', 'alerting', 'ok'), ('RoadDisk', 'alerting', 'ok')])
    wait_for('the message after 429, 500 and a closed connection', lambda: discord.count() == 1, timeout=40)
    first = discord.messages[0]
    text = json.dumps(first['body'], ensure_ascii=False)
    for part in ('RoadHot', '33.25 degrees in a of e2e', 'page'):
        if part not in text:
            failures.append(f'the message does not hold "{part}": {text[:600]}')
    expect('the chart in the card', (list(first['files']), first['body']['embeds'][0].get('image')), (['chart.png'], {'url': 'attachment://chart.png'}))
    mentions = first['body'].get('allowed_mentions', {}).get('parse')
    expect('what labels bring mentions nobody', mentions, [])
    if first['body']['embeds'][0]['color'] == 0x2ecc71:
        failures.append('a firing card has the colour of a resolved one')
    time.sleep(2)
    expect('told once', discord.count(), 1)
    told = wait_for('the Alertmanager of prometheus.yml', lambda: manager.alerts.get('RoadHot'))
    expect('its labels', told['labels'], {'alertname': 'RoadHot', 'severity': 'page', 'room': 'a', 'instance': target.address, 'job': 'road', 'dc': 'e2e'})
    if told['endsAt'] <= time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime()) or '/graph?g0.expr=road_temperature_celsius' not in told['generatorURL']:
        failures.append(f'the alert at the Alertmanager: {told}')

    # The second alert is told while nobody answers, and we are killed: it is told after the restart, once; the first is not told again.
    discord.script += [('500',)] * 50
    target.disk = 95
    wait_for('an attempt', lambda: len(discord.script) < 50)
    wait_for('the alert', lambda: any(a['labels']['alertname'] == 'RoadDisk' and a['state'] == 'firing' for a in server.api('alerts')['alerts']))
    active = {a['labels']['alertname']: a['activeAt'] for a in server.api('alerts')['alerts']}
    server.kill()
    discord.script.clear()
    server.start()
    wait_for('the second message', lambda: discord.count() >= 2, timeout=40)
    wait_for('both firing again', lambda: len(server.api('alerts')['alerts']) == 2)
    expect('since when, after kill -9', {a['labels']['alertname']: a['activeAt'] for a in server.api('alerts')['alerts']}, active)
    time.sleep(2.5)
    expect('two messages for two alerts', [('RoadHot' in json.dumps(m['body']), 'RoadDisk' in json.dumps(m['body'])) for m in discord.messages], [(True, False), (False, True)])

    # Resolved: the old message is edited, a short reply posted; the other one stays as it is.
    target.temperature = 21
    wait_for('resolved', lambda: [a['labels']['alertname'] for a in server.api('alerts')['alerts']] == ['RoadDisk'])
    wait_for('the edit and the reply', lambda: first['edits'] and discord.count() == 3, timeout=40)
    edit, reply = first['edits'][-1], discord.messages[2]['body']
    expect('the colour of a resolved card', edit['embeds'][0]['color'], 0x2ecc71)
    expect('the chart stays in it', edit['embeds'][0].get('image'), {'url': 'attachment://chart.png'})
    if os.environ.get('SHOTS'):
        open(os.environ['SHOTS'] + '/card.png', 'wb').write(first['files']['chart.png'][1])
    if 'RESOLVED' not in json.dumps(edit).upper():
        failures.append(f'the edit does not say that it is resolved: {edit}')
    wait_for('resolved at the Alertmanager', lambda: manager.alerts['RoadHot']['endsAt'] <= time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 1)))
    expect('requests to the Alertmanager', manager.problems, [])
    if 'RoadHot' not in json.dumps(reply) or len(reply.get('content', '')) > 400:
        failures.append(f'the reply: {reply}')
    expect('the other message', discord.messages[1]['edits'], [])
    # It fires again: a new message, for edits notify nobody.
    target.temperature = 35
    wait_for('the new message', lambda: discord.count() == 4, timeout=40)
    if 'RoadHot' not in json.dumps(discord.messages[3]['body']):
        failures.append(f'the new message: {discord.messages[3]}')

    # A provider that hangs holds up neither rules nor queries.
    discord.script += [('hang', 8)] * 6
    target.disk = 10
    count = lambda: next((float(line.split()[-1]) for line in server.get('/metrics')[2].decode().splitlines() if line.startswith('prometheus_rule_group_iterations_total{')), 0)
    wait_for('an attempt that hangs', lambda: len(discord.script) < 6, timeout=20)
    n = count()
    wait_for('rules go on while a provider hangs', lambda: count() >= n + 4, timeout=7)
    discord.script.clear()


def check_gone(server, target):
    target.gone()
    wait_for('down', lambda: [r['value'][1] for r in server.query('up')] == ['0', '0'])
    wait_for('all series of the target end', lambda: server.query('{__name__=~"road_.+"}') == [])
    for t in server.api('targets')['activeTargets']:
        if t['health'] != 'down' or 'refused' not in t['lastError'].lower():
            failures.append(f'a target that is gone: {t["health"]} "{t["lastError"]}"')
    count = server.query('count_over_time(road_requests_total{code="500"}[10m])')
    if not count:
        failures.append('what was scraped before is gone, too')


def check_notify(directory, discord):
    """pharos notify test, with alertmanager.yml and with DISCORD_WEBHOOK_URL alone; the URL is printed nowhere."""
    run = lambda *args, **env: subprocess.run([BINARY, 'notify', 'test', *args], capture_output=True, text=True, cwd=directory, timeout=60, env={**os.environ, **env})
    n = discord.count()
    out = run(f'--alertmanager.config.file={directory}/alertmanager.yml')
    expect('notify test', (out.returncode, discord.count()), (0, n + 1))
    with_env = run(DISCORD_WEBHOOK_URL=discord.url)
    expect('notify test with DISCORD_WEBHOOK_URL', (with_env.returncode, discord.count()), (0, n + 2))
    expect('notify test with nothing', run().returncode, 2)
    discord.script.append(('404',))
    gone = run(DISCORD_WEBHOOK_URL=discord.url)
    if gone.returncode != 1 or '404' not in gone.stdout + gone.stderr or 'Unknown Webhook' not in gone.stdout + gone.stderr:
        failures.append(f'notify test to a deleted webhook: {gone.returncode} {gone.stdout} {gone.stderr}')
    for o in (out, with_env, gone):
        if TOKEN in o.stdout + o.stderr:
            failures.append('notify test prints the URL')
    good = subprocess.run([BINARY, 'check', 'config', f'{directory}/alertmanager.yml'], capture_output=True, text=True)
    if TOKEN in good.stdout + good.stderr:
        failures.append('check prints the URL')


def main():
    target, discord, manager = Target(), DiscordDouble().start(), Alertmanager()
    with scratch() as directory:
        write_config(directory, target.address, discord.url, manager.address)
        server = Server(directory, 'prometheus', f'--config.file={directory}/prometheus.yml', f'--alertmanager.config.file={directory}/alertmanager.yml').start()
        for check in (lambda: check_what_was_served(server, target), lambda: check_broken_page(server, target), lambda: check_alerts(server, target, discord, manager), lambda: check_gone(server, target),
                      lambda: check_notify(directory, discord)):
            try:
                check()
            except RuntimeError as e:
                failures.append(str(e))
        if server.stop() != 0:
            failures.append('the server did not stop cleanly')
        log = open(server.log_path, errors='replace').read()
        if TOKEN in log:
            failures.append('the log holds the URL of the webhook')
        out = subprocess.run([BINARY, 'fsck', os.path.join(directory, 'data')], capture_output=True, text=True)
        if out.returncode:
            failures.append(f'fsck: {out.stdout[-500:]}{out.stderr[-500:]}')
        failures.extend(f'Discord: {p}' for p in discord.problems)
        if failures and os.environ.get('VERBOSE'):
            print(log[-6000:])
            for r in discord.requests:
                print(r)
    discord.stop()
    for f in failures:
        print(f)
    print(f'{len(discord.requests)} requests to Discord, {discord.count()} messages, {len(failures)} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
