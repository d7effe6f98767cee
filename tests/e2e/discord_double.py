"""A double of Discord's webhook API that holds requests to Discord's published rules and misbehaves on demand.

    double = DiscordDouble().start()
    double.url                       the webhook's URL
    double.script.append(('429', 0.5))   next answers: ('429', seconds[, 'global']), ('500',), ('close',), ('hang', seconds), ('404',)
    double.messages                  what a channel would show: dicts with id, body, edits (bodies), at
    double.problems                  every rule that was broken, in words

Lengths are counted in UTF-16 units, the strictest reading of "characters". The rate limit is five requests in two seconds, told
by headers; whoever sends while it was told to wait breaks a rule.
"""
import email, json, re, socket, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = 'double-token_AbCdEf0123456789'
LIMIT, PER_SECONDS = 5, 2.0
MESSAGE_FIELDS = {'content', 'username', 'avatar_url', 'tts', 'embeds', 'allowed_mentions', 'components', 'files', 'payload_json', 'attachments', 'flags', 'thread_name', 'applied_tags', 'poll'}
EDIT_FIELDS = {'content', 'embeds', 'flags', 'allowed_mentions', 'components', 'files', 'payload_json', 'attachments', 'poll'}
EMBED_FIELDS = {'title', 'type', 'description', 'url', 'timestamp', 'color', 'footer', 'image', 'thumbnail', 'video', 'provider', 'author', 'fields'}


def length(text):
    return len(text.encode('utf-16-le')) // 2


