#!/usr/bin/env python3
"""Where an alert goes and why nobody was told: /api/v1/alerting/routes/test against amtool, and the word /why has for each way an alert
can end, deliveries and trying again.

    tests/e2e/alert_why.py
"""
import os, random, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

JSON = {'Content-Type': 'application/json'}
CONFIG = """
route:
  receiver: all
  group_by: [alertname]
  group_wait: 50ms
  group_interval: 200ms
  repeat_interval: 10h
  routes:
    - {{matchers: ['team="night"'], receiver: all, mute_time_intervals: [always]}}
    - {{matchers: ['team="bad"'], receiver: bad}}
    - {{matchers: ['team="late"'], receiver: all, group_wait: 1h}}
    - {{matchers: ['team="void"'], receiver: void}}
    - matchers: ['team=~"a|b"', 'env!="dev"']
      receiver: ab
      routes:
        - {{matchers: ['severity="page"'], receiver: pager, continue: true}}
        - {{matchers: ['severity=~"page|warn"', 'odd!~"x.*"'], receiver: ab, group_by: ['...']}}
inhibit_rules:
  - {{source_matchers: ['severity="page"'], target_matchers: ['severity="warn"'], equal: [team], name: worse first}}
time_intervals: [{{name: always, time_intervals: [{{years: ['2000:2999']}}]}}]
receivers:
  - {{name: all, webhook_configs: [{{url: 'http://127.0.0.1:{port}/ok'}}]}}
  - {{name: ab, webhook_configs: [{{url: 'http://127.0.0.1:{port}/ok'}}]}}
  - {{name: pager, webhook_configs: [{{url: 'http://127.0.0.1:{port}/ok'}}]}}
  - {{name: bad, webhook_configs: [{{url: 'http://127.0.0.1:{port}/bad'}}]}}
  - {{name: void}}
"""


class Hook(BaseHTTPRequestHandler):
    status = {'/ok': 200, '/bad': 400}

    def do_POST(self):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.send_response(self.status[self.path])
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *args):
        pass


def get(server, path, pairs=()):
    status, _, body = request(server.address, 'GET', f'/api/v1/alerting/{path}?{urllib.parse.urlencode(pairs)}')
    return status, json.loads(body)


def post(server, labels, seconds=3600):
    end = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + seconds))
    status, _, body = request(server.address, 'POST', '/api/v2/alerts', json.dumps([{'labels': labels, 'endsAt': end}]), JSON)
    assert status == 200, (status, body)


def labels_of(labels):
    return [('label', f'{k}={v}') for k, v in labels.items()]


def verdicts(server, labels):
    _, answer = get(server, 'why', labels_of(labels))
    return {i['integration']: i['verdict'] for r in answer['data']['routes'] for i in r['integrations']}


def same_routes(server, config):
    """Random label sets: ours, and amtool's own words."""
    rng, tools = random.Random(7), [[BINARY, 'amtool']]
    if peer('prometheus-alertmanager', 'amtool'):
        tools.append([peer('prometheus-alertmanager', 'amtool')])
    for _ in range(25):
        labels = {'alertname': 'T'}
        for name, values in (('team', ['a', 'b', 'c', 'night', 'bad']), ('severity', ['page', 'warn', 'info']), ('env', ['dev', 'prod']), ('odd', ['x1', 'y'])):
            if rng.random() < .75:
                labels[name] = rng.choice(values)
        _, answer = get(server, 'routes/test', labels_of(labels))
        taken = [w['id'] for w in answer['data']['walk'] if w['verdict'] == 'taken']
        assert taken == [r['id'] for r in answer['data']['routes']], answer
        for tool in tools:
            said = subprocess.run([*tool, 'config', 'routes', 'test', f'--config.file={config}', *(f'{k}={v}' for k, v in labels.items())], capture_output=True, text=True)
            assert said.stdout.strip().split(',') == answer['data']['receivers'], (tool, labels, said, answer['data']['receivers'])
    return len(tools)


