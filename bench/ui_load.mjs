// How long a person waits for the web pages, in Debian's Chromium against a built pharos (the rows of docs/goals.tsv in quotes):
//   node bench/ui_load.mjs load        "slow-4G cold load": first page and a dashboard, cold cache, 1.6 Mbit/s down and 150 ms (Lighthouse's slow 4G)
//   node bench/ui_load.mjs populated   "built binary -> first populated dashboard, network blocked": a namespace with nothing but a loopback
//   node bench/ui_load.mjs axe         "axe, every page, both themes": the journeys that run axe, and those by keys alone
//   node bench/ui_load.mjs sizes       "initial load": what each page begins with, as the build counts it
// With --record the figure is appended to docs/reach.jsonl (scripts/reach.py). RUNS=n loads of each page (5).
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url)), words = process.argv.slice(2), [what] = words, isRecording = words.includes('--record');
const pharos = process.env.PHAROS ?? join(root, 'build/pharos'), chromiumPath = process.env.CHROMIUM ?? '/usr/bin/chromium', runs = Number(process.env.RUNS ?? 5);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function record(row, figure, met, command) {
  console.log(`${row}: ${figure} (${met ? 'met' : 'NOT met'})`);
  if (isRecording) spawnSync('python3', [join(root, 'scripts/reach.py'), 'add', '--row', row, '--figure', figure, '--met', met ? 'yes' : 'no', '--command', command], { stdio: 'inherit' });
}

/** A pharos with no configuration and an empty folder. */
async function start(dir) {
  const ready = join(dir, 'ready');
  const child = spawn(pharos, ['--web.listen-address=127.0.0.1:0', '--ui.listen-address=127.0.0.1:0', '--alertmanager.listen-address=127.0.0.1:0', `--storage.path=${join(dir, 'data')}`, `--ready-file=${ready}`], { cwd: dir, stdio: 'ignore', env: { ...process.env, DISCORD_WEBHOOK_URL: '' } });
  while (!existsSync(ready)) {
    if (child.exitCode !== null) throw new Error(`pharos ended with ${child.exitCode}`);
    await sleep(5);
  }
  return { child, base: `http://${Object.fromEntries(readFileSync(ready, 'utf8').trim().split('\n').map((l) => l.split(' '))).ui}` };
}

async function browser() {
  const { chromium } = await import(new URL('../tests/browser/node_modules/playwright-core/index.mjs', import.meta.url));
  return chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox', '--headless', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
}

/** Runs in the page: notes the moment at which everything in sight has its content, and no part of it waits. */
function watch() {
  const inSight = (e) => { const r = e.getBoundingClientRect(); return r.bottom > 0 && r.top < innerHeight && r.width > 0; };
  const filled = () => {
    const main = document.querySelector('main .page');
    if (!main || [...main.querySelectorAll('.waiting, .skeleton')].some(inSight)) return false;
    if (location.pathname.includes('/d/')) {
      const panels = [...main.querySelectorAll('.dash-panel')].filter(inSight);
      return panels.length > 0 && panels.every((p) => p.querySelector('canvas, .stat-value, table, .text-panel, .gauge-cell, .bar-track, .no-data'));
    }
    return [...main.querySelectorAll('.tile .big')].filter((e) => e.textContent.trim()).length >= 4 && [...main.querySelectorAll('.grid > .panel')].filter(inSight).every((p) => p.querySelector('canvas, .empty'));
  };
  const tick = () => (filled() ? requestAnimationFrame(() => (window.shownAt = performance.now())) : requestAnimationFrame(tick));
  requestAnimationFrame(tick);
}

async function cold(chrome, url, slow) {
  const context = await chrome.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }), page = await context.newPage();
  let bytes = 0, requests = 0;
  if (slow) {
    const cdp = await context.newCDPSession(page);
    await cdp.send('Network.enable');
    await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 150, downloadThroughput: 1.6e6 / 8, uploadThroughput: 750e3 / 8 });
    cdp.on('Network.loadingFinished', (e) => { bytes += e.encodedDataLength; requests++; });
  }
  await page.addInitScript(watch);
  await page.goto(url, { waitUntil: 'commit' });
  await page.waitForFunction(() => window.shownAt, undefined, { timeout: 60_000, polling: 50 });
  const ms = await page.evaluate(() => window.shownAt);
  await context.close();
  return { ms, bytes, requests };
}

const middle = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;

