#!/usr/bin/env python3
"""The command line as people meet it: help, exit codes, checks with positions, questions to a running server, fsck, refusals."""
import hashlib, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

failures = []


def run(*args, cwd=None, env=None, argv0=None, stdin=None):
    out = subprocess.run([argv0 or BINARY, *args], capture_output=True, text=True, cwd=cwd, timeout=30, env={**os.environ, **(env or {})}, input=stdin)
    return out.returncode, out.stdout, out.stderr


def expect(args, code, *texts, stream=None, cwd=None, absent=(), **more):
    """Runs, and checks the exit status and that each text is printed (on stdout or stderr where stream says so)."""
    rc, out, err = run(*args, cwd=cwd, **more)
    shown = {'out': out, 'err': err}.get(stream, out + err)
    line = 'pharos ' + ' '.join(args)
    if rc != code:
        failures.append(f'{line}: exit {rc}, expected {code}: {(out + err)[-400:]}')
    for text in texts:
        if text not in shown:
            failures.append(f'{line}: does not say "{text}" on {stream or "any stream"}: {(out + err)[-600:]}')
    for text in absent:
        if text in out + err:
            failures.append(f'{line}: says "{text}"')
    if '\033' in out + err:
        failures.append(f'{line}: colours, but no terminal')
    return out, err


def write(directory, name, text):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write(text)
    return path


def tree(directory):
    """Everything in a directory: names, times, contents."""
    seen = {}
    for at, dirs, files in os.walk(directory):
        for name in dirs + files:
            path = os.path.join(at, name)
            data = hashlib.sha256(open(path, 'rb').read()).hexdigest() if name in files else ''
            seen[os.path.relpath(path, directory)] = (os.stat(path).st_mtime_ns, os.stat(path).st_mode, data)
    return seen


def check_help():
    expect(['--help'], 0, 'First steps', 'Exit status', stream='out')
    expect(['help'], 0, 'First steps', stream='out')
    out, _ = expect(['--help'], 0)
    # Every command that the overview names has its own help with its form and, below it, flags or words.
    commands = [line.split()[1] for line in out.splitlines() if line.startswith('  pharos ') and not line.split()[1].startswith(('[', 'COMMAND'))]
    if not {'check', 'query', 'scrape', 'fsck', 'version'} <= set(commands):
        failures.append(f'--help names only {commands}')
    for command in commands:
        expect([command, '--help'], 0, f'pharos {command}', stream='out')
        expect([command, '-h'], 0, f'pharos {command}', stream='out')
    for role in ('prometheus', 'all'):
        expect([role, '--help'], 0, '--config.file', '--storage.tsdb.retention.time', '--web.listen-address', '127.0.0.1:9090', stream='out')


def check_wrong_calls():
    expect(['chekc'], 2, 'unknown command "chekc"', 'did you mean check?', stream='err')
    expect(['zzzzzzzz'], 2, 'unknown command', stream='err', absent=['did you mean'])
    expect(['--storage.pth=x'], 2, 'unknown flag --storage.pth', 'did you mean --storage.path?', stream='err')
    expect(['prometheus', '--web.listen-adress=:1'], 2, 'did you mean --web.listen-address?', stream='err')
    expect(['prometheus', '--storage.tsdb.retention.time=5parsecs'], 2, '--storage.tsdb.retention.time', '5parsecs', stream='err')
    expect(['prometheus', '--log.level=loud'], 2, 'debug, info, warn or error', stream='err')
    expect(['prometheus', '--storage.durability=maybe'], 2, 'power or process', stream='err')
    expect(['prometheus', 'extra'], 2, 'unexpected word "extra"', stream='err')
    expect(['prometheus', '--config.file'], 2, '--config.file wants a value', stream='err')
    expect(['check'], 2, 'config FILE', stream='err')
    expect(['check', 'konfig', 'x'], 2, 'config FILE', stream='err')
    expect(['query'], 2, stream='err')
    expect(['scrape'], 2, stream='err')
    for words in (['import'], ['import', 'a', 'b'], ['tsdb'], ['test', 'rules'], ['promql']):
        expect(words, 2, 'want', stream='err')
    for role in ('alloy', 'cloud', 'bot', 'gateway', 'refinory'):
        expect([role], 2, f'pharos {role}', 'not built yet', stream='err')
    expect(['version'], 0, 'pharos ', 'compatible with prometheus 3.', stream='out')
    expect(['--version'], 0, 'pharos ', stream='out')


