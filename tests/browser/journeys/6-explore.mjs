import { assert, box, open, param, seriesNames } from './lib.mjs';

const panes = (page) => JSON.parse(param(page, 'panes') ?? '{}');
const exprOf = (page, pane = 'left', n = 0) => panes(page)[pane]?.queries[n]?.expr;
const waitExpr = (page, expr, pane = 'left') => page.waitForFunction(([p, e]) => JSON.parse(new URL(location.href).searchParams.get('panes') ?? '{}')[p]?.queries[0]?.expr === e, [pane, expr]);
const link = (base, expr, mode = 'builder', from = 'now-5m') => `${base}/explore?${new URLSearchParams({ panes: JSON.stringify({ a: { datasource: 'prometheus', queries: [{ refId: 'A', expr, editorMode: mode }], range: { from, to: 'now' } } }) })}`;
const pick = async (page, label, text) => {
  await page.getByRole('combobox', { name: label, exact: true }).click();
  await page.keyboard.type(text);
  await page.getByRole('option').filter({ hasText: new RegExp(`^${text.replace(/\W/g, '\\$&')}`) }).first().click();
};

journey('explore: the builder writes an expression step by step, and its numbers are the API\'s', async (page, world, { shots }) => {
  await open(page, `${world.base}/explore`);
  await page.getByText('Choose a metric above').waitFor();
  await pick(page, 'Metric', 'prometheus_http_requests_total');
  await waitExpr(page, 'prometheus_http_requests_total');
  await page.getByRole('figure').waitFor();
  // A counter is offered its rate.
  await page.getByRole('button', { name: 'counter: rate per second' }).click();
  await waitExpr(page, 'rate(prometheus_http_requests_total[$__rate_interval])');
  await page.getByRole('button', { name: '+ Operation' }).click();
  await page.getByRole('searchbox', { name: 'Filter operations' }).fill('sum of the series');
  await page.getByRole('button', { name: 'sum Sum of the series' }).click();
  await waitExpr(page, 'sum(rate(prometheus_http_requests_total[$__rate_interval]))');
  await pick(page, 'Add a label to sum', 'code');
  await waitExpr(page, 'sum by (code) (rate(prometheus_http_requests_total[$__rate_interval]))');
  await page.getByRole('button', { name: 'Add a filter' }).click();
  await pick(page, 'Label of filter 1', 'handler');
  await pick(page, 'Value of filter 1', '/metrics');
  const expr = 'sum by (code) (rate(prometheus_http_requests_total{handler="/metrics"}[$__rate_interval]))';
  await waitExpr(page, expr);
  assert.equal(await page.getByRole('group', { name: 'The expression' }).innerText(), expr);
  await page.waitForFunction(() => document.querySelectorAll('.legend-table tbody tr').length > 0 && !document.querySelector('.stale'));
  const codes = (await world.api('query', { query: 'sum by (code) (rate(prometheus_http_requests_total{handler="/metrics"}[1m]))' })).result.map((s) => s.metric.code);
  assert.deepEqual(await seriesNames(page), codes.map((c) => `{code="${c}"}`));
  assert.equal(await page.getByRole('group', { name: 'Values', exact: true }).locator('tbody tr').count(), codes.length);
  await page.getByRole('tab', { name: 'Raw' }).click();
  assert.match(await page.getByRole('group', { name: 'Raw result' }).innerText(), new RegExp(`\\{code="${codes[0]}"\\} [\\d.]+`));
  if (shots) await page.screenshot({ path: `${shots}/explore-builder.png`, fullPage: true });
  // Reload and back give the same page.
  await page.reload();
  await page.getByRole('listitem', { name: 'Step 2: sum' }).waitFor();
  assert.equal(exprOf(page), expr);
  await page.goBack();
  await waitExpr(page, 'sum by (code) (rate(prometheus_http_requests_total[$__rate_interval]))');
});

journey('explore: builder and code edit one expression; what the builder has no place for is said', async (page, world) => {
  await page.goto(link(world.base, 'topk(3, rate(steady_total{job="steady"}[1m])) > 0.5'));
  for (const step of ['Step 1: rate', 'Step 2: topk', 'Step 3: >']) await page.getByRole('listitem', { name: step }).waitFor();
  assert.equal(await page.getByRole('listitem', { name: 'Step 2: topk' }).getByRole('textbox').inputValue(), '3');
  await page.getByRole('button', { name: 'Code', exact: true }).click();
  await box(page).click();
  assert.equal(await box(page).innerText(), 'topk(3, rate(steady_total{job="steady"}[1m])) > 0.5');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('sum(up) / count(up)');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await waitExpr(page, 'sum(up) / count(up)');
  await page.getByRole('figure').waitFor();
  await page.getByRole('button', { name: 'Builder', exact: true }).click();
  await page.getByText('The builder has no place for / in this expression.').waitFor();
  assert.equal(await box(page).innerText(), 'sum(up) / count(up)', 'the text stays');
  await box(page).click();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('rate(up)');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText(/expected type range vector/).first().waitFor();
});

