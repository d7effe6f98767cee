import http from 'node:http';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until, World } from '../server.mjs';
import { assert, open } from './lib.mjs';

/** What exporters and clients of the built-in dashboards' services serve; counters grow with the clock. */
function exporters() {
  const n = Math.floor(Date.now() / 100);
  const rows = {
    redis: ['redis_up 1', 'redis_uptime_in_seconds 1000', 'redis_connected_clients 7', 'redis_blocked_clients 0', `redis_commands_processed_total ${n}`, `redis_keyspace_hits_total ${n * 9}`, `redis_keyspace_misses_total ${n}`, 'redis_memory_used_bytes 1048576', 'redis_memory_max_bytes 4194304', 'redis_memory_used_rss_bytes 2097152', `redis_commands_total{cmd="get"} ${n}`, `redis_commands_total{cmd="set"} ${n >> 1}`, `redis_commands_duration_seconds_total{cmd="get"} ${n / 1e4}`, `redis_commands_duration_seconds_total{cmd="set"} ${n / 1e4}`, 'redis_db_keys{db="db0"} 42', `redis_evicted_keys_total ${n >> 4}`, `redis_expired_keys_total ${n >> 3}`, `redis_net_input_bytes_total ${n * 50}`, `redis_net_output_bytes_total ${n * 70}`, 'redis_slowlog_length 3', 'redis_connected_slaves 1', `redis_rdb_last_save_timestamp_seconds ${n / 10 - 60}`],
    postgres: ['pg_up 1', 'pg_settings_max_connections 100', ...['app', 'jobs'].flatMap((d, k) => [`pg_stat_database_numbackends{datname="${d}"} ${k + 4}`, ...['xact_commit', 'xact_rollback', 'blks_hit', 'blks_read', 'tup_fetched', 'tup_returned', 'tup_inserted', 'tup_updated', 'tup_deleted', 'deadlocks', 'conflicts', 'temp_bytes'].map((m, i) => `pg_stat_database_${m}{datname="${d}"} ${n >> (i % 3)}`), `pg_database_size_bytes{datname="${d}"} ${(k + 1) * 1e7}`, `pg_stat_activity_count{datname="${d}",state="active"} ${k + 1}`, `pg_stat_activity_count{datname="${d}",state="idle"} 3`, `pg_stat_activity_max_tx_duration{datname="${d}",state="active"} 0.5`, `pg_locks_count{datname="${d}",mode="accesssharelock"} 2`]), 'pg_replication_lag_seconds 0', `pg_stat_bgwriter_checkpoints_timed_total ${n >> 6}`, `pg_stat_bgwriter_checkpoints_req_total ${n >> 8}`],
    nats: [...['connections 5', 'subscriptions 12', 'routes 0', 'slow_consumers 0', 'mem 9000000', 'cpu 3', `in_msgs ${n}`, `out_msgs ${n * 2}`, `in_bytes ${n * 100}`, `out_bytes ${n * 200}`].map((x) => `gnatsd_varz_${x.replace(' ', '{server_id="n1"} ')}`), 'gnatsd_connz_pending_bytes{server_id="n1",cid="3",name="worker"} 64', `jetstream_stream_total_messages{stream_name="jobs"} ${n % 1000}`, 'jetstream_stream_total_bytes{stream_name="jobs"} 10000', 'jetstream_consumer_num_pending{stream_name="jobs",consumer_name="w"} 5'],
    refinory: [`process_cpu_seconds_total ${n / 100}`, 'process_resident_memory_bytes 50000000', 'process_open_fds 12', `process_start_time_seconds ${n / 10 - 500}`, `refinory_architecture_requests_total ${n >> 3}`, `refinory_expert_invocations_total{expert="security"} ${n >> 2}`, 'nodejs_eventloop_lag_p99_seconds 0.01', 'nodejs_eventloop_lag_mean_seconds 0.002', 'nodejs_heap_size_used_bytes 20000000', 'nodejs_heap_size_total_bytes 30000000', `nodejs_gc_duration_seconds_sum{kind="minor"} ${n / 5000}`, `python_gc_collections_total{generation="0"} ${n >> 1}`],
  };
  return new Promise((done) => {
    const s = http.createServer((req, res) => { res.setHeader('Content-Type', 'text/plain'); const list = rows[req.url.slice(1)] ?? [], grown = (Date.now() / 100 - n) | 0; res.end(`${list.map((r) => r.replace(/(_total(\{[^}]*\})?|_(commit|rollback|hit|read|fetched|returned|inserted|updated|deleted|msgs|bytes)\{datname[^}]*\}|_(in|out)_(msgs|bytes)\{[^}]*\}) (\d+)$/, (all, name, _a, _b, _c, _d, v) => `${name} ${Number(v) + grown * 3}`)).join('\n')}\n`); });
    s.listen(0, '127.0.0.1', () => done(s));
  });
}

