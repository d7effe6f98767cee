#!/usr/bin/env python3
"""Reloading: SIGHUP and /-/reload, wrong files that change nothing, files that are watched, and secrets that appear nowhere."""
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

failures = []
SECRETS = {'password': 'planted-password-1', 'bearer': 'planted-bearer-2', 'dotenv': 'planted-dotenv-3', 'header': 'planted-header-4', 'remote': 'planted-remote-5',
           'webhook': 'planted-webhook-6', 'userinfo': 'planted-userinfo-7', 'file': 'planted-file-8', 'oauth': 'planted-oauth-9'}


def expect(what, got, want):
    if got != want:
        failures.append(f'{what}: {got!r}, expected {want!r}')


class Target(BaseHTTPRequestHandler):
    seen = {}

    def do_GET(self):
        self.seen.setdefault(self.path, []).append(dict(self.headers))
        body = b'reload_probe 1\n'
        self.send_response(200)
        self.send_header('Content-Type', 'text/plain; version=0.0.4')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + '.new', 'w') as f:
        f.write(text)
    os.replace(path + '.new', path)


def main():
    ThreadingHTTPServer.handle_error = lambda *args: None  # a scrape that was given up
    target = ThreadingHTTPServer(('127.0.0.1', 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    where = f'127.0.0.1:{target.server_port}'
    with scratch() as directory:
        config, rules, sd = (os.path.join(directory, *p) for p in (('prometheus.yml',), ('rules', 'one.yml'), ('sd', 'one.yml')))
        write(os.path.join(directory, '.env'), f'PROBE_PASSWORD={SECRETS["dotenv"]}\nDISCORD_WEBHOOK_URL=http://{where}/api/webhooks/1/{SECRETS["webhook"]}\n')
        write(os.path.join(directory, 'token'), SECRETS['file'] + '\n')
        good = f'''global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: basic
    metrics_path: /basic
    basic_auth: {{username: probe, password: {SECRETS["password"]}}}
    static_configs: [{{targets: ['{where}']}}]
  - job_name: bearer
    metrics_path: /bearer
    authorization: {{credentials: {SECRETS["bearer"]}}}
    static_configs: [{{targets: ['{where}']}}]
  - job_name: env
    metrics_path: /env
    basic_auth: {{username: probe, password: "${{PROBE_PASSWORD}}"}}
    static_configs: [{{targets: ['{where}']}}]
  - job_name: file
    metrics_path: /file
    authorization: {{credentials_file: token}}
    static_configs: [{{targets: ['{where}']}}]
  - job_name: header
    metrics_path: /header
    http_headers: {{X-Probe: {{secrets: [{SECRETS["header"]}]}}}}
    static_configs: [{{targets: ['{where}']}}]
  - job_name: discovered
    metrics_path: /discovered
    file_sd_configs: [{{files: [sd/*.yml], refresh_interval: 1s}}]
remote_write:
  - url: http://user:{SECRETS["userinfo"]}@{where}/refused
  - {{url: 'http://{where}/refused', name: second, authorization: {{credentials: {SECRETS["remote"]}}}}}
'''
        write(config, good)
        write(rules, 'groups:\n  - name: g\n    rules: [{record: "reload:one", expr: vector(1)}]\n')
        write(sd, f'[{{targets: ["{where}"], labels: {{from: first}}}}]\n')
        server = Server(directory, 'all', f'--config.file={config}').start()
        metric = lambda name: next((float(line.split()[-1]) for line in server.get('/metrics')[2].decode().splitlines() if line.startswith(name + ' ')), None)
        ok = lambda: metric('prometheus_config_last_reload_successful')
        value = lambda expr: [r['value'][1] for r in server.query(expr)]
        expect('reload_successful at the start', ok(), 1.0)
        wait_for('six targets', lambda: value('count(up == 1)') == ['6'])
        wait_for('the rule', lambda: value('reload:one') == ['1'])
        for path, want in (('/basic', 'Basic '), ('/bearer', 'Bearer ' + SECRETS['bearer']), ('/file', 'Bearer ' + SECRETS['file'])):
            got = Target.seen[path][0].get('Authorization', '')
            if not got.startswith(want):
                failures.append(f'{path} was not asked with its credentials')
        expect('the header sent', Target.seen['/header'][0].get('X-Probe'), SECRETS['header'])

        # file_sd takes effect by itself, a broken file keeps what was known.
        write(sd, f'[{{targets: ["{where}"], labels: {{from: second}}}}]\n')
        wait_for('the discovered label', lambda: value('up{from="second"}') == ['1'])
        wait_for('the old one is stale', lambda: value('up{from="first"}') == [])
        write(sd, '[{targets: ["broken')
        time.sleep(2.5)
        expect('after a broken file_sd file', value('up{from="second"}'), ['1'])
        write(sd, f'[{{targets: ["{where}"], labels: {{from: third}}}}]\n')
        wait_for('the mended file', lambda: value('up{from="third"}') == ['1'])

        # A good reload, by each road.
        write(rules, 'groups:\n  - name: g\n    rules: [{record: "reload:two", expr: vector(2)}]\n')
        before = metric('prometheus_config_last_reload_success_timestamp_seconds')
        status, _, body = request(server.address, 'POST', '/-/reload')
        expect('POST /-/reload', (status, body), (200, b''))
        wait_for('the new rule', lambda: value('reload:two') == ['2'])
        wait_for('the old rule is stale', lambda: value('reload:one') == [])
        if not metric('prometheus_config_last_reload_success_timestamp_seconds') > before:
            failures.append('the time of the last good reload did not move')
        expect('GET /-/reload', server.get('/-/reload')[0], 405)
        write(config, good.replace('job_name: basic', 'job_name: renamed'))
        server.process.send_signal(signal.SIGHUP)
        wait_for('the renamed job after SIGHUP', lambda: value('up{job="renamed"}') == ['1'])
        wait_for('the old job is stale', lambda: value('up{job="basic"}') == [])

        # Wrong ones: the message says where and what, everything goes on as it was.
        line = good.count('\n') + 1
        wrongs = {
            'an unknown field': (config, good + 'scrape_confgs: []\n', [f'prometheus.yml:{line}:1:', 'did you mean scrape_configs?']),
            'a syntax error': (config, good + 'a: [1, 2\n', ['prometheus.yml:']),
            'a wrong duration': (config, good.replace('scrape_interval: 1s', 'scrape_interval: 1parsec'), ['prometheus.yml:1:27:', '1parsec']),
            'two at once': (config, good.replace('scrape_interval: 1s', 'scrape_interval: 1parsec') + 'x: 1\n', ['prometheus.yml:1:27:', f'prometheus.yml:{line}:1:']),
            'a wrong rule': (rules, 'groups:\n  - name: g\n    rules:\n      - {record: r, expr: "sum(up"}\n', ['one.yml:4:27:', 'unclosed left parenthesis']),
            'an unreadable file': (config, None, ['prometheus.yml']),
            'a secret of the wrong kind': (config, good.replace(f'password: {SECRETS["password"]}', f'password: [{SECRETS["password"]}]'), ['prometheus.yml:6:']),
        }
        for name, (path, text, wants) in wrongs.items():
            held = open(path).read()
            if text is None:
                os.unlink(path)
            else:
                write(path, text)
            status, _, body = request(server.address, 'POST', '/-/reload')
            message = body.decode()
            expect(f'{name}: status', status, 500)
            for want in wants:
                if want not in message:
                    failures.append(f'{name}: does not say "{want}": {message[:400]}')
            for what, secret in SECRETS.items():
                if secret in message:
                    failures.append(f'{name}: the message holds the {what} secret')
            expect(f'{name}: reload_successful', ok(), 0.0)
            if name == 'an unknown field':
                server.process.send_signal(signal.SIGHUP)
                wait_for('the same in the log', lambda: 'scrape_confgs' in server.tail())
                expect('ready after a wrong reload', server.get('/-/ready')[0], 200)
            write(path, held)
        runtime = server.api('status/runtimeinfo')
        expect('runtimeinfo', runtime['reloadConfigSuccess'], False)
        expect('the rule goes on', value('reload:two'), ['2'])
        expect('targets go on', value('count(up == 1)'), ['6'])
        expect('a good one again', request(server.address, 'POST', '/-/reload')[0], 200)
        expect('reload_successful again', ok(), 1.0)

        # Secrets appear nowhere that can be read.
        pages = ['/', '/query', '/targets', '/status', '/config', '/metrics', '/metrics/host'] + ['/api/v1/' + p for p in (
            'status/config', 'status/flags', 'status/runtimeinfo', 'status/buildinfo', 'targets', 'scrape_pools', 'rules', 'alerts', 'alertmanagers', 'targets/metadata')]
        for address in server.addresses.values():
            for page in pages:
                status, _, body = request(address, 'GET', page)
                if page.startswith('/api') and status != 200:
                    failures.append(f'{page}: {status}')
                for what, secret in SECRETS.items():
                    if secret.encode() in body:
                        failures.append(f'{page} shows the {what} secret')
        shown = server.api('status/config')['yaml']
        if '<secret>' not in shown or 'job_name: renamed' not in shown:
            failures.append(f'status/config: {shown[:500]}')
        expect('stop', server.stop(), 0)
        log = open(server.log_path, errors='replace').read()
        for what, secret in SECRETS.items():
            if secret in log:
                failures.append(f'the log holds the {what} secret')
            for at, _, names in os.walk(os.path.join(directory, 'data')):
                for name in names:
                    if secret.encode() in open(os.path.join(at, name), 'rb').read():
                        failures.append(f'{name} of the data directory holds the {what} secret')
    target.shutdown()
    for f in failures:
        print(f)
    print(f'{len(failures)} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