journey('explore: what the builder reads and writes again means the same', async (page, world) => {
  await open(page, `${world.base}/explore`);
  const tree = async (q) => JSON.stringify(await world.api('parse_query', { query: q.replaceAll('$__rate_interval', '299321ms') }), (k, v) => (k === 'matchers' ? [...v].sort((a, b) => a.name.localeCompare(b.name)) : v)).replace(/\{"expr":(\{[^{}]*\}),"type":"parenExpr"\}/g, '$1');
  for (const expr of ['up', 'up{job=~"a|b", instance!="x\\"y\\\\z"}', 'sum(up)', 'sum by (job, instance) (up)', 'avg without (instance) (rate(steady_total[5m]))', 'histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[$__rate_interval])))',
    'quantile_over_time(0.5, up[1h30m])', 'clamp(round(up, 5), -1, 2)', 'label_replace(up, "a", "$1", "job", "(.*)")', '(up + 1) * 2 ^ 3', 'up >= bool 1', 'count_values("v", up)', 'topk(2, sort_desc(up)) / 100', '{__name__=~"node_load.*"}', '{"with space"="1", "metric.name"}']) {
    await page.goto(link(world.base, expr));
    const shown = page.getByRole('group', { name: 'The expression' });
    const said = await Promise.race([shown.innerText(), page.locator('.why').innerText()]);
    if (/no place/.test(said)) {
      assert.match(said, / \* /, `${expr}: ${said}`); // a power binds tighter than the builder's order
      continue;
    }
    assert.equal(await tree(said), await tree(expr), `${expr} became ${said}`);
  }
});

journey('explore: several queries, split panes with one time, inspector, history', async (page, world, { shots, context }) => {
  await page.goto(link(world.base, 'up{job="steady"}'));
  await page.getByRole('figure').waitFor();
  await page.getByRole('button', { name: 'Add a query' }).click();
  const second = page.getByRole('group', { name: 'Query B', exact: true });
  await second.waitFor();
  await second.getByRole('combobox', { name: 'Metric' }).click();
  await page.keyboard.type('node_load5');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => [...document.querySelectorAll('.legend-table .name')].some((e) => e.textContent.startsWith('B node_load5')));
  assert((await seriesNames(page)).some((n) => n.startsWith('A up{')));
  await page.getByRole('button', { name: 'Split' }).click();
  const right = page.getByRole('region', { name: 'Right pane' }), left = page.getByRole('region', { name: 'Left pane' });
  await right.getByRole('figure').waitFor();
  if (shots) await page.screenshot({ path: `${shots}/explore-split.png`, fullPage: true });
  await left.getByRole('button', { name: /^Last 5m/ }).click();
  await page.getByRole('button', { name: 'Last 15m' }).click();
  await page.waitForFunction(() => Object.values(JSON.parse(new URL(location.href).searchParams.get('panes'))).every((p) => p.range.from === 'now-15m'));
  await right.getByRole('button', { name: 'Sync time' }).click();
  await right.getByRole('button', { name: /^Last 15m/ }).click();
  await page.getByRole('button', { name: 'Last 30m' }).click();
  await page.waitForFunction(() => JSON.parse(new URL(location.href).searchParams.get('panes')).right.range.from === 'now-30m');
  assert.equal(panes(page).left.range.from, 'now-15m');
  await right.getByRole('button', { name: 'Close pane' }).click();
  await right.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Inspect' }).click();
  const inspector = page.getByRole('dialog', { name: 'Inspector' });
  await inspector.getByText('Server in all').first().waitFor();
  assert.match(await inspector.getByRole('row', { name: /^step/ }).innerText(), /\d/);
  assert.match(await inspector.getByRole('row', { name: /^Samples read/ }).first().innerText(), /\d/);
  if (shots) await page.screenshot({ path: `${shots}/explore-inspector.png` });
  await inspector.getByRole('tab', { name: 'Response' }).click();
  await inspector.getByText('"resultType": "matrix"').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'History' }).click();
  const history = page.getByRole('dialog', { name: 'Query history' });
  await history.getByRole('button', { name: 'Star node_load5' }).click();
  await history.getByRole('checkbox', { name: 'Starred' }).check();
  assert.equal(await history.getByRole('listitem').count(), 1);
  if (shots) await page.screenshot({ path: `${shots}/explore-history.png` });
  const other = await context.newPage();
  await other.goto(`${world.base}/explore`);
  await other.getByRole('button', { name: 'History' }).click();
  await other.getByRole('button', { name: 'Star node_load5' }).and(other.locator('[aria-pressed="true"]')).waitFor();
  await other.getByRole('button', { name: 'node_load5', exact: true }).click();
  await waitExpr(other, 'node_load5');
  await other.close();
});