async function small(config) {
  const w = new World();
  w.dir = mkdtempSync(join(tmpdir(), 'pharos-browser-'));
  writeFileSync(join(w.dir, 'prometheus.yml'), config);
  await w.run(['--config.file=prometheus.yml', '--web.listen-address=127.0.0.1:0']);
  return w;
}

journey('first screen: a built-in dashboard appears when its metrics do, and every panel has data', async (page, world, { shots }) => {
  const server = await exporters(), at = `127.0.0.1:${server.address().port}`;
  const w = await small(`global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n${['redis', 'postgres', 'nats', 'refinory'].map((j) => `  - {job_name: ${j}, metrics_path: /${j}, static_configs: [{targets: ["${at}"]}]}`).join('\n')}\n`);
  try {
    await open(page, `${world.base}/dashboards`);
    const waiting = page.getByRole('region', { name: 'Built-in dashboards that wait for their metrics' });
    assert.match(await waiting.innerText(), /Redis/);
    assert.equal(await page.getByRole('link', { name: 'Redis', exact: true }).count(), 0);
    await until('rates', async () => (await w.api('query', { query: 'rate(redis_commands_processed_total[15s]) and on () rate(pg_stat_database_xact_commit[15s]) > 0' })).result.length);
    await open(page, `${w.base}/`);
    for (const name of ['Redis', 'PostgreSQL', 'NATS', 'Services']) await page.getByRole('navigation', { name: 'Dashboards' }).getByRole('link', { name, exact: true }).waitFor();
    await page.getByRole('button', { name: /^Scrape.*4 targets up/ }).waitFor();
    await page.setViewportSize({ width: 1400, height: 2400 });
    for (const uid of ['pharos-redis', 'pharos-postgres', 'pharos-nats', 'pharos-services']) {
      await page.goto(`${w.base}/d/${uid}?from=now-1m`);
      await page.locator('.dash-panel').first().waitFor();
      // Steps are as long as the usual scrape interval: the first points need their time.
      const without = () => page.locator('.dash-panel:has(.no-data)').evaluateAll((all) => all.map((e) => e.getAttribute('aria-label')));
      await until(`data in every panel of ${uid}`, async () => {
        await page.getByRole('button', { name: 'Refresh now' }).click();
        await page.waitForTimeout(1500);
        await page.waitForFunction(() => { const all = [...document.querySelectorAll('.dash-panel')]; return all.length > 5 && !document.querySelector('.dash-panel .waiting, .dash-panel .skeleton'); });
        const left = await without();
        if (left.length) throw new Error(`without data: ${left}`);
        return true;
      }, 90_000);
      if (shots) await page.screenshot({ path: `${shots}/board-${uid}.png`, fullPage: true });
      assert.equal(await page.locator('.dash-panel .problem').count(), 0, uid);
      assert.equal(await page.locator('[data-placeholder]').count(), 0, uid);
    }
    await page.goto(`${w.base}/d/pharos-redis?from=now-1m`);
    assert.equal(await page.locator('.dash-panel', { has: page.getByRole('heading', { name: 'Clients', exact: true }) }).first().locator('.stat-value').innerText(), '7');
  } finally {
    await w.stop();
    server.close();
  }
});

