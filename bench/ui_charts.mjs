// What the web page costs the browser's main thread, beside a page that has uPlot and nothing else:
//
//     node bench/ui_charts.mjs [--runs N] [--record]       needs chromium, tests/browser's packages and build/pharos
//
// 24 charts x 20 series x 720 points. Both pages fetch the same 24 answers of the query API, made up here, and draw them in charts of the same
// size. The bare page is uPlot with its defaults: it reads the JSON into columns and makes one chart of each. Ours is the dashboard with
// everything it has: the application's start, legends, axes with units, the tables for screen readers. The main thread's time is Chromium's
// own TaskDuration (CDP Performance.getMetrics, in ticks of the thread, so that other programs do not count), from the address to the last chart at
// rest. Runs alternate; the figure is the ratio of the medians.
//
// 369 panels: kinds as public dashboards have them, 10 series x 360 points each. "Open" is from the address until every panel in sight has its answer
// drawn; then the page is scrolled to its end by the wheel, and the longest task that the browser reports meanwhile is the figure.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
process.env.PHAROS ??= at('build/pharos');
const { chromium } = createRequire(at('tests/browser/main.mjs'))('playwright-core');
const { World } = await import(at('tests/browser/server.mjs'));
const args = process.argv.slice(2), runs = Number(args[args.indexOf('--runs') + 1]) || 7, record = args.includes('--record');
const uplot = ['uPlot.iife.min.js', 'uPlot.min.css'].map((f) => readFileSync(at(`ui/node_modules/uplot/dist/${f}`), 'utf8'));

const sleep = (ms) => new Promise((done) => setTimeout(done, ms)), median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** A matrix of n series over m points, the same for the same question. */
const answers = new Map();
function answer(query, n, m, start, step) {
  const key = `${query}/${n}/${m}/${start}/${step}`;
  if (!answers.has(key)) {
    let seed = 1 + query.length * 7919;
    const next = () => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff);
    answers.set(key, JSON.stringify({ status: 'success', data: { resultType: 'matrix', result: Array.from({ length: n }, (_, s) => { let v = 50 + s * 10; return { metric: { job: 'api', instance: `host-${s}:9100` }, values: Array.from({ length: m }, (_, i) => [start + i * step, String((v += next() - 0.5).toFixed(4))]) }; }) } }));
  }
  return answers.get(key);
}
const form = (request) => { const p = new URLSearchParams(request.postData() ?? ''); for (const [k, v] of new URL(request.url()).searchParams) p.set(k, v); return p; };

/** Answers the query API with n series; ranges have as many points as they ask for, or `points`. */
async function pretend(page, n, points) {
  await page.route(/\/api\/v1\//, (route) => {
    const p = form(route.request()), path = new URL(route.request().url()).pathname, query = p.get('query') ?? '';
    if (path.endsWith('/query_range')) return route.fulfill({ contentType: 'application/json', body: answer(query, n, points ?? Math.floor((Number(p.get('end')) - Number(p.get('start'))) / Number(p.get('step'))) + 1, Number(p.get('start')), Number(p.get('step'))) });
    if (path.endsWith('/query')) return route.fulfill({ contentType: 'application/json', body: JSON.stringify({ status: 'success', data: { resultType: 'vector', result: Array.from({ length: n }, (_, s) => ({ metric: { job: 'api', instance: `host-${s}:9100` }, value: [Number(p.get('time')), String(s + 1)] })) } }) });
    return route.fulfill({ contentType: 'application/json', body: JSON.stringify({ status: 'success', data: [] }) });
  });
}