def judge_embed(embed, where):
    """(problems, characters that count towards the 6,000)."""
    problems, total = [], 0
    problems += [f'{where}: unknown field {k}' for k in embed if k not in EMBED_FIELDS]

    def text(value, name, most, least=0):
        nonlocal total
        if not isinstance(value, str):
            problems.append(f'{where}.{name} is not a string')
            return
        total += length(value)
        if not least <= length(value) <= most:
            problems.append(f'{where}.{name} has {length(value)} characters, allowed {least} to {most}')

    for name, most in (('title', 256), ('description', 4096)):
        if name in embed:
            text(embed[name], name, most)
    if 'footer' in embed:
        text(embed['footer'].get('text'), 'footer.text', 2048, 1)
    if 'author' in embed:
        text(embed['author'].get('name'), 'author.name', 256, 1)
    fields = embed.get('fields', [])
    if len(fields) > 25:
        problems.append(f'{where} has {len(fields)} fields, allowed 25')
    for i, f in enumerate(fields):
        text(f.get('name'), f'fields[{i}].name', 256, 1)
        text(f.get('value'), f'fields[{i}].value', 1024, 1)
        if not isinstance(f.get('inline', False), bool):
            problems.append(f'{where}.fields[{i}].inline is no boolean')
    if not 0 <= embed.get('color', 0) <= 0xffffff:
        problems.append(f'{where}.color is {embed["color"]}')
    if 'url' in embed and not re.match(r'https?://[^ ]{1,2040}$', embed['url']):
        problems.append(f'{where}.url is {embed["url"]!r}')
    if 'timestamp' in embed and not re.match(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$', embed['timestamp']):
        problems.append(f'{where}.timestamp is {embed["timestamp"]!r}')
    if not any(embed.get(k) for k in ('title', 'description', 'fields', 'image', 'author', 'footer')):
        problems.append(f'{where} is empty')
    return problems, total


def read_form(headers, raw):
    """(message, files by name) of a JSON body, or of a form as Discord wants it (multipart/form-data, payload_json and files[n])."""
    kind = headers.get('Content-Type', '')
    if not kind.startswith('multipart/form-data'):
        return json.loads(raw), {}
    form = email.message_from_bytes(b'Content-Type: ' + kind.encode() + b'\r\n\r\n' + raw)
    message, files = None, {}
    for part in form.get_payload():
        name = part.get_param('name', header='content-disposition')
        data = part.get_payload(decode=True)
        if name == 'payload_json':
            message = json.loads(data)
        elif re.match(r'files\[\d\]$', name or ''):
            files[part.get_filename()] = (part.get_content_type(), data)
        else:
            raise ValueError(f'a part named {name}')
    return message, files


def judge_files(body, files, kept):
    """kept: names of files the edited message has."""
    problems = [f'{name} is no picture' for name, (kind, data) in files.items() if kind != 'image/png' or not data.startswith(b'\x89PNG\r\n') or not data.endswith(b'IEND\xaeB`\x82')]
    problems += [f'{name} has {len(data)} bytes, allowed 10 MiB' for name, (_, data) in files.items() if len(data) > 10 << 20]
    listed = [a.get('filename') for a in body.get('attachments', [])]
    problems += [f'attachments lists {name}, which is not there' for name in listed if name not in files and name not in kept]
    for embed in body.get('embeds') or []:
        url = (embed.get('image') or {}).get('url', '')
        if url.startswith('attachment://') and url[13:] not in files and url[13:] not in kept:
            problems.append(f'{url} is not attached')
    return problems


def judge_message(body, is_edit):
    problems = [f'unknown field {k}' for k in body if k not in (EDIT_FIELDS if is_edit else MESSAGE_FIELDS)]
    content = body.get('content') or ''
    if length(content) > 2000:
        problems.append(f'content has {length(content)} characters, allowed 2000')
    if 'username' in body and (not 1 <= length(body['username']) <= 80 or re.search('discord|clyde', body['username'], re.I)):
        problems.append(f'username {body["username"]!r} is not allowed')
    if 'avatar_url' in body and not re.match('https?://', body['avatar_url']):
        problems.append(f'avatar_url {body["avatar_url"]!r}')
    embeds = body.get('embeds') or []
    if len(embeds) > 10:
        problems.append(f'{len(embeds)} embeds, allowed 10')
    total = 0
    for i, embed in enumerate(embeds):
        more, n = judge_embed(embed, f'embeds[{i}]')
        problems += more
        total += n
    if total > 6000:
        problems.append(f'the embeds have {total} characters together, allowed 6000')
    if not content and not embeds and not is_edit:
        problems.append('an empty message')
    mentions = body.get('allowed_mentions')
    if mentions is not None:
        problems += [f'allowed_mentions.parse holds {p}' for p in mentions.get('parse', []) if p not in ('roles', 'users', 'everyone')]
        for kind in ('roles', 'users'):
            if kind in mentions.get('parse', []) and mentions.get(kind):
                problems.append(f'allowed_mentions: {kind} both parsed and listed')
            if len(mentions.get(kind, [])) > 100:
                problems.append(f'allowed_mentions lists {len(mentions[kind])} {kind}')
    return problems


class DiscordDouble:
    def __init__(self):
        self.lock = threading.Lock()
        self.script, self.messages, self.requests, self.problems = [], [], [], []
        self.next_id, self.recent, self.wait_until = 1400000000000000000, [], 0.0

    def start(self):
        me = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                me.answer(self)

            do_PATCH = do_GET = do_DELETE = do_POST

            def log_message(self, *args):
                pass

        class Httpd(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass

        self.httpd = Httpd(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.httpd.server_port}/api/webhooks/1234567890/{TOKEN}'
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.httpd.shutdown()
        self.httpd.server_close()

    def count(self):
        with self.lock:
            return len(self.messages)

    def answer(self, h):
        body = h.rfile.read(int(h.headers.get('Content-Length') or 0))
        with self.lock:
            action = self.script.pop(0) if self.script else None
            now = time.monotonic()
            self.requests.append((now, h.command, h.path.replace(TOKEN, 'TOKEN'), action))
            if now < self.wait_until - 0.02:
                self.problems.append(f'{h.command} came {self.wait_until - now:.2f} s before it was allowed to')
        if action and action[0] == 'close':
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)
            return
        if action and action[0] == 'hang':
            time.sleep(action[1])
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)
            return
        status, answer, headers = self.judge(h, body, action)
        data = b'' if answer is None else json.dumps(answer).encode()
        h.send_response(status)
        for name, value in headers.items():
            h.send_header(name, value)
        h.send_header('Content-Type', 'application/json')
        h.send_header('Content-Length', str(len(data)))
        h.end_headers()
        h.wfile.write(data)

    def judge(self, h, raw, action):
        with self.lock:
            now = time.monotonic()
            if action and action[0] == '429':
                self.wait_until = now + action[1]
                is_global = len(action) > 2
                headers = {'Retry-After': str(max(1, round(action[1]))) if action[1] >= 1 else str(action[1]), 'X-RateLimit-Scope': 'global' if is_global else 'user'}
                if is_global:
                    headers['X-RateLimit-Global'] = 'true'
                return 429, {'message': 'You are being rate limited.', 'retry_after': action[1], 'global': is_global}, headers
            if action and action[0] == '500':
                return 500, {'message': '500: Internal Server Error', 'code': 0}, {}
            path, _, query = h.path.partition('?')
            m = re.match(r'/api(?:/v\d+)?/webhooks/1234567890/' + TOKEN + r'(?:/messages/(\d+))?$', path)
            if action and action[0] == '404' or not m:
                if not action:
                    self.problems.append(f'no such webhook: {path.replace(TOKEN, "TOKEN")}')
                return 404, {'message': 'Unknown Webhook', 'code': 10015}, {}
            self.recent = [t for t in self.recent if now - t < PER_SECONDS]
            headers = {'X-RateLimit-Limit': str(LIMIT), 'X-RateLimit-Bucket': 'double'}
            if len(self.recent) >= LIMIT:
                wait = PER_SECONDS - (now - self.recent[0])
                self.problems.append('the rate limit told in headers was not kept')
                return 429, {'message': 'You are being rate limited.', 'retry_after': wait, 'global': False}, {**headers, 'Retry-After': f'{wait:.3f}', 'X-RateLimit-Remaining': '0'}
            self.recent.append(now)
            headers['X-RateLimit-Remaining'] = str(LIMIT - len(self.recent))
            headers['X-RateLimit-Reset-After'] = f'{PER_SECONDS - (now - self.recent[0]):.3f}'
            if not re.match('application/json|multipart/form-data; *boundary=', h.headers.get('Content-Type', '')):
                self.problems.append(f'Content-Type {h.headers.get("Content-Type")}')
            try:
                body, files = read_form(h.headers, raw)
            except ValueError as e:
                self.problems.append(f'no JSON: {e}')
                return 400, {'message': 'The request body contains invalid JSON.', 'code': 50109}, headers
            message_id = m.group(1)
            is_edit = h.command == 'PATCH'
            kept = next((x['files'] for x in self.messages if x['id'] == message_id), {}) if is_edit else {}
            broken = judge_message(body, is_edit) + judge_files(body, files, kept)
            if broken:
                self.problems += broken
                return 400, {'message': 'Invalid Form Body', 'code': 50035, 'errors': broken}, headers
            if is_edit:
                found = [x for x in self.messages if x['id'] == message_id]
                if not found:
                    self.problems.append(f'PATCH of an unknown message {message_id}')
                    return 404, {'message': 'Unknown Message', 'code': 10008}, headers
                found[0]['edits'].append(body)
                return 200, {'id': message_id, **body}, headers
            if h.command != 'POST' or message_id:
                return 405, {'message': '405: Method Not Allowed', 'code': 0}, headers
            self.next_id += 1
            self.messages.append({'id': str(self.next_id), 'body': body, 'edits': [], 'files': files, 'at': now})
            if 'wait=true' not in query.split('&'):
                return 204, None, headers
            return 200, {'id': str(self.next_id), 'channel_id': '1', **body}, headers
