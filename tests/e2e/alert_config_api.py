#!/usr/bin/env python3
"""The configuration of alerting over HTTP: read, tried, put in place; and in Mimir's form."""
import os, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

SECRET = 'http://127.0.0.1:9/hook-SECRETtoken'
OLD = f"""# a comment
route: {{receiver: a, group_wait: 1h}}
receivers:
- name: a
  webhook_configs: [{{url: '{SECRET}'}}]
- name: b
"""
NEW = OLD.replace('group_wait: 1h}', "group_wait: 2h, routes: [{matchers: ['team=\"x\"'], receiver: b}]}")
failures = []


def expect(what, got, want):
    if got != want:
        failures.append(f'{what}: {got!r}, expected {want!r}')


def read(path):
    with open(path) as f:
        return f.read()


def main():
    with scratch() as d:
        os.makedirs(d, exist_ok=True)
        file = os.path.join(d, 'am.yml')
        with open(file, 'w') as f:
            f.write(OLD)
        server = Server(os.path.join(d, 'server'), 'alertmanager', f'--config.file={file}').start()

        def call(method, path, body=None):
            status, _, answer = request(server.address, method, path, body, {'Content-Type': 'application/yaml'})
            answer = answer.decode() if isinstance(answer, bytes) else answer
            if 'SECRETtoken' in answer:
                failures.append(f'{method} {path}: a secret in the answer')
            return status, (json.loads(answer) if answer.startswith('{') else answer)

        alerts = [{'labels': {'alertname': 'A', 'team': t}, 'endsAt': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 3600))} for t in ('x', 'y', 'z')]
        expect('alerts', request(server.address, 'POST', '/api/v2/alerts', json.dumps(alerts), {'Content-Type': 'application/json'})[0], 200)
        status, answer = call('GET', '/api/v1/alerting/config')
        expect('read', (status, answer['data']['writable'], answer['data']['file'], '<secret>' in answer['data']['config']), (200, True, file, True))
        running = answer['data']['config']

        status, answer = call('POST', '/api/v1/alerting/config/check', NEW)
        data = answer['data']
        expect('tried', (status, data['valid'], data['effect']['alerts'], data['effect']['changed']), (200, True, 3, 1))
        expect('what changes', [(x['labels']['team'], x['before'], x['after']) for x in data['effect']['examples']], [('x', ['a'], ['b'])])
        lines = data['diff'].split('\n')
        expect('the difference', (any(x.startswith('-') and 'group_wait: 1h' in x for x in lines), any(x.startswith('+') and 'group_wait: 2h' in x for x in lines)), (True, True))
        expect('nothing is written', (read(file), os.path.exists(file + '.bak')), (OLD, False))
        status, answer = call('POST', '/api/v1/alerting/config/check', 'route: {receiver: nobody}\nreceivers: [{name: r}]\n')
        expect('tried, bad', (status, answer['data']['valid'], 'nobody' in answer['data']['issues']), (200, False, True))

        expect('put, bad', (call('PUT', '/api/v1/alerting/config', 'route: {}\n')[0], read(file)), (400, OLD))
        expect('put, as it was read', (call('PUT', '/api/v1/alerting/config', running)[0], read(file)), (400, OLD))
        status, answer = call('PUT', '/api/v1/alerting/config', NEW)
        expect('put', (status, answer['data']['effect']['changed'], read(file), read(file + '.bak')), (200, 1, NEW, OLD))
        expect('it runs', 'group_wait: 2h' in call('GET', '/api/v1/alerting/config')[1]['data']['config'], True)
        groups = json.loads(request(server.address, 'GET', '/api/v2/alerts/groups?receiver=b')[2])
        expect('alerts go the new way', [x['labels']['team'] for g in groups for x in g['alerts']], ['x'])

        body = 'template_files: {}\nalertmanager_config: |\n' + ''.join(f'  {line}\n' for line in OLD.rstrip('\n').split('\n'))
        expect('Mimir, put', (call('POST', '/api/v1/alerts', body)[0], read(file), read(file + '.bak')), (201, OLD, NEW))
        status, answer = call('GET', '/api/v1/alerts')
        expect('Mimir, read', (status, answer.startswith('template_files: {}\nalertmanager_config: |\n'), '<secret>' in answer), (200, True, True))
        expect('Mimir, bad', (call('POST', '/api/v1/alerts', 'alertmanager_config: "route: {}"\n')[0], call('POST', '/api/v1/alerts', 'x: 1\n')[0], read(file)), (400, 400, OLD))
        expect('Mimir, gone', (call('DELETE', '/api/v1/alerts')[0], 'receiver: none' in read(file)), (200, True))
        expect('stop', server.stop(), 0)
    for f in failures:
        print(f)
    print(f'{len(failures)} problems')
    return 1 if failures else 0


sys.exit(main())