async function load() {
  const dir = mkdtempSync(join(tmpdir(), 'pharos-load-')), { child, base } = await start(dir), chrome = await browser();
  try {
    for (const end = Date.now() + 120_000; ; await sleep(500)) {
      const got = await (await fetch(`${base}/api/v1/query?${new URLSearchParams({ query: 'count(rate(node_cpu_seconds_total[1m]))' })}`)).json();
      if (got.data.result.length) break;
      if (Date.now() > end) throw new Error('no data after two minutes');
    }
    const parts = [];
    let worst = 0;
    for (const [name, path] of [['first page', '/'], ['a dashboard', '/d/pharos-self'], ['the host dashboard', '/d/pharos-host']]) {
      const slow = [], fast = [];
      for (let i = 0; i < runs; i++) {
        slow.push(await cold(chrome, base + path, true));
        fast.push(await cold(chrome, base + path, false));
      }
      const ms = middle(slow.map((x) => x.ms));
      worst = Math.max(worst, ms);
      parts.push(`${name} ${seconds(ms)} (${seconds(Math.min(...slow.map((x) => x.ms)))}–${seconds(Math.max(...slow.map((x) => x.ms)))}; ${(slow[0].bytes / 1024).toFixed(0)} KB in ${slow[0].requests} requests; without a limit ${seconds(middle(fast.map((x) => x.ms)))})`);
    }
    record('slow-4G cold load', `${parts.join(', ')}; median of ${runs}, cold cache, everything in sight drawn`, worst <= 1500, 'node bench/ui_load.mjs load');
  } finally {
    await chrome.close();
    child.kill('SIGTERM');
    await Promise.race([new Promise((done) => child.on('exit', done)), sleep(5000)]);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** From the start of the binary in an empty folder until a person who opens the page and follows the link sees a dashboard full of data. */
async function populatedInside() {
  const dir = mkdtempSync(join(tmpdir(), 'pharos-first-')), chrome = await browser(), begun = performance.now(), { child, base } = await start(dir);
  try {
    const ready = performance.now() - begun, page = await (await chrome.newContext({ viewport: { width: 1280, height: 1000 } })).newPage(), foreign = [];
    page.on('request', (r) => { if (!r.url().startsWith(base)) foreign.push(r.url()); });
    await page.goto(base);
    const link = page.getByRole('navigation', { name: 'Dashboards' }).getByRole('link', { name: 'Host', exact: true });
    for (const end = Date.now() + 120_000; !(await link.count()) && Date.now() < end; await page.getByRole('button', { name: 'Refresh now' }).click()) await sleep(1000);
    await link.click();
    for (;;) {
      await page.waitForFunction(() => document.querySelectorAll('.dash-panel').length > 4 && !document.querySelector('.dash-panel .waiting'));
      // A namespace with nothing but a loopback has no interface to show.
      const empty = (await page.locator('.dash-panel:has(.no-data), .dash-panel:has(.problem)').evaluateAll((all) => all.map((e) => e.getAttribute('aria-label')))).filter((name) => !/network/i.test(name));
      if (!empty.length) break;
      if (performance.now() - begun > 180_000) throw new Error(`without data: ${empty}`);
      await sleep(1000);
      await page.getByRole('button', { name: 'Refresh now' }).click();
    }
    const ms = performance.now() - begun, panels = await page.locator('.dash-panel').count();
    if (foreign.length) throw new Error(`asked elsewhere: ${foreign}`);
    console.log(JSON.stringify({ ms, ready, panels }));
  } finally {
    await chrome.close();
    child.kill('SIGTERM');
    await Promise.race([new Promise((done) => child.on('exit', done)), sleep(5000)]);
    rmSync(dir, { recursive: true, force: true });
  }
}

function populated() {
  const self = fileURLToPath(import.meta.url), r = spawnSync('unshare', ['-r', '-n', 'sh', '-c', 'ip link set lo up && ! ip route | grep -q . && exec "$@"', 'sh', process.execPath, self, 'populated-inside'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const line = r.stdout.trim().split('\n').at(-1);
  if (r.status !== 0 || !line.startsWith('{')) throw new Error(`the run in a namespace failed: ${r.status} ${r.stdout}`);
  const { ms, ready, panels } = JSON.parse(line);
  record('built binary -> first populated dashboard, network blocked', `${seconds(ms)}: ready after ${seconds(ready)}, then overview, link, the host dashboard with its ${panels} panels, those in sight of a 1000 px window filled (there is no interface for the one of the network); no configuration, only a loopback`, ms <= 60_000, 'node bench/ui_load.mjs populated');
}

function axe() {
  const r = spawnSync(join(root, 'tests/browser/run.sh'), ['axe', 'keys'], { encoding: 'utf8', maxBuffer: 64 << 20 });
  console.log(r.stdout);
  const lines = r.stdout.split('\n'), of = (re) => ({ ok: lines.filter((l) => l.startsWith('ok') && re.test(l)).length, bad: lines.filter((l) => l.startsWith('FAILED') && re.test(l)).length }), axes = of(/axe/), keys = of(/keys/);
  record('axe, every page, both themes', `${axes.bad ? `${axes.bad} journeys with violations` : '0 violations'} in ${axes.ok + axes.bad} journeys over every page (light, dark, high contrast of both); by keys alone: ${keys.ok} of ${keys.ok + keys.bad} journeys pass`, r.status === 0, 'node bench/ui_load.mjs axe');
}

function sizes() {
  const r = spawnSync(process.execPath, [join(root, 'scripts/embed_ui.mjs'), join(root, 'build/src/dash/ui_dist'), join(tmpdir(), `pharos-ui-${process.pid}.c`)], { encoding: 'utf8', env: { ...process.env, PHAROS_UI_SIZES: '1' } });
  rmSync(join(tmpdir(), `pharos-ui-${process.pid}.c`), { force: true });
  rmSync(join(tmpdir(), `pharos-ui-${process.pid}.c.d`), { recursive: true, force: true });
  console.log(r.stdout);
  const row = (name) => r.stdout.split('\n').find((l) => l.startsWith(`${name}  `))?.slice(28).trim().replace(/\s+/g, ' ');
  record('initial load', `first page ${row('home')}; a dashboard ${row('dashboard-1')} (with panels of every kind, of old plugins, transformations: ${row('dashboard-1, every kind')}); Explore ${row('explore')}; whole UI ${row('whole UI')}; the build fails past a budget`, r.status === 0, 'node bench/ui_load.mjs sizes');
}

const parts = { load, populated, 'populated-inside': populatedInside, axe, sizes };
if (!parts[what]) {
  console.error('usage: node bench/ui_load.mjs load|populated|axe|sizes [--record]');
  process.exit(2);
}
await parts[what]();