const span = { from: 1_700_000_000_000, to: 1_700_000_000_000 + 719 * 15_000 }, columns = 4, size = { w: 6, h: 5 };
const charts = {
  uid: 'bench-charts', title: 'Charts', schemaVersion: 39, time: { from: String(span.from), to: String(span.to) }, refresh: '', graphTooltip: 1,
  panels: Array.from({ length: 24 }, (_, i) => ({ id: i + 1, type: 'timeseries', title: `Chart ${i + 1}`, gridPos: { x: (i % columns) * size.w, y: Math.floor(i / columns) * size.h, ...size }, maxDataPoints: 720, interval: '15s', targets: [{ refId: 'A', expr: `chart_${i}`, legendFormat: '{{instance}}' }], fieldConfig: { defaults: { unit: 'short', custom: { lineWidth: 1, fillOpacity: 0 } }, overrides: [] }, options: { legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] } } })),
};
const kinds = [...Array(71).fill('timeseries'), ...Array(15).fill('stat'), ...Array(4).fill('table'), ...Array(3).fill('text'), ...Array(2).fill('gauge'), ...Array(2).fill('bargauge'), 'piechart', 'heatmap', 'barchart'];
const many = {
  uid: 'bench-many', title: 'Many panels', schemaVersion: 39, time: { from: String(span.from), to: String(span.to) }, refresh: '', graphTooltip: 1,
  panels: Array.from({ length: 369 }, (_, i) => { const type = kinds[(i * 37) % kinds.length]; return { id: i + 1, type, title: `${type} ${i + 1}`, gridPos: { x: (i % 3) * 8, y: Math.floor(i / 3) * 8, w: 8, h: 8 }, targets: type === 'text' ? [] : [{ refId: 'A', expr: `panel_${i}`, legendFormat: '{{instance}}', ...(type === 'table' ? { format: 'table', instant: true } : {}) }], options: type === 'text' ? { mode: 'markdown', content: '# Title\n\nSome **words**, a [link](https://example.test).\n\n- one\n- two' } : { legend: { displayMode: i % 2 ? 'table' : 'list', placement: 'bottom', calcs: ['lastNotNull', 'max', 'mean'] } }, fieldConfig: { defaults: { unit: ['short', 'bytes', 's', 'percent'][i % 4], custom: { fillOpacity: 10 } }, overrides: [] } }; }),
};

const bare = (w, h) => `<!doctype html><link rel="stylesheet" href="/bare.css"><body><script src="/uplot.js"></script><script src="/bare.js"></script>`.replace('<body>', `<body data-w="${w}" data-h="${h}">`);
const bareScript = `
const w = Number(document.body.dataset.w), h = Number(document.body.dataset.h), colors = ['#56A64B', '#F2CC0C', '#3274D9', '#FF780A', '#E02F44', '#A352CC'];
let left = 24;
for (let n = 0; n < 24; n++) fetch('/api/v1/query_range?query=chart_' + n + '&start=${span.from / 1000}&end=${span.to / 1000}&step=15').then((r) => r.json()).then(({ data }) => {
  const x = data.result[0].values.map((v) => v[0]), ys = data.result.map((s) => s.values.map((v) => Number(v[1]))), box = document.createElement('div');
  document.body.append(box);
  new uPlot({ width: w, height: h, series: [{}, ...data.result.map((s, i) => ({ label: s.metric.instance, stroke: colors[i % 6], width: 1 }))] }, [x, ...ys], box);
  if (!--left) document.title = 'drawn';
});`;

const world = await new World().startBare();
for (const d of [charts, many]) await fetch(`${world.base}/api/dashboards/import?overwrite=true`, { method: 'POST', body: JSON.stringify(d), headers: { 'Content-Type': 'application/json' } });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });

async function measured(run, viewport = { width: 1920, height: 1400 }) {
  const context = await browser.newContext({ viewport, colorScheme: 'light' }), page = await context.newPage(), cdp = await context.newCDPSession(page);
  page.on('pageerror', (e) => { throw e; });
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const out = await run(page, async () => Object.fromEntries((await cdp.send('Performance.getMetrics')).metrics.map((m) => [m.name, m.value])));
  await context.close();
  return out;
}
/** Until the page's main thread has rested for a while. */
async function rest(metrics) {
  for (let before = -1, quiet = 0; quiet < 4;) {
    await sleep(100);
    const now = (await metrics()).TaskDuration;
    quiet = now - before < 0.004 ? quiet + 1 : 0;
    before = now;
  }
}

let plot = { w: 440, h: 120 };
const ours = () => measured(async (page, metrics) => {
  await pretend(page, 20, 720);
  await page.goto(`${world.base}/d/bench-charts`);
  await page.waitForFunction(() => document.querySelectorAll('.dash-panel canvas').length === 24 && !document.querySelector('.waiting'));
  await rest(metrics);
  plot = await page.evaluate(() => { const e = document.querySelector('.dash-panel .uplot canvas'); return { w: e.clientWidth, h: e.clientHeight }; });
  return metrics();
});
const theirs = () => measured(async (page, metrics) => {
  await pretend(page, 20, 720);
  await page.route(`${world.base}/bare*`, (r) => r.fulfill(r.request().url().endsWith('.js') ? { contentType: 'text/javascript', body: bareScript } : r.request().url().endsWith('.css') ? { contentType: 'text/css', body: uplot[1] } : { contentType: 'text/html', body: bare(plot.w, plot.h) }));
  await page.route(`${world.base}/uplot.js`, (r) => r.fulfill({ contentType: 'text/javascript', body: uplot[0] }));
  await page.goto(`${world.base}/bare`);
  await page.waitForFunction(() => document.title === 'drawn');
  await rest(metrics);
  return metrics();
});

