// The world a journey runs in: a Pharos on free ports, targets that are well, broken and hostile, and rules that fire.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Texts that would run if any of them reached the page as anything but text. */
export const hostile = [
  '<script>window.pwned=1</script>', '"><img src=x onerror="window.pwned=1">', '<svg/onload=window.pwned=1>', "'-window.pwned-'", 'javascript:window.pwned=1',
  '<a href="javascript:window.pwned=1">click</a>', '</textarea></table></pre><iframe srcdoc="<script>parent.pwned=1</script>">', '<style>*{display:none}</style>', '&lt;b&gt;&#x3c;img src=x&#x3e;', '\u202eevil\u0007\u2028',
];

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export async function until(what, condition, ms = 60_000) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = 'not yet';
    } catch (e) {
      last = e.message;
    }
    if (Date.now() > end) throw new Error(`waited for ${what}: ${last}`);
    await sleep(100);
  }
}

function freePort() {
  return new Promise((done) => {
    const s = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = s.address();
      s.close(() => done(port));
    });
  });
}

/** The paths of notifications that came, in order. */
export const hooks = [];

function startTargets() {
  const quoted = (s) => s.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
  const page = [
    `# HELP hostile_metric ${hostile.slice(0, 3).join(' ').replaceAll('\\', '\\\\')}`, '# TYPE hostile_metric gauge',
    ...hostile.map((h, i) => `hostile_metric{n="${i}",text="${quoted(h)}"} ${i}`),
    '# HELP steady_total It grows by ten a second.', '# TYPE steady_total counter',
  ].join('\n');
  const server = http.createServer((req, res) => {
    res.setHeader('Content-Type', 'text/plain; version=0.0.4; charset=utf-8');
    if (req.url.startsWith('/hook/')) { // a receiver of notifications: by its name it takes them or refuses them
      hooks.push(req.url);
      res.statusCode = req.url === '/hook/refuses' ? 400 : 200;
      res.end(req.url === '/hook/refuses' ? 'this hook refuses everything' : '');
    } else if (req.url === '/garbage') res.end('good 1\nbad{x="1" 2\n');
    else res.end(`${page}\nsteady_total ${Math.floor(Date.now() / 100)}\n`);
  });
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

const yaml = JSON.stringify; // a JSON string is a YAML string

/** Alerts of which each ends differently. */
const notified = `
groups:
  - name: notified
    rules:
      - {alert: DiskFull, expr: 'vector(93) > 90', labels: {severity: critical, team: disks, host: a}, annotations: {summary: "Disk of a is 93 % full", runbook_url: "https://example.test/disk"}}
      - {alert: DiskSlow, expr: 'vector(1)', labels: {severity: warning, team: disks, host: a}, annotations: {summary: "Disk of a is slow"}}
      - {alert: Nightly, expr: 'vector(1)', labels: {severity: info, team: night}, annotations: {summary: "The nightly job is late"}}
      - {alert: Refused, expr: 'vector(1)', labels: {severity: warning, team: refused}, annotations: {summary: "Its receiver refuses"}}
      - {alert: Quiet, expr: 'vector(1)', labels: {severity: warning, team: quiet, zone: b}, annotations: {summary: "Somebody works on it"}}
`;

const routing = (target) => `
route:
  receiver: everybody
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
  routes:
    - {matchers: ['team="refused"'], receiver: refuses}
    - {matchers: ['team="night"'], receiver: disks, mute_time_intervals: [always]}
    - matchers: ['team=~"disks|quiet"']
      receiver: disks
      group_by: [team]
      routes:
        - {matchers: ['severity="critical"'], receiver: pager, continue: true}
        - {matchers: ['severity=~"critical|warning"'], receiver: disks, group_wait: 2s}
inhibit_rules:
  - {source_matchers: ['severity="critical"'], target_matchers: ['severity="warning"'], equal: [host, team]}
time_intervals:
  - {name: always, time_intervals: [{times: [{start_time: '00:00', end_time: '24:00'}]}]}
receivers:
  - {name: everybody, webhook_configs: [{url: 'http://${target}/hook/everybody'}]}
  - {name: disks, webhook_configs: [{url: 'http://${target}/hook/disks'}]}
  - {name: pager, webhook_configs: [{url: 'http://${target}/hook/pager'}]}
  - {name: refuses, webhook_configs: [{url: 'http://${target}/hook/refuses'}]}
`;

export class World {
  async start(...flags) {
    this.dir = mkdtempSync(join(tmpdir(), 'pharos-browser-'));
    this.targets = await startTargets();
    const port = await freePort(), target = `127.0.0.1:${this.targets.address().port}`;
    const labels = hostile.map((h, i) => `          evil${i}: ${yaml(h)}`).join('\n');
    mkdirSync(join(this.dir, 'rules'));
    writeFileSync(join(this.dir, 'prometheus.yml'), `
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
  external_labels: {site: here}
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["127.0.0.1:${port}"]}]
  - job_name: node
    metrics_path: /metrics/host
    static_configs: [{targets: ["127.0.0.1:${port}"]}]
  - job_name: steady
    static_configs: [{targets: ["${target}"]}]
  - job_name: hostile
    static_configs:
      - targets: ["${target}"]
        labels:
${labels}
  - job_name: refused
    static_configs: [{targets: ["127.0.0.1:1"]}]
  - job_name: garbage
    metrics_path: /garbage
    static_configs: [{targets: ["${target}"]}]
  - job_name: dropped
    static_configs: [{targets: ["127.0.0.1:2"]}]
    relabel_configs: [{action: drop, source_labels: [job], regex: dropped}]
`);
    writeFileSync(join(this.dir, 'rules', 'rules.yml'), `
groups:
  - name: pages
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - record: broken:rule
        expr: up * on () up
      - alert: TargetIsDown
        expr: up{job="refused"} == 0
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.job }} is down", runbook: "see https://example.test/runbook now"}
      - alert: WaitsALong
        expr: vector(1)
        for: 1h
      - alert: NeverFires
        expr: vector(0) > 1
  - name: ${yaml(hostile[0])}
    rules:
${hostile.map((h, i) => `      - alert: Hostile${i}\n        expr: ${yaml(`vector(${i}) == ${i} or (up{job=${yaml(h)}})`)}\n        labels: {evil: ${yaml(h)}}\n        annotations: {summary: ${yaml(h)}, ${i === 4 ? 'link' : 'more'}: ${yaml(h)}}`).join('\n')}
`);
    writeFileSync(join(this.dir, 'rules', 'notified.yml'), notified);
    writeFileSync(join(this.dir, 'alertmanager.yml'), routing(target));
    await this.run(['--config.file=prometheus.yml', '--alertmanager.config.file=alertmanager.yml', `--web.listen-address=127.0.0.1:${port}`, ...flags]);
    return this;
  }

  /** A server that knows nothing yet. */
  async startBare() {
    this.dir = mkdtempSync(join(tmpdir(), 'pharos-browser-'));
    await this.run(['--no-self-scrape', '--web.listen-address=127.0.0.1:0']);
    return this;
  }

  async run(flags) {
    const ready = join(this.dir, 'ready');
    this.process = spawn(process.env.PHAROS, [...flags, '--ui.listen-address=127.0.0.1:0', '--alertmanager.listen-address=127.0.0.1:0', `--storage.path=${join(this.dir, 'data')}`, `--ready-file=${ready}`],
      { cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, DISCORD_WEBHOOK_URL: '' } });
    this.log = '';
    for (const s of [this.process.stdout, this.process.stderr]) s.on('data', (d) => (this.log = (this.log + d).slice(-8000)));
    await until('pharos to be ready', () => {
      if (this.process.exitCode !== null) throw new Error(`pharos ended:\n${this.log}`);
      return existsSync(ready);
    });
    const addresses = Object.fromEntries(readFileSync(ready, 'utf8').trim().split('\n').map((l) => l.split(' ')));
    this.base = `http://${addresses.web}`;
    this.ui = `http://${addresses.ui}`;
  }

  async api(path, params = {}) {
    const r = await fetch(`${this.base}/api/v1/${path}?${new URLSearchParams(params)}`);
    const body = await r.json();
    if (body.status !== 'success') throw Object.assign(new Error(body.error), { body });
    return body.data;
  }

  /** Alertmanager's API. */
  async am(path, method = 'GET', body) {
    const r = await fetch(`${this.base}/api/v2/${path}`, { method, ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }) });
    const text = await r.text();
    if (!r.ok) throw new Error(`${r.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  async stop() {
    this.targets?.close();
    if (this.process && this.process.exitCode === null) {
      this.process.kill('SIGTERM');
      await Promise.race([new Promise((done) => this.process.on('exit', done)), sleep(10_000).then(() => this.process.kill('SIGKILL'))]);
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}
