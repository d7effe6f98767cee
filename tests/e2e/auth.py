#!/usr/bin/env python3
"""--web.config.file on the real listener: bcrypt users, bearer tokens with roles, TLS, wrong passwords and what they cost."""
import base64, os, ssl, sys, warnings
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

USER, PASSWORD = 'ada', 'correct horse: battery'
# bcrypt of the password above, cost 10, made with `htpasswd -nBC 10 ""`; so the test needs no bcrypt of its own.
HASH = '$2b$10$nZqFT9oYXJl78N.6zx7E2OiNhN3IeRO4hCnh1XVMW.M4exgKHxRM6'
READ_TOKEN, WRITE_TOKEN = 'read-token-0123456789', 'write-token-0123456789'
PATHS = ('/', '/query', '/targets', '/assets/nothing.js', '/metrics', '/api/v1/query?query=1', '/api/v1/status/config', '/no/such/page', '/-/reload', '/-/ready', '/-/healthy', '/api/v1/no/such', '/federate', '/favicon.ico')
failures = []


def expect(what, got, want):
    if got != want:
        failures.append(f'{what}: {got!r}, expected {want!r}')


def basic(user, password):
    return {'Authorization': 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()}


def bearer(token):
    return {'Authorization': f'Bearer {token}'}


def ask(server, method, path, headers=None, body=None, context=None):
    host, port = server.address.rsplit(':', 1)
    c = http.client.HTTPSConnection(host, int(port), timeout=30, context=context) if context else http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


def checks_done(server, headers):
    page = ask(server, 'GET', '/metrics', headers)[2].decode()
    return int(float(next(line.split()[-1] for line in page.splitlines() if line.startswith('pharos_password_checks_total'))))