journey('first screen: a source has this host in its text, and its light turns on with the first data', async (page, world, { shots }) => {
  const receiver = await new World().startBare();
  let sender;
  try {
    await open(page, `${receiver.base}/`);
    const button = page.getByRole('button', { name: /^Prometheus remote_write/ });
    await button.click();
    const text = await page.getByRole('group', { name: 'prometheus.yml' }).innerText();
    assert.equal(text, `remote_write:\n  - url: ${receiver.base}/api/v1/write`);
    await page.getByRole('status').getByText('waiting for first data').waitFor();
    await page.getByRole('button', { name: /^OpenTelemetry\s*not yet/ }).waitFor();
    await page.getByRole('button', { name: /^Grafana Alloy/ }).click();
    assert((await page.getByRole('group', { name: 'config.alloy' }).innerText()).includes(`url = "${receiver.base}/api/v1/write"`));
    await button.click();
    if (shots) await page.screenshot({ path: `${shots}/first-connect.png`, fullPage: true });
    // Paste it as it is into another server.
    sender = await small(`global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs: [{job_name: host, metrics_path: /metrics/host, static_configs: [{targets: ["${new URL(world.base).host}"]}]}]\n${text}\n`);
    await page.getByRole('button', { name: /^Prometheus remote_write.*\d+ requests received/ }).waitFor({ timeout: 60_000 });
    await page.getByRole('status').getByText(/requests received/).waitFor();
    assert(Number((await receiver.api('query', { query: 'count(node_cpu_seconds_total)' })).result[0].value[1]) > 0);
  } finally {
    await sender?.stop();
    await receiver.stop();
  }
});

journey('first screen: live rates come from the server\'s own counters', async (page, world) => {
  await open(page, `${world.base}/`);
  for (const name of ['samples per second', 'rule evaluations per second', 'active series']) await page.getByRole('link', { name: new RegExp(`^[\\d.,]+( k)?\\s*${name}`) }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.tile-spark').length === 3, undefined, { timeout: 60_000 });
});

journey('commands: pages, dashboards, metrics and actions by a few letters, keys only', async (page, world) => {
  await open(page, `${world.base}/`);
  const box = page.getByRole('combobox', { name: 'Search pages, dashboards, metrics and actions' });
  const command = async (text, option) => { await page.keyboard.press('Control+K'); await box.waitFor(); await page.keyboard.type(text); await page.getByRole('option', { name: option, selected: true }).waitFor(); await page.keyboard.press('Enter'); };
  await command('targ', /^Targets/);
  await page.getByRole('heading', { name: 'Targets', level: 1 }).waitFor();
  await command('pharos', /^Pharos/);
  await page.waitForURL(/\/d\/pharos-self/);
  await command('node_load15', /^node_load15/);
  await page.waitForURL(/\/explore/);
  await page.getByRole('group', { name: 'The expression' }).getByText('node_load15').waitFor();
  await command('theme dark', /^Theme: dark/);
  await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
  await command('high contrast', /^Theme: high contrast/);
  await page.waitForFunction(() => document.documentElement.dataset.contrast === 'more');
  await page.keyboard.press('Control+K');
  await page.getByRole('option', { name: /^Explore/ }).first().waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.getByRole('option', { name: /^Explore/, selected: true }).first().waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await page.getByRole('dialog').count(), 0);
  for (const [keys, heading] of [['g d', 'Dashboards'], ['g e', 'Explore'], ['g h', 'Overview']]) {
    for (const k of keys.split(' ')) await page.keyboard.press(k);
    await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
  }
  await page.keyboard.press('t');
  await page.keyboard.press('z');
  await page.waitForFunction(() => new URL(location.href).searchParams.get('range_input') === '1h');
  await page.keyboard.press('c');
  await page.keyboard.press('t');
  await page.waitForFunction(() => document.documentElement.dataset.theme === 'light');
});