def check_files(directory):
    good = write(directory, 'good/prometheus.yml', '''
global: {scrape_interval: 15s, external_labels: {dc: one}}
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: a
    static_configs: [{targets: ['a:1'], labels: {x: y}}]
    relabel_configs:
      - {source_labels: [__address__], regex: '(.*):1', target_label: host, replacement: '${1}'}
''')
    write(directory, 'good/rules/one.yml', 'groups:\n  - name: g\n    rules:\n      - {record: "a:b", expr: sum(up)}\n      - {alert: Down, expr: up == 0, for: 5m}\n')
    expect(['check', 'config', good], 0, 'SUCCESS', '2 rules', stream='out')
    expect(['promtool', 'check', 'config', good], 0, 'SUCCESS', stream='out')
    link = os.path.join(directory, 'promtool')
    os.symlink(BINARY, link)
    expect(['check', 'config', good], 0, 'SUCCESS', stream='out', argv0=link)
    expect(['check', 'rules', os.path.join(directory, 'good/rules/one.yml')], 0, 'SUCCESS', '2 rules', stream='out')
    bad = write(directory, 'bad.yml', '''global:
  scrape_intervall: 15s
scrape_configs:
  - job_name: a
    scrape_interval: 5x
  - job_name: a
    metrics_paht: /m
  - job_name: b
    relabel_configs: [{action: repalce, target_label: x}]
''')
    expect(['check', 'config', bad], 1, f'{bad}:2:3: global.scrape_intervall: unknown field, did you mean scrape_interval?', f'{bad}:5:22: scrape_configs[0].scrape_interval: "5x"',
           f'{bad}:7:5: scrape_configs[1].metrics_paht: unknown field, did you mean metrics_path?', f'{bad}:6:15: scrape_configs[1].job_name',
           f'{bad}:9:32: ', 'did you mean replace', 'FAILED', stream='err')
    rules = write(directory, 'bad_rules.yml', 'groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: rate(x[5m]\n      - recrod: foo\n        expr: 1\n')
    expect(['check', 'rules', rules], 1, f'{rules}:5:15: groups[0].rules[0].expr:', 'unclosed left parenthesis', f'{rules}:6:9: ', 'did you mean record?', stream='err')
    both = write(directory, 'two.yml', 'rule_files: [bad_rules.yml]\n')
    expect(['check', 'config', both], 1, f'bad_rules.yml:5:15:', stream='err')
    tabs = write(directory, 'tabs.yml', 'global:\n\tscrape_interval: 1s\n')
    expect(['check', 'config', tabs], 1, f'{tabs}:2:', stream='err')
    expect(['check', 'config', os.path.join(directory, 'none.yml')], 1, 'none.yml', 'No such file', stream='err')
    expect(['check', 'config', good, bad], 1, 'SUCCESS', 'FAILED')
    # A secret in a file with a mistake stays where it is.
    secret = write(directory, 'secret.yml', 'scrape_configs:\n  - job_name: a\n    basic_auth: {username: u, password: hunter2secret, pasword_file: x}\n')
    expect(['check', 'config', secret], 1, f'{secret}:3:', absent=['hunter2secret'])
    page = write(directory, 'page.txt', '# TYPE a counter\na_total{x="y"} 1\nb 2 3 4\n')
    expect(['scrape', page], 1, f'{page}:3:', 'a_total')
    page = write(directory, 'fine.txt', '# TYPE g gauge\ng{x="y"} 1.5\ng{x="z"} NaN\n')
    expect(['scrape', page], 0, '2:1', 'g{x="y"} 1.5', 'NaN', stream='out')
    page = write(directory, 'om.txt', '# TYPE c counter\nc_total 3 # {trace_id="abc"} 1\n# EOF\n')
    expect(['scrape', '--format=openmetrics', page], 0, 'c_total 3', 'abc', stream='out')


