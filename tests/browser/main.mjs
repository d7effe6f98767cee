// Runs the journeys of journeys/*.mjs against one server, each in a browser context of its own, and fails a journey that leaves a
// console error, a request to another host, or a violation of the content security policy behind.
import { mkdirSync, readdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { until, World } from './server.mjs';

const words = process.argv.slice(2), shots = process.env.SHOTS;
const journeys = [];
globalThis.journey = (name, run, options = {}) => journeys.push({ name, run, options });
for (const file of readdirSync(new URL('./journeys/', import.meta.url)).sort()) if (file !== 'lib.mjs') await import(new URL(`./journeys/${file}`, import.meta.url));
const chosen = journeys.filter((j) => !words.length || words.some((w) => j.name.includes(w)));

const world = new World();
let browser, passed = 0;
const failed = [];
async function end(code) {
  await browser?.close().catch(() => {});
  await world.stop();
  process.exit(code);
}
for (const s of ['SIGINT', 'SIGTERM']) process.on(s, () => end(1));

try {
  await world.start();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  // Enough of a past that every journey finds some, also when it runs alone.
  await until('data', async () => (await world.api('query', { query: 'count(rate(node_cpu_seconds_total[1m] offset 30s))' })).result.length && (await world.api('query', { query: 'ALERTS{alertstate="firing",alertname="TargetIsDown"}' })).result.length);
  if (shots) mkdirSync(shots, { recursive: true });
  for (const { name, run, options } of chosen) {
    const from = Date.now(), { allow, ...settings } = options;
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light', ...settings });
    const complaints = [];
    const watch = (page) => {
      page.setDefaultTimeout(30_000);
      page.on('console', (m) => m.type() === 'error' && !/ERR_|status of (4|5)\d\d/.test(m.text()) && !allow?.test(m.text()) && complaints.push(`console: ${m.text()}`));
      page.on('pageerror', (e) => complaints.push(`page error: ${e.message}${e.stack?.split('\n')[1] ?? ''}`));
      page.on('request', (r) => /^https?:/.test(r.url()) && !/^127\.0\.0\.1:\d+$/.test(new URL(r.url()).host) && complaints.push(`a request to ${r.url()}`));
    };
    context.on('page', watch);
    await context.addInitScript(() => {
      window.violations = [];
      document.addEventListener('securitypolicyviolation', (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
    });
    const page = await context.newPage();
    try {
      await run(page, world, { context, shots });
      const left = await page.evaluate(() => ({ violations: window.violations ?? [], pwned: window.pwned })).catch(() => ({ violations: [] }));
      complaints.push(...left.violations.map((v) => `content security policy: ${v}`));
      if (left.pwned !== undefined) complaints.push('a hostile text was executed');
      if (complaints.length) throw new Error(complaints.join('\n'));
      passed++;
      console.log(`ok     ${name} (${((Date.now() - from) / 1000).toFixed(1)} s)`);
    } catch (e) {
      failed.push(name);
      console.log(`FAILED ${name}\n${String(e.stack ?? e).split('\n').slice(0, 14).map((l) => `    ${l}`).join('\n')}${complaints.length ? `\n    ${complaints.join('\n    ')}` : ''}`);
      if (shots) await page.screenshot({ path: `${shots}/failed-${name.replace(/\W+/g, '-')}.png` }).catch(() => {});
    }
    await context.close();
  }
} catch (e) {
  console.log(`FAILED ${e.stack}\n${world.log ?? ''}`);
  failed.push('start');
}
console.log(`${passed} passed, ${failed.length} failed`);
await end(failed.length || !passed ? 1 : 0);