journey('explore: a query becomes a panel of a new dashboard, and of one that is there', async (page, world) => {
  await page.goto(link(world.base, 'sum by (job) (up)'));
  await page.getByRole('figure').waitFor();
  await page.getByRole('button', { name: 'Add to dashboard' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add to dashboard' });
  await dialog.getByRole('textbox', { name: 'Its title' }).fill('From Explore');
  await dialog.getByRole('textbox', { name: 'Title of the panel' }).fill('Ups');
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await dialog.getByRole('link', { name: 'Open the dashboard' }).click();
  await page.getByRole('heading', { name: 'From Explore' }).waitFor();
  const uid = page.url().split('/d/')[1].split('?')[0];
  const jobs = new Set((await world.api('query', { query: 'up' })).result.map((s) => s.metric.job));
  await page.waitForFunction((n) => document.querySelectorAll('.dash-panel button.series').length === n, jobs.size);
  await page.goto(link(world.base, 'vector(42)'));
  await page.getByRole('figure').waitFor();
  await page.getByRole('button', { name: 'Add to dashboard' }).click();
  await dialog.getByRole('combobox', { name: 'Dashboard' }).selectOption({ label: 'From Explore' });
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await dialog.getByText('The panel is there.').waitFor();
  const kept = await (await fetch(`${world.base}/api/dashboards/uid/${uid}/json`)).json();
  assert.deepEqual(kept.panels.map((p) => [p.id, p.title, p.gridPos.y]), [[1, 'Ups', 0], [2, 'vector(42)', 9]]);
  await fetch(`${world.base}/api/dashboards/uid/${uid}`, { method: 'DELETE' });
});

journey('explore: Grafana\'s links open', async (page, world) => {
  await page.goto(`${world.base}/explore?orgId=1&left=${encodeURIComponent(JSON.stringify(['now-30m', 'now', 'Prometheus', { expr: 'up{job="node"}' }, { ui: [true, true, true, 'none'] }]))}`);
  await page.getByRole('button', { name: /^Last 30m/ }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.legend-table tbody tr').length === 1);
  await page.goto(`${world.base}/explore?left=${encodeURIComponent(JSON.stringify({ datasource: 'x', queries: [{ refId: 'A', expr: 'node_load1' }], range: { from: 'now-3h', to: 'now' } }))}&right=${encodeURIComponent(JSON.stringify({ queries: [{ refId: 'A', expr: 'node_load5' }], range: { from: 'now-3h', to: 'now' } }))}`);
  await page.getByRole('region', { name: 'Right pane' }).getByRole('figure').waitFor();
  await page.goto(`${world.base}/explore?panes=%7Bbroken`);
  await page.getByText('Choose a metric above').waitFor();
});

journey('explore: metrics without a query: by prefix and type, by label, filters', async (page, world, { shots }) => {
  await open(page, `${world.base}/explore`);
  await page.getByRole('button', { name: 'Metrics', exact: true }).click();
  await page.locator('.small-chart canvas').first().waitFor();
  const names = await world.api('label/__name__/values');
  await page.getByRole('group', { name: 'Prefix' }).getByRole('button', { name: /^node/ }).click();
  await page.getByText(`${names.filter((n) => /^node(_|$)/.test(n)).length} metrics`, { exact: true }).waitFor();
  await page.getByRole('combobox', { name: 'Type' }).selectOption('counter');
  await page.getByRole('searchbox', { name: 'Filter metrics' }).fill('cpu seconds');
  await page.getByRole('region', { name: 'node_cpu_seconds_total' }).getByRole('figure').waitFor();
  if (shots) await page.screenshot({ path: `${shots}/explore-metrics.png`, fullPage: true });
  await page.getByRole('button', { name: 'Break down node_cpu_seconds_total' }).click();
  const byMode = page.getByRole('region', { name: 'by mode' });
  await byMode.getByRole('figure').waitFor();
  const modes = await world.api('label/mode/values', { 'match[]': 'node_cpu_seconds_total' });
  await byMode.getByText(`${modes.length} values`).waitFor();
  assert.deepEqual((await byMode.locator('.legend .name').allInnerTexts()).sort(), modes);
  if (shots) await page.screenshot({ path: `${shots}/explore-labels.png`, fullPage: true });
  await byMode.getByRole('button', { name: 'Each value' }).click();
  await page.getByRole('button', { name: 'Only this: mode user' }).click();
  await page.getByRole('button', { name: 'Remove the filter mode = user' }).waitFor();
  assert.deepEqual(new URL(page.url()).searchParams.getAll('filter'), ['mode=user']);
  const count = (await world.api('query', { query: 'count(node_cpu_seconds_total{mode="user"})' })).result[0].value[1];
  await page.getByRole('status').getByText(`${count} series`).waitFor();
  await page.getByRole('link', { name: 'Open as a query' }).click();
  await page.getByRole('listitem', { name: 'Step 1: rate' }).waitFor();
  assert.equal(exprOf(page), 'sum(rate(node_cpu_seconds_total{mode="user"}[$__rate_interval]))');
});
