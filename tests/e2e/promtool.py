#!/usr/bin/env python3
"""promtool's commands by its name: test rules (with Prometheus's own test files where they are), query, check, promql, and their exit statuses."""
import os, sys, xml.etree.ElementTree
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

RULES = '''groups:
- name: g
  rules:
  - {record: 'job:up:sum', expr: 'sum by (job) (up)'}
  - {alert: Down, expr: up == 0, for: 2m, labels: {severity: page}, annotations: {text: '{{ $labels.instance }} is {{ $value }}'}}
'''
TESTS = '''rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- name: good
  interval: 1m
  input_series:
  - {series: 'up{job="a", instance="x"}', values: '1 1 0 0 0 0 1'}
  - {series: 'up{job="a", instance="y"}', values: '1x6'}
  promql_expr_test:
  - {expr: 'job:up:sum', eval_time: 3m, exp_samples: [{labels: 'job:up:sum{job="a"}', value: 1}]}
  alert_rule_test:
  - {eval_time: 3m, alertname: Down, exp_alerts: []}
  - {eval_time: 4m, alertname: Down, exp_alerts: [{exp_labels: {severity: page, job: a, instance: x}, exp_annotations: {text: x is 0}}]}
  - {eval_time: 6m, alertname: Down, exp_alerts: []}
'''
WRONG = TESTS.replace('value: 1}', 'value: 7}').replace('text: x is 0', 'text: other').replace('name: good', 'name: wrong')
# Of Prometheus's cmd/promtool/testdata: what promtool's exit status is.
SHARED = {'unittest.yml': 0, 'long-period.yml': 0, 'at-modifier-test.yml': 0, 'negative-offset-test.yml': 0, 'no-test-group-interval.yml': 0, 'start-time-test.yml': 0, 'failing.yml': 1,
          'bad-input-series.yml': 1, 'bad-promql.yml': 1, 'bad-rules-error-test.yml': 1, 'bad-rules-syntax-test.yml': 1, 'rules_run_no_fuzzy.yml': 1, 'rules_run_extrafields.yml': 1}
failures = []


def expect(what, got, want):
    if got != want:
        failures.append(f'{what}: {got!r}, expected {want!r}')


def promtool(*args):
    return subprocess.run([BINARY, 'promtool', *args], capture_output=True, text=True, timeout=120)


def check_tests(directory):
    for name, text in (('rules.yml', RULES), ('good.yml', TESTS), ('wrong.yml', WRONG)):
        with open(os.path.join(directory, name), 'w') as f:
            f.write(text)
    good, wrong, junit = (os.path.join(directory, n) for n in ('good.yml', 'wrong.yml', 'junit.xml'))
    out = promtool('test', 'rules', good)
    expect('a good test', (out.returncode, out.stdout, out.stderr), (0, f'Unit Testing:  {good}\n  SUCCESS\n\n', ''))
    out = promtool('test', 'rules', f'--junit={junit}', good, wrong)
    expect('a wrong test', out.returncode, 1)
    expect('its report', out.stderr, '''  FAILED:
    name: wrong,
    alertname: Down, time: 4m, 
        exp:[
            0:
              Labels:{alertname="Down", instance="x", job="a", severity="page"}
              Annotations:{text="other"}
            ], 
        got:[
            0:
              Labels:{alertname="Down", instance="x", job="a", severity="page"}
              Annotations:{text="x is 0"}
            ]
    expr: "job:up:sum", time: 3m,
        exp: {__name__="job:up:sum", job="a"} 7E+00
        got: {__name__="job:up:sum", job="a"} 1E+00
''')
    suites = xml.etree.ElementTree.parse(junit).getroot().findall('testsuite')
    expect('the JUnit report', [(s.get('tests'), s.get('failures'), len(s.findall('testcase/failure'))) for s in suites], [('1', '0', 0), ('1', '2', 1)])
    expect('--run', promtool('test', 'rules', '--run=good', wrong).returncode, 0)
    where = os.path.join(os.environ.get('PHAROS_SHARED', '/nonexistent'), 'testdata', 'promtool')
    if os.path.isdir(where):
        for name, want in SHARED.items():
            out = promtool('test', 'rules', os.path.join(where, name))
            expect(name, (out.returncode, 'SUCCESS' in out.stdout), (want, want == 0))
        expect('--ignore-unknown-fields', 'unknown field' in promtool('test', 'rules', '--ignore-unknown-fields', os.path.join(where, 'rules_run_extrafields.yml')).stderr, False)


def check_server(directory):
    server = Server(directory, 'prometheus', '--no-self-scrape').start()
    w, now = Writer(server.address), int(time.time() * 1000)
    w.push([({'__name__': 'p', 'a': str(i)}, [(now - 1000, float(i))]) for i in range(3)])
    w.close()
    url = f'http://{server.address}'
    out = promtool('query', 'series', '--match=p{a=~"0|2"}', url)
    expect('query series', (out.returncode, sorted(out.stdout.split('\n'))), (0, ['', 'p{a="0"}', 'p{a="2"}']))
    out = promtool('query', 'labels', url, 'a')
    expect('query labels', (out.returncode, out.stdout), (0, '0\n1\n2\n'))
    out = promtool('query', 'instant', url, 'sum(p)')
    expect('query instant', (out.returncode, out.stdout.split(' @')[0]), (0, '{} => 3'))
    expect('query series without a selector', promtool('query', 'series', url).returncode, 2)
    for what in ('healthy', 'ready'):
        expect(f'check {what}', promtool('check', what, f'--url={url}').returncode, 0)
    expect('stop', server.stop(), 0)
    expect('check ready of nobody', promtool('check', 'ready', f'--url={url}').returncode, 1)


def main():
    with scratch() as directory:
        check_tests(directory)
        check_server(os.path.join(directory, 'server'))
    expect('promql format', promtool('promql', 'format', 'sum(rate(x[5m]))by(job)').stdout, 'sum by (job) (rate(x[5m]))\n')
    out = promtool('promql', 'format', 'sum(')
    expect('promql format of nonsense', (out.returncode, 'parse error' in out.stderr), (1, True))
    for f in failures:
        print(f)
    print(f'{len(failures)} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