def check_with_server(directory):
    server = Server(os.path.join(directory, 'server'), 'prometheus', '--no-self-scrape').start()
    url, now = f'http://{server.address}', int(time.time())
    w = Writer(server.address)
    assert w.push([({'__name__': 'cli', 'n': str(i)}, [((now - 60 + 15 * k) * 1000, float(i + k)) for k in range(5)]) for i in range(3)])[0] == 204
    w.close()
    expect(['query', url, 'sum(cli)'], 0, '15', stream='out')
    expect(['query', 'instant', url, 'cli{n="2"}'], 0, 'cli{n="2"} => 6', stream='out')
    expect(['query', 'range', f'--start={now - 60}', f'--end={now}', '--step=15s', url, 'cli{n="0"}'], 0, 'cli{n="0"}', *[f'{k} @[' for k in range(5)], stream='out')
    expect(['query', url, 'sum(cli'], 1, '1:8', 'unclosed left parenthesis', stream='err')
    expect(['query', f'http://127.0.0.1:{free_port()}', 'up'], 1, '127.0.0.1', stream='err')
    expect(['scrape', f'{url}/metrics'], 0, 'prometheus_build_info', stream='out')
    expect(['scrape', f'{url}/nothing'], 1, '404', stream='err')

    # The same directory and the same port are taken: who holds them is said, and nothing is touched.
    data = os.path.join(server.directory, 'data')
    rc, out, err = run('prometheus', '--web.listen-address=127.0.0.1:0', f'--storage.path={data}')
    if rc != 1 or str(server.process.pid) not in err:
        failures.append(f'a locked data directory: exit {rc}: {err[-300:]}')
    rc, out, err = run('fsck', data)
    if rc == 0 or str(server.process.pid) not in err + out:
        failures.append(f'fsck beside a running server: exit {rc}: {(out + err)[-300:]}')
    port = server.address.rsplit(':', 1)[1]
    expect(['prometheus', f'--web.listen-address=127.0.0.1:{port}', f'--storage.path={directory}/other'], 1, f'127.0.0.1:{port}', f'pid {server.process.pid}',
           '--web.listen-address', stream='err')
    if server.stop() != 0:
        failures.append('the server did not stop cleanly')

    before = tree(data)
    expect(['fsck', data], 0)
    if set(tree(data)) != set(before):
        failures.append(f'fsck changed the directory: {sorted(set(tree(data)) ^ set(before))}')
    expect(['fsck', os.path.join(directory, 'nowhere')], 2, 'no such directory', stream='err')
    # One flipped byte anywhere in a part, a manifest or the catalogue is found and its file named.
    victims = sorted((os.path.getsize(p), p) for at, _, names in os.walk(data) for p in (os.path.join(at, n) for n in names)
                     if os.path.getsize(p) > 64 and os.path.basename(p) not in ('LOCK', 'PHAROS', 'pharos.db'))
    if not victims:
        failures.append(f'no files to damage in {data}: {sorted(tree(data))}')
    for size, path in victims[-3:]:
        before = open(path, 'rb').read()
        damaged = bytearray(before)
        damaged[size // 2] ^= 0x10
        with open(path, 'wb') as f:
            f.write(damaged)
        expect(['fsck', data], 1, os.path.basename(path))
        with open(path, 'wb') as f:
            f.write(before)
    # SQLite keeps no sums: what it finds is damage to its structure.
    path = os.path.join(data, 'pharos.db')
    if os.path.exists(path):
        before = open(path, 'rb').read()
        with open(path, 'wb') as f:
            f.write(before[:4096] + b'\xff' * 4096 + before[8192:])
        expect(['fsck', data], 1, 'pharos.db')
        with open(path, 'wb') as f:
            f.write(before)
    expect(['fsck', data], 0)


def check_fsck_after_kill(directory):
    """What kill -9 leaves is right, the state database's log included, and fsck adds nothing to it."""
    server = Server(os.path.join(directory, 'killed'), 'prometheus').start()
    data = os.path.join(server.directory, 'data')
    server.kill()
    if not os.path.exists(os.path.join(data, 'pharos.db-wal')):
        failures.append('the killed server left no log beside pharos.db: the check below says nothing')
    before = tree(data)
    expect(['fsck', data], 0)
    if set(tree(data)) != set(before):
        failures.append(f'fsck after a kill changed the directory: {sorted(set(tree(data)) ^ set(before))}')


def check_failed_start(directory):
    """A start that fails half-way ends, says why, and leaves a directory that the next start takes."""
    data = os.path.join(directory, 'half')
    config = write(directory, 'half.yml', 'scrape_configs: [{job_name: a, scrape_interval: 1x}]\n')
    for flag, want in (('--web.cors.origin=[', 'cors'), (f'--config.file={config}', 'half.yml:1:'), ('--config.file=/nowhere.yml', '/nowhere.yml'),
                       ('--alertmanager.config.file=/nowhere.yml', '/nowhere.yml'), ('--web.listen-address=nonsense', 'host:port')):
        expect(['prometheus', '--web.listen-address=127.0.0.1:0', f'--storage.path={data}', flag], 1, want, stream='err')
    server = Server(os.path.join(directory, 'halfserver'), 'prometheus', f'--storage.tsdb.path={data}', '--no-self-scrape').start()
    if server.stop() != 0:
        failures.append('the start after failed ones did not stop cleanly')


def check_foreign(directory):
    """Prometheus's data directory is refused, untouched, and the way in is named."""
    for shape in (['wal/00000000', 'chunks_head/000001', '01ABCDEFGHJKMNPQRSTVWXYZ01/meta.json', 'lock'], ['01ABCDEFGHJKMNPQRSTVWXYZ01/meta.json'], ['holiday.jpg']):
        data = os.path.join(directory, f'foreign{len(shape)}{shape[0][:2]}')
        for name in shape:
            write(data, name, '{"ulid": "01ABCDEFGHJKMNPQRSTVWXYZ01", "version": 1}')
        before = tree(data)
        rc, out, err = run('prometheus', '--web.listen-address=127.0.0.1:0', f'--storage.tsdb.path={data}')
        if rc != 1 or 'untouched' not in err or '--storage.path' not in err:
            failures.append(f'foreign data {shape}: exit {rc}: {err[-300:]}')
        if set(tree(data)) != set(before):
            failures.append(f'foreign data {shape}: touched')


def main():
    with scratch() as directory:
        check_help()
        check_wrong_calls()
        check_files(directory)
        check_with_server(directory)
        check_fsck_after_kill(directory)
        check_failed_start(directory)
        check_foreign(directory)
    for f in failures:
        print(f)
    print(f'{len(failures)} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