def main():
    hooks = ThreadingHTTPServer(('127.0.0.1', 0), Hook)
    threading.Thread(target=hooks.serve_forever, daemon=True).start()
    directory = tempfile.mkdtemp(prefix='pharos-why-')
    atexit.register(shutil.rmtree, directory, True)
    config = os.path.join(directory, 'am.yml')
    with open(config, 'w') as f:
        f.write(CONFIG.format(port=hooks.server_port))
    server = Server(os.path.join(directory, 'data'), f'--alertmanager.config.file={config}', '--no-self-scrape').start()
    tools = same_routes(server, config)

    ended = {
        'notified': {'alertname': 'Told', 'team': 'a', 'severity': 'page'},
        'inhibited': {'alertname': 'Less', 'team': 'a', 'severity': 'warn'},
        'muted': {'alertname': 'Night', 'team': 'night'},
        'given up': {'alertname': 'Bad', 'team': 'bad'},
        'waiting': {'alertname': 'Late', 'team': 'late'},
        'silenced': {'alertname': 'Quiet', 'team': 'c'},
    }
    silence = {'matchers': [{'name': 'team', 'value': 'c|x', 'isRegex': True, 'isEqual': True}], 'createdBy': 'ada', 'comment': 'why not',
               'startsAt': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), 'endsAt': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 3600))}
    status, _, body = request(server.address, 'POST', '/api/v2/silences', json.dumps(silence), JSON)
    assert status == 200, body
    for labels in ended.values():
        post(server, labels)
    post(server, {'alertname': 'Void', 'team': 'void'})

    def settled():
        return all(set(verdicts(server, labels).values()) == {word} for word, labels in ended.items())
    wait_for('every alert to come to its end', settled, 60)

    # Each says by what.
    _, a = get(server, 'why', labels_of(ended['inhibited']))
    assert a['data']['inhibitedBy']['labels']['alertname'] == 'Told' and a['data']['inhibitedBy']['rule'] == 'worse first', a
    _, a = get(server, 'why', labels_of(ended['silenced']))
    assert [(s['createdBy'], s['comment']) for s in a['data']['silencedBy']] == [('ada', 'why not')], a
    _, a = get(server, 'why', labels_of(ended['muted']))
    assert a['data']['routes'][0]['mutedBy'] == ['always'], a
    _, a = get(server, 'why', labels_of({'alertname': 'Void', 'team': 'void'}))
    assert a['data']['routes'][0]['integrations'] == [], a
    _, a = get(server, 'why', labels_of({'alertname': 'Nobody', 'team': 'b', 'severity': 'page'}))
    assert set(i['verdict'] for r in a['data']['routes'] for i in r['integrations']) == {'hypothetical'} and len(a['data']['routes']) == 2, a
    refused = [w for w in a['data']['walk'] if w['verdict'] == 'refused']
    assert refused[0]['matcher'] == 'team="night"' and refused[0]['value'] == 'b', refused
    _, by_id = get(server, 'why', [('fingerprint', get(server, 'why', labels_of(ended['notified']))[1]['data']['fingerprint'])])
    assert by_id['data']['labels'] == ended['notified']
    told = by_id['data']['routes'][0]['integrations'][0]
    assert [d['state'] for d in told['deliveries']] == ['accepted', 'queued'], told
    assert get(server, 'why')[0] == 400 and get(server, 'why', [('fingerprint', 'f' * 16)])[0] == 400 and get(server, 'routes/test', [('label', 'noequals')])[0] == 400

    # A preview counts what is there; wrong ones are refused.
    status, _, body = request(server.address, 'POST', '/api/v1/alerting/silences/preview', json.dumps(silence), JSON)
    preview = json.loads(body)['data']
    assert preview['total'] == 1 and preview['alerts'][0]['labels'] == ended['silenced'], preview
    silence['matchers'][0]['value'] = '('
    assert request(server.address, 'POST', '/api/v1/alerting/silences/preview', json.dumps(silence), JSON)[0] == 400

    # A dead letter is tried again by hand: refused once more, then taken.
    def retry(integration, group):
        return request(server.address, 'POST', '/api/v1/alerting/deliveries/retry', urllib.parse.urlencode({'integration': integration, 'group': group}), {'Content-Type': 'application/x-www-form-urlencoded'})
    letters = lambda: get(server, 'deliveries')[1]['data']['deadLetters']
    assert len(letters()) == 1, letters()
    letter = letters()[0]
    assert retry(letter['integration'], letter['group'])[0] == 200
    wait_for('the second refusal', lambda: len(letters()) == 2, 60)
    Hook.status['/bad'] = 200
    assert retry(letter['integration'], letter['group'])[0] == 200
    wait_for('the letter to be taken', lambda: set(verdicts(server, ended['given up']).values()) == {'notified'}, 60)
    assert retry(letter['integration'], '{}:{alertname="none"}')[0] == 400 and retry('none/webhook/0', letter['group'])[0] == 400
    assert server.stop() == 0
    print(f'ok: routes as {tools} amtool say, {len(ended)} ends, preview, trying again')


main()