const a = [], b = [];
await ours(); // the first of each warms the server, the browser's caches and this program
await theirs();
for (let i = 0; i < runs; i++) {
  a.push(await ours());
  b.push(await theirs());
}
const of = (list, name) => median(list.map((m) => m[name])) * 1000, ratio = of(a, 'TaskDuration') / of(b, 'TaskDuration');
console.log(`24 charts x 20 series x 720 points, ${runs} runs, charts of ${plot.w} x ${plot.h}`);
for (const name of ['TaskDuration', 'ScriptDuration', 'LayoutDuration', 'RecalcStyleDuration']) console.log(`  ${name.padEnd(20)} ours ${of(a, name).toFixed(0).padStart(5)} ms   bare uPlot ${of(b, name).toFixed(0).padStart(5)} ms   ${(of(a, name) / of(b, name)).toFixed(2)} x`);
console.log(`  JSHeapUsedSize       ours ${(median(a.map((m) => m.JSHeapUsedSize)) / 1e6).toFixed(1)} MB  bare uPlot ${(median(b.map((m) => m.JSHeapUsedSize)) / 1e6).toFixed(1)} MB`);

const big = () => measured(async (page) => {
  await pretend(page, 10);
  await page.addInitScript(() => { window.longest = []; new PerformanceObserver((l) => l.getEntries().forEach((e) => window.longest.push(Math.round(e.duration)))).observe({ type: 'longtask', buffered: true }); });
  const from = Date.now();
  await page.goto(`${world.base}/d/bench-many`);
  await page.waitForFunction(() => { const all = [...document.querySelectorAll('.dash-panel')].filter((e) => { const r = e.getBoundingClientRect(); return r.top < innerHeight && r.bottom > 0; }); return all.length > 5 && all.every((e) => e.querySelector('.panel-body')?.children.length && !e.querySelector('.waiting')); }, null, { polling: 'raf' });
  const open = Date.now() - from, atOpen = await page.evaluate(() => window.longest.splice(0));
  await sleep(500);
  await page.evaluate(() => window.longest.splice(0));
  await page.mouse.move(600, 500);
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  for (let y = 0; y < height; y += 240) {
    await page.mouse.wheel(0, 240);
    await sleep(40);
  }
  await sleep(600);
  const drawn = await page.evaluate(() => document.querySelectorAll('.dash-panel .panel-body > *').length);
  return { open, atOpen: Math.max(0, ...atOpen), tasks: await page.evaluate(() => window.longest), drawn };
}, { width: 1400, height: 900 });
const opened = [];
for (let i = 0; i < 3; i++) opened.push(await big());
const open = median(opened.map((o) => o.open)), longest = median(opened.map((o) => Math.max(0, ...o.tasks)));
console.log(`369 panels, 3 runs: open ${opened.map((o) => o.open).join(', ')} ms (longest task ${opened.map((o) => o.atOpen).join(', ')} ms); longest task while scrolling ${opened.map((o) => Math.max(0, ...o.tasks)).join(', ')} ms, over 50 ms: ${opened.map((o) => o.tasks.length).join(', ')}`);
await browser.close();
await world.stop();

if (record) {
  const add = (row, figure, met) => execFileSync('python3', [at('scripts/reach.py'), 'add', '--row', row, '--figure', figure, '--met', met ? 'yes' : 'no', '--command', `node bench/ui_charts.mjs --runs ${runs}`], { stdio: 'inherit' });
  add('24 charts x 20 series x 720 points', `${ratio.toFixed(2)} x (${of(a, 'TaskDuration').toFixed(0)} ms, bare uPlot ${of(b, 'TaskDuration').toFixed(0)} ms)`, ratio <= 1.3);
  add('a 369-panel dashboard', `opens in ${open} ms, longest task while scrolling ${longest} ms`, open <= 1500 && longest <= 100);
}
process.exit(0);