journey('requests: the same question at one time is asked once, and nobody\'s is taken back', async (page, world) => {
  const asked = [];
  let aborted = 0;
  page.on('request', (r) => r.url().includes('/api/v1/query_range') && asked.push(r.url()));
  page.on('requestfailed', (r) => r.url().includes('/api/v1/query_range') && aborted++);
  await page.route('**/api/v1/query_range**', async (r) => { await new Promise((done) => setTimeout(done, 400)); await r.continue().catch(() => {}); });
  const q = { refId: 'A', expr: 'up', editorMode: 'builder' }, range = { from: String(Date.now() - 600_000), to: String(Date.now() - 1000) };
  await page.goto(`${world.base}/explore?panes=${encodeURIComponent(JSON.stringify({ a: { queries: [q], range }, b: { queries: [q], range } }))}`);
  await page.getByRole('figure').nth(1).waitFor();
  assert.equal(new Set(asked).size, asked.length, `asked twice: ${asked}`);
  await page.goto(`${world.base}/explore?view=metrics&prefix=node`);
  await page.waitForFunction(() => document.querySelectorAll('.small-chart .waiting').length > 2);
  await page.keyboard.press('g');
  await page.keyboard.press('t');
  await page.getByRole('heading', { name: 'Targets', level: 1 }).waitFor();
  await until('requests to be taken back', () => aborted > 0);
});

journey('strings: in the pseudo-locale every sentence went through t()', async (page, world) => {
  await page.addInitScript(() => localStorage.setItem('pharos.locale', 'pseudo'));
  // Words that came from the server are data; so are names and what is typed.
  const data = new Set();
  page.on('response', async (r) => { if (/\/api\//.test(r.url()) && !r.url().includes('/metadata')) for (const w of (await r.text().catch(() => '')).match(/[A-Za-z]{4,}/g) ?? []) data.add(w.toLowerCase()); });
  const names = new Set(['pharos', 'prometheus', 'grafana', 'alloy', 'json', 'bool', 'promql', 'curl', 'step', 'uevil', 'counter', 'gauge', 'histogram', 'summary', 'untyped', 'query', 'time', 'start']);
  const found = new Set();
  const look = async (where) => {
    await page.waitForTimeout(300);
    const texts = await page.evaluate(() => {
      const out = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      for (let n = walk.nextNode(); n; n = walk.nextNode()) if (n.parentElement?.closest('noscript, script, style, .code, .mono, option, .u-wrap, kbd, .about-metric, .about, .metric-help, .val') === null) out.push(n.textContent);
      for (const e of document.querySelectorAll('[aria-label], [title], [placeholder]')) for (const a of ['aria-label', 'title', 'placeholder']) if (e.hasAttribute(a) && !e.closest('.cm-editor')) out.push(e.getAttribute(a));
      return out;
    });
    for (const text of texts) {
      let rest = text;
      for (let was = ''; was !== rest;) { was = rest; rest = rest.replace(/⟦[^⟦⟧]*⟧/g, ''); }
      const words = (rest.match(/[A-Za-z]{4,}/g) ?? []).filter((w) => !names.has(w.toLowerCase()) && !data.has(w.toLowerCase()));
      // A text that is one whole element of several: brackets open in one node and close in another.
      if (words.length && !/[⟦⟧]/.test(rest)) found.add(`${where}: ${text.slice(0, 100)}`);
    }
  };
  for (const path of ['/', '/explore', '/explore?view=metrics&prefix=process', '/explore?view=metrics&metric=prometheus_http_requests_total', '/query', '/query?g0.expr=up&g0.tab=1', '/dashboards', '/d/pharos-self', '/targets', '/alerts', '/rules', '/status', '/status?tab=storage', '/silences', '/deliveries', '/routing', '/nosuchpage']) {
    await page.goto(world.base + path);
    await page.locator('main .page').waitFor();
    await page.waitForTimeout(500);
    await look(path);
  }
  await page.goto(`${world.base}/explore?expr=up`);
  await page.locator('figure').first().waitFor();
  for (const name of ['History', 'Inspect', 'Add to dashboard', '+ ⟦Operation']) {
    await page.getByRole('button', { name }).first().click();
    await look(name);
    await page.keyboard.press('Escape');
  }
  await page.keyboard.press('Control+K');
  await page.locator('#commands [role="option"]').nth(3).waitFor();
  await look('commands');
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await look('keys');
  assert.deepEqual([...found], [], 'texts that did not go through t()');
});
