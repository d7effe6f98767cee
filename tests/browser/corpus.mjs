// Runs a folder of dashboards (*.json) through import, export and the renderer, with made-up answers to every query:
//   PHAROS=build/pharos node tests/browser/corpus.mjs DIR [WORDS]
// Counts, per dashboard: does the text come back unchanged, which panels are placeholders, which errors the console has. Dashboards that
// ask a store we do not have (InfluxDB, Loki, …) are counted apart.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { World } from './server.mjs';

process.env.PHAROS ??= new URL('../../build/pharos', import.meta.url).pathname;
const [dir, ...words] = process.argv.slice(2), files = readdirSync(dir).filter((f) => f.endsWith('.json') && (!words.length || words.some((w) => f.includes(w)))).sort();
const world = await new World().startBare();

/** Labels a query groups by or selects. */
function labelsOf(expr) {
  const names = new Set([...expr.matchAll(/\bby\s*\(([^)]*)\)/g)].flatMap((m) => m[1].split(',').map((x) => x.trim())).filter((x) => /^\w+$/.test(x)));
  if (!names.size) for (const n of ['job', 'instance']) names.add(n);
  return [...names].slice(0, 6);
}
function series(expr) {
  const names = labelsOf(expr), buckets = /_bucket/.test(expr) && !/histogram_quantile/.test(expr) ? ['0.1', '0.5', '1', '5', '+Inf'] : null, n = buckets ? buckets.length : 3;
  return Array.from({ length: n }, (_, i) => ({ metric: Object.fromEntries([...names.map((l) => [l, l === 'le' && buckets ? buckets[i] : `${l}-${i}`]), ...(buckets ? [['le', buckets[i]]] : []), ...(/[({]/.test(expr.trim()[0] ?? '(') || /\(/.test(expr) ? [] : [['__name__', expr.match(/^\w+/)?.[0] ?? 'm']])]), base: (i + 1) * 10 ** (1 + (expr.length % 6)) }));
}
function answer(url, body) {
  const p = new URLSearchParams(body ?? ''), u = new URL(url), get = (k) => p.get(k) ?? u.searchParams.get(k) ?? '', path = u.pathname.replace(/^.*\/api\/v1\//, '');
  const ok = (data) => JSON.stringify({ status: 'success', data });
  if (path === 'query_range') {
    const start = Number(get('start')), end = Number(get('end')), step = Number(get('step'));
    return ok({ resultType: 'matrix', result: series(get('query')).map((s) => ({ metric: s.metric, values: Array.from({ length: Math.min(2000, Math.floor((end - start) / step) + 1) }, (_, i) => [start + i * step, String(s.base * (1 + Math.sin(i / 9) / 3))]) })) });
  }
  if (path === 'query') return ok({ resultType: 'vector', result: series(get('query')).map((s) => ({ metric: s.metric, value: [Number(get('time')) || 1.7e9, String(s.base)] })) });
  if (path === 'labels') return ok(['__name__', 'job', 'instance', 'namespace']);
  if (path.startsWith('label/')) return ok(['one', 'two', 'three']);
  if (path === 'series') return ok([{ __name__: 'up', job: 'one', instance: 'a:1' }]);
  return ok([]);
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-dev-shm-usage'] });
// Files of one uid take turns: each would replace the other.
const results = [], turns = new Map(), line = [...files];
async function one(file) {
  const text = readFileSync(join(dir, file), 'utf8'), r = { file, unchanged: false, placeholders: [], errors: [], panels: 0, foreign: false, problems: 0 };
  results.push(r);
  const sent = await fetch(`${world.ui}/api/dashboards/import?overwrite=true`, { method: 'POST', body: text, headers: { 'Content-Type': 'application/json' } }), got = await sent.json();
  if (!got.uid) { r.errors.push(`import: ${got.message}`); return; }
  r.unchanged = (await (await fetch(`${world.ui}/api/dashboards/uid/${got.uid}/json`)).text()) === text;
  const context = await browser.newContext({ viewport: { width: 1500, height: 1000 } }), page = await context.newPage();
  page.on('console', (m) => m.type() === 'error' && r.errors.push(m.text().slice(0, 200)));
  page.on('pageerror', (e) => r.errors.push(`${e.message} ${e.stack?.split('\n')[1] ?? ''}`.slice(0, 240)));
  await page.addInitScript(() => { // every panel is in sight
    window.IntersectionObserver = class { constructor(f) { this.f = f; } observe(e) { setTimeout(() => this.f([{ isIntersecting: true, target: e }])); } disconnect() {} unobserve() {} };
  });
  await page.route(/\/api\/v1\//, (route) => route.fulfill({ contentType: 'application/json', body: answer(route.request().url(), route.request().postData()) }));
  try {
    await page.goto(`${world.ui}/d/${got.uid}?refresh=off`);
    await page.waitForSelector('.dash-page, .problem', { timeout: 20000 });
    await page.locator('.dash-row button[aria-expanded="false"]').evaluateAll((all) => all.forEach((b) => b.click()));
    await page.waitForFunction(() => !document.querySelector('.waiting') && (document.querySelector('.dash-panel') || document.querySelector('.empty') || document.querySelector('.dash-row')), null, { timeout: 40000 });
    await page.waitForTimeout(150);
    await page.waitForFunction(() => !document.querySelector('.waiting'), null, { timeout: 40000 });
    const seen = await page.evaluate(() => ({ panels: document.querySelectorAll('.dash-panel').length, placeholders: [...document.querySelectorAll('[data-placeholder]')].map((e) => e.dataset.placeholder), foreign: !!document.querySelector('[data-missing]'), problems: [...document.querySelectorAll('.dash-panel .problem')].map((e) => e.textContent) }));
    r.panels = seen.panels;
    r.placeholders = seen.placeholders;
    r.problems = seen.problems.length;
    r.errors.push(...seen.problems.slice(0, 3).map((p) => `panel: ${p.slice(0, 160)}`));
    r.foreign = seen.foreign;
  } catch (e) {
    r.errors.push(`open: ${e.message.split('\n')[0]}`);
  }
  await context.close();
  await fetch(`${world.ui}/api/dashboards/uid/${got.uid}`, { method: 'DELETE' });
}
function next(file) {
  let uid = file;
  try { const d = JSON.parse(readFileSync(join(dir, file), 'utf8')); uid = d.uid ?? d.dashboard?.uid ?? d.metadata?.name ?? file; } catch { /* counted below */ }
  const mine = (turns.get(uid) ?? Promise.resolve()).catch(() => {}).then(() => one(file));
  turns.set(uid, mine);
  return mine;
}
await Promise.all(Array.from({ length: Number(process.env.JOBS ?? 2) }, async () => { while (line.length) await next(line.shift()).catch((e) => results.at(-1).errors.push(`server: ${e.message} ${world.process.exitCode ?? world.process.signalCode ?? ''} ${(world.log ?? '').slice(-600)}`)); }));
await browser.close();
await world.stop();
const own = results.filter((r) => !r.foreign), clean = own.filter((r) => !r.placeholders.length && !r.errors.length);
for (const r of results) if (!r.unchanged || r.errors.length || (r.placeholders.length && !r.foreign)) console.log(`${r.file}: ${[...(r.unchanged ? [] : ['changed']), ...new Set(r.placeholders), ...new Set(r.errors)].join('; ').slice(0, 400)}`);
console.log(`${results.length} dashboards, ${results.reduce((s, r) => s + r.panels, 0)} panels; ${results.filter((r) => r.unchanged).length} unchanged; ${own.length} ask only stores we have, of them ${clean.length} clean (${((clean.length / Math.max(own.length, 1)) * 100).toFixed(1)} %)`);
if (process.env.OUT) writeFileSync(process.env.OUT, JSON.stringify(results, null, 1));