def check_users(directory):
    config = os.path.join(directory, 'web.yml')
    with open(config, 'w') as f:
        f.write(f'basic_auth_users:\n  {USER}: {HASH}\nbearer_tokens:\n  - {{name: reader, token: {READ_TOKEN}, role: read}}\n  - {{name: writer, token: {WRITE_TOKEN}, role: write}}\n'
                'http_server_config:\n  headers: {X-Frame-Options: deny}\n')
    server = Server(os.path.join(directory, 'users'), 'prometheus', '--no-self-scrape', f'--web.config.file={config}').start()
    good = basic(USER, PASSWORD)
    for path in PATHS:
        method = 'POST' if path == '/-/reload' else 'GET'
        status, headers, _ = ask(server, method, path)
        expect(f'{path} without credentials', status, 401)
        expect(f'{path}: the challenge', headers.get('www-authenticate', '')[:5], 'Basic')
        expect(f'{path}: configured header on a refusal', headers.get('x-frame-options'), 'deny')
    # Every method is asked, also where there is nothing: the peer answers 401 to all of these.
    for method, path, known in (('OPTIONS', '/api/v1/query', 204), ('DELETE', '/api/v1/query', 405), ('POST', '/no/such/page', 405), ('PUT', '/-/ready', 405), ('HEAD', '/-/healthy', 200)):
        expect(f'{method} {path} without credentials', ask(server, method, path, body=b'x' if method == 'POST' else None)[0], 401)
        expect(f'{method} {path} with them', ask(server, method, path, good)[0], known)
    expect('ready for a reader', ask(server, 'GET', '/-/ready', bearer(READ_TOKEN))[0], 200)
    status, headers, _ = ask(server, 'GET', '/api/v1/query?query=1', good)
    expect('the right password', status, 200)
    expect('configured header', headers.get('x-frame-options'), 'deny')
    expect('a page with the right password', ask(server, 'GET', '/query', good)[0], 200)
    expect('reload by a user', ask(server, 'POST', '/-/reload', good)[0], 200)
    # A right password is checked once; so is a wrong one; and a name that is not there looks the same as a wrong password.
    before = checks_done(server, good)
    for _ in range(20):
        expect('the right password again', ask(server, 'GET', '/api/v1/status/buildinfo', good)[0], 200)
    expect('bcrypts for a known password', checks_done(server, good), before)
    for wrong in (basic(USER, 'wrong'), basic('nobody', PASSWORD), basic('nobody', 'wrong'), basic(USER, ''), basic('', '')):
        for _ in range(5):
            status, headers, body = ask(server, 'GET', '/api/v1/query?query=1', wrong)
            expect('wrong credentials', (status, headers.get('www-authenticate', '')[:5]), (401, 'Basic'))
    expect('bcrypts for five wrong pairs', checks_done(server, good) - before, 5)
    bodies = {ask(server, 'GET', '/api/v1/query?query=1', h)[2] for h in (basic(USER, 'wrong'), basic('nobody', 'wrong'))}
    expect('a wrong name and a wrong password answer alike', len(bodies), 1)
    for odd in ('Basic', 'Basic !!!', 'Basic ' + base64.b64encode(b'nocolon').decode(), 'Basic ' + base64.b64encode(b'a\0b:c').decode(), 'Basic ' + 'A' * 20000, 'Digest x', 'Bearer', 'Bearer ', ' ', 'Basic  ' + 'QQ' * 3):
        expect(f'Authorization: {odd[:20]}', ask(server, 'GET', '/api/v1/status/buildinfo', {'Authorization': odd})[0], 401)
    # Many guesses at once: some may be told to come back, none gets in, and who is known is served meanwhile.
    seen = []
    guessers = [threading.Thread(target=lambda i=i: seen.append(ask(server, 'GET', '/api/v1/status/buildinfo', basic(USER, f'guess{i}'))[0])) for i in range(24)]
    for t in guessers:
        t.start()
    expect('a known user while others guess', ask(server, 'GET', '/api/v1/status/buildinfo', good)[0], 200)
    for t in guessers:
        t.join()
    expect('guesses', (len(seen), set(seen) <= {401, 429, 503}), (24, True))
    # Tokens and their roles.
    now = int(time.time() * 1000)
    body = snappy(write_request([({'__name__': 'auth'}, [(now, 1.0)])]))
    push = {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf'}
    expect('push without credentials', ask(server, 'POST', '/api/v1/write', push, body)[0], 401)
    expect('push of a reader', ask(server, 'POST', '/api/v1/write', {**push, **bearer(READ_TOKEN)}, body)[0], 403)
    expect('push of a writer', ask(server, 'POST', '/api/v1/write', {**push, **bearer(WRITE_TOKEN)}, body)[0], 204)
    expect('query of a reader', ask(server, 'GET', '/api/v1/query?query=auth', bearer(READ_TOKEN))[0], 200)
    expect('reload by a reader', ask(server, 'POST', '/-/reload', bearer(READ_TOKEN))[0], 403)
    expect('an unknown token', ask(server, 'GET', '/api/v1/status/buildinfo', bearer('x' * 22))[0], 401)
    # A reload takes new users; a broken file keeps the old ones.
    text = open(config).read()
    with open(config, 'w') as f:
        f.write(text.replace(READ_TOKEN, 'another-token-0123456789'))
    expect('reload', ask(server, 'POST', '/-/reload', good)[0], 200)
    expect('the old token after the reload', ask(server, 'GET', '/api/v1/status/buildinfo', bearer(READ_TOKEN))[0], 401)
    expect('the new token after the reload', ask(server, 'GET', '/api/v1/status/buildinfo', bearer('another-token-0123456789'))[0], 200)
    with open(config, 'w') as f:
        f.write('basic_auth_users:\n  ada: notahash\n')
    status, _, body = ask(server, 'POST', '/-/reload', good)
    expect('reload of a broken web.config.file', (status, b'web.yml:2:8' in body, b'notahash' in body), (500, True, False))
    expect('the old user goes on', ask(server, 'GET', '/api/v1/status/buildinfo', good)[0], 200)
    expect('stop', server.stop(), 0)
    log = open(server.log_path).read()
    for secret in (PASSWORD, HASH, READ_TOKEN, WRITE_TOKEN, good['Authorization']):
        if secret in log:
            failures.append(f'the log holds {secret[:8]}...')


def check_tls(directory):
    def openssl(*args):
        subprocess.run(['openssl', *args], check=True, capture_output=True, cwd=directory)
    def certificate(name):
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', f'{name}.key', '-out', f'{name}.crt', '-days', '2', '-subj', f'/CN={name}',
                '-addext', 'subjectAltName=IP:127.0.0.1')
    for name in ('one', 'two', 'client'):
        certificate(name)
    for kind in ('crt', 'key'):
        shutil.copy(os.path.join(directory, f'one.{kind}'), os.path.join(directory, f'server.{kind}'))
    config = os.path.join(directory, 'tls.yml')
    with open(config, 'w') as f:
        f.write(f'tls_server_config: {{cert_file: server.crt, key_file: server.key}}\nbasic_auth_users: {{{USER}: "{HASH}"}}\n')
    server = Server(os.path.join(directory, 'tls'), 'prometheus', f'--web.config.file={config}').start()
    trust = lambda name: ssl.create_default_context(cafile=os.path.join(directory, f'{name}.crt'))
    one, two = trust('one'), trust('two')
    expect('over TLS without credentials', ask(server, 'GET', '/', context=one)[0], 401)
    expect('over TLS', ask(server, 'GET', '/api/v1/query?query=1', basic(USER, PASSWORD), context=one)[0], 200)
    try:
        status = ask(server, 'GET', '/-/ready')[0]
        expect('plain HTTP to a TLS port', status, 400)
    except (http.client.HTTPException, OSError):
        pass
    old = ssl.create_default_context(cafile=os.path.join(directory, 'one.crt'))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    try:
        ask(server, 'GET', '/api/v1/status/buildinfo', context=old)
        failures.append('TLS 1.1 was accepted')
    except (ssl.SSLError, OSError):
        pass
    # Without a configuration file the server scrapes itself, through its own TLS and its own users.
    wait_for('the own targets', lambda: {t['health'] for t in json.loads(ask(server, 'GET', '/api/v1/targets', basic(USER, PASSWORD), context=one)[2])['data']['activeTargets']} == {'up'}, timeout=40)
    # A renewed certificate is taken without a restart.
    for kind in ('key', 'crt'):
        shutil.copy(os.path.join(directory, f'two.{kind}'), os.path.join(directory, f'server.{kind}'))
    def renewed():
        with contextlib.suppress(ssl.SSLError):
            return ask(server, 'GET', '/api/v1/status/buildinfo', basic(USER, PASSWORD), context=two)[0] == 200
    wait_for('the renewed certificate', renewed)
    expect('stop', server.stop(), 0)

    with open(config, 'w') as f:
        f.write('tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: client.crt, client_auth_type: VerifyClientCertIfGiven}\n')
    server = Server(os.path.join(directory, 'mtls'), 'prometheus', '--no-self-scrape', f'--web.config.file={config}').start()
    expect('client certificates are optional', ask(server, 'GET', '/api/v1/status/buildinfo', context=two)[0], 200)
    expect('stop', server.stop(), 0)
    with open(config, 'w') as f:
        f.write('tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: client.crt, client_auth_type: RequireAndVerifyClientCert}\n')
    server = Server(os.path.join(directory, 'mtls'), 'prometheus', '--no-self-scrape', f'--web.config.file={config}').start()
    try:
        ask(server, 'GET', '/api/v1/status/buildinfo', context=two)
        failures.append('no client certificate, and served')
    except (ssl.SSLError, OSError, http.client.HTTPException):
        pass
    known = trust('two')
    known.load_cert_chain(os.path.join(directory, 'client.crt'), os.path.join(directory, 'client.key'))
    expect('a client certificate', ask(server, 'GET', '/api/v1/status/buildinfo', context=known)[0], 200)
    expect('stop', server.stop(), 0)


def check_bad_files(directory):
    for text, want in (('basic_auth_users: {a: plain}\n', 'bad.yml:1:23'), ('tls_server_config: {cert_file: nope.crt, key_file: nope.key}\n', 'nope.crt'),
                       ('basic_auth_user: {}\n', 'did you mean basic_auth_users?'), ('bearer_tokens: [{token: abc, rol: read}]\n', 'did you mean role?')):
        config = os.path.join(directory, 'bad.yml')
        with open(config, 'w') as f:
            f.write(text)
        out = subprocess.run([BINARY, 'prometheus', '--web.listen-address=127.0.0.1:0', f'--storage.path={directory}/bad', f'--web.config.file={config}'], capture_output=True, text=True, timeout=30)
        if out.returncode != 1 or want not in out.stderr:
            failures.append(f'{text.strip()}: exit {out.returncode}, says {out.stderr[-300:]}')


def main():
    if not shutil.which('openssl'):
        skip('no openssl command for certificates')
    with scratch() as directory:
        check_users(directory)
        check_tls(directory)
        check_bad_files(directory)
    for f in failures:
        print(f)
    print(f'{len(failures)} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
