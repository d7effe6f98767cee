import AxeBuilder from 'axe-core';
import { hostile } from '../server.mjs';
import { assert } from './lib.mjs';

const ds = { type: 'prometheus', uid: 'somewhere-else' };
const target = (expr, legendFormat = '', more = {}) => ({ refId: 'A', datasource: ds, expr, legendFormat, ...more });
const panel = (id, type, title, gridPos, more = {}) => ({ id, type, title, gridPos, datasource: ds, fieldConfig: { defaults: {}, overrides: [] }, options: {}, ...more });
const grid = (x, y, w, h) => ({ x, y, w, h });

async function put(world, dashboard, overwrite = true) {
  const text = typeof dashboard === 'string' ? dashboard : JSON.stringify(dashboard, null, 1);
  const r = await fetch(`${world.base}/api/dashboards/import?overwrite=${overwrite}`, { method: 'POST', body: text, headers: { 'Content-Type': 'application/json' } });
  return { ...(await r.json()), status: r.status, text };
}

/** Opens a dashboard and waits until its panels have answered. */
async function open(page, url) {
  await page.goto(url);
  await page.locator('.dash-panel, .empty').first().waitFor();
  await page.waitForFunction(() => !document.querySelector('.waiting'));
}
const part = (page, title) => page.locator('.dash-panel').filter({ has: page.getByRole('heading', { name: title, exact: true }) });

const all = {
  uid: 'journey-all', title: 'All kinds', schemaVersion: 39, time: { from: 'now-5m', to: 'now' }, refresh: '', graphTooltip: 1,
  templating: { list: [
    { name: 'job', type: 'query', query: 'label_values(up, job)', refresh: 2, sort: 1, multi: true, includeAll: true, current: { text: 'All', value: '$__all' } },
    { name: 'inst', type: 'query', query: 'label_values(up{job=~"$job"}, instance)', refresh: 2, sort: 1, current: {} }, { name: 'word', type: 'textbox', query: 'hello', current: { text: 'hello', value: 'hello' } },
  ] },
  panels: [
    panel(1, 'timeseries', 'Up of $job', grid(0, 0, 12, 8), { targets: [target('up{job=~"$job"}', '{{job}} {{instance}}')], fieldConfig: { defaults: { custom: { fillOpacity: 20 } }, overrides: [] }, options: { legend: { displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull', 'max'] }, tooltip: { mode: 'multi' } } }),
    panel(2, 'stat', 'Sum', grid(12, 0, 4, 4), { targets: [target('vector(1234.5)', 'n')], fieldConfig: { defaults: { unit: 'bytes', decimals: 1, thresholds: { mode: 'absolute', steps: [{ color: 'green', value: null }, { color: 'red', value: 1000 }] }, color: { mode: 'thresholds' } }, overrides: [] }, options: { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'background' } }),
    panel(3, 'gauge', 'Part', grid(16, 0, 4, 4), { targets: [target('vector(0.42)', 'part')], fieldConfig: { defaults: { unit: 'percentunit', min: 0, max: 1 }, overrides: [] } }),
    panel(4, 'bargauge', 'Bars', grid(20, 0, 4, 4), { targets: [target('label_replace(vector(3), "k", "three", "", "") or label_replace(vector(7), "k", "seven", "", "")', '{{k}}', { instant: true })], options: { orientation: 'horizontal' } }),
    panel(5, 'table', 'Targets', grid(12, 4, 12, 8), { targets: [target('up', '', { format: 'table', instant: true })], transformations: [{ id: 'organize', options: { excludeByName: { Time: true, __name__: true }, indexByName: { job: 0, instance: 1 }, renameByName: { Value: 'State' } } }], fieldConfig: { defaults: {}, overrides: [{ matcher: { id: 'byName', options: 'State' }, properties: [{ id: 'mappings', value: [{ type: 'value', options: { 0: { text: 'down', color: 'red' }, 1: { text: 'well', color: 'green' } } }] }] }] } }),
    panel(6, 'piechart', 'Pie', grid(0, 8, 6, 8), { targets: [target('count by (job) (up)', '{{job}}', { instant: true })], options: { legend: { displayMode: 'table', placement: 'right', values: ['value', 'percent'] } } }),
    panel(7, 'barchart', 'Categories', grid(6, 8, 6, 8), { targets: [target('count by (job) (up)', '', { format: 'table', instant: true })] }),
    panel(8, 'state-timeline', 'States', grid(0, 16, 12, 6), { targets: [target('up', '{{job}}')], fieldConfig: { defaults: { mappings: [{ type: 'value', options: { 0: { text: 'DOWN', color: 'red' }, 1: { text: 'UP', color: 'green' } } }] }, overrides: [] } }),
    panel(9, 'heatmap', 'Heat', grid(12, 16, 12, 6), { targets: [target('sum by (le) (increase(prometheus_http_request_duration_seconds_bucket[1m]))', '{{le}}', { format: 'heatmap' })] }),
    panel(10, 'text', '', grid(0, 22, 12, 5), { options: { mode: 'markdown', content: '# Words\n\nSay **$word** and `code`, see [a link](https://example.test/x).\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |' } }),
    panel(11, 'polystat-of-nobody', 'Foreign', grid(12, 22, 12, 5), { targets: [target('up', '{{job}}', { instant: true })] }),
    panel(12, 'timeseries', 'Wrong', grid(0, 27, 12, 5), { targets: [target('sum(((')] }),
    panel(13, 'timeseries', 'Nothing', grid(12, 27, 12, 5), { targets: [target('no_such_metric_at_all')] }),
    { id: 20, type: 'row', title: 'Closed', collapsed: true, gridPos: grid(0, 32, 24, 1), panels: [panel(21, 'stat', 'Inside', grid(0, 33, 6, 4), { targets: [target('vector(7)')] })] },
  ],
};

journey('dashboards: every kind of panel says what the data says', async (page, world, { shots }) => {
  const sent = await put(world, all);
  assert.equal(sent.status, 200, sent.message);
  assert.equal(await (await fetch(`${world.base}/api/dashboards/uid/journey-all/json`)).text(), sent.text, 'the export is what was imported');
  await page.setViewportSize({ width: 1400, height: 1500 });
  await open(page, `${world.base}/d/journey-all`);
  assert.equal(await page.title(), 'All kinds · Pharos');
  const up = (await world.api('query', { query: 'up' })).result;
  const rows = part(page, 'Up of All').locator('.legend-table tbody tr');
  await rows.first().waitFor();
  assert.equal(await rows.count(), up.length);
  assert.equal(await part(page, 'Sum').locator('.stat-value').innerText(), '1.2 KiB');
  assert.equal(await part(page, 'Sum').locator('.stat-cell').evaluate((e) => getComputedStyle(e).backgroundColor), 'rgb(224, 47, 68)');
  await part(page, 'Part').getByRole('img', { name: /42(\.0)?%/ }).waitFor();
  assert.deepEqual((await part(page, 'Bars').locator('.bar-row').allInnerTexts()).map((x) => x.replace(/\s+/g, ' ').trim()).sort(), ['seven 7', 'three 3']);
  const table = part(page, 'Targets').getByRole('table');
  assert.deepEqual((await table.locator('thead button').allInnerTexts()).slice(0, 2).map((x) => x.trim()), ['job', 'instance']);
  assert.equal(await table.getByRole('cell', { name: 'down' }).count(), up.filter((s) => s.value[1] === '0').length);
  assert.equal(await part(page, 'Pie').locator('.part').count(), new Set(up.map((s) => s.metric.job)).size);
  assert((await part(page, 'Categories').locator('rect').count()) >= 2);
  await part(page, 'States').getByRole('img', { name: /refused: DOWN/ }).waitFor();
  await part(page, 'Heat').getByRole('img', { name: /heat map of \d+ buckets/ }).waitFor();
  const words = page.locator('[data-type="text"]');
  assert.equal(await words.locator('strong').innerText(), 'hello');
  assert.equal(await words.locator('td').count(), 2);
  await part(page, 'Foreign').getByText('Panels of the type "polystat-of-nobody" are not drawn here').waitFor();
  assert((await part(page, 'Foreign').locator('tbody tr').count()) > 0, 'its data is a table');
  await page.evaluate(() => scrollTo(0, 1e6));
  await part(page, 'Wrong').getByRole('alert').getByText(/parse error/).waitFor();
  await part(page, 'Nothing').getByText('No data', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Closed' }).click();
  await part(page, 'Inside').locator('.stat-value').waitFor();
  assert.equal(await part(page, 'Inside').locator('.stat-value').innerText(), '7');
  if (shots) await page.screenshot({ path: `${shots}/dashboard.png`, fullPage: true });
}, { colorScheme: 'light' });

journey('dashboards: variables chain, go into the address, and come back from it', async (page, world) => {
  await put(world, all);
  await open(page, `${world.base}/d/journey-all`);
  await page.getByRole('button', { name: 'job: All' }).click();
  await page.getByRole('option', { name: 'steady' }).click();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => new URL(location.href).searchParams.get('var-job') === 'steady');
  await part(page, 'Up of steady').locator('.legend-table tbody tr').first().waitFor();
  const steady = (await world.api('query', { query: 'up{job="steady"}' })).result[0].metric.instance;
  await page.getByRole('button', { name: `inst: ${steady}` }).waitFor();
  await page.reload();
  await part(page, 'Up of steady').locator('.legend-table tbody tr').first().waitFor();
  assert.equal(await part(page, 'Up of steady').locator('.legend-table tbody tr').count(), 1);
  await page.getByLabel('word').fill('there');
  await page.keyboard.press('Enter');
  await page.locator('[data-type="text"] strong', { hasText: 'there' }).waitFor();
});

journey('dashboards: the list, import by paste, one panel alone, removal', async (page, world, { shots }) => {
  await page.goto(`${world.base}/dashboards`);
  await page.getByRole('link', { name: 'Host', exact: true }).waitFor();
  await page.getByRole('button', { name: 'Import' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Import a dashboard' });
  await dialog.getByLabel('or its JSON').fill('{"no": "dashboard"}');
  await dialog.getByRole('button', { name: 'Import' }).click();
  await dialog.getByRole('alert').getByText('no dashboard').waitFor();
  const old = { title: 'From 2016', schemaVersion: 12, rows: [{ title: 'R', showTitle: true, height: '200px', panels: [{ id: 1, type: 'graph', title: 'Old graph', span: 8, targets: [{ expr: 'up', legendFormat: '{{job}}' }] }, { id: 2, type: 'singlestat', title: 'Old stat', span: 4, format: 'percent', targets: [{ expr: 'vector(12)' }], valueName: 'current' }] }] };
  await dialog.getByLabel('or its JSON').fill(JSON.stringify(old));
  await dialog.getByRole('button', { name: 'Import' }).click();
  await part(page, 'Old graph').getByRole('figure').waitFor();
  assert.equal(await part(page, 'Old stat').locator('.stat-value').innerText(), '12%');
  await page.getByRole('button', { name: 'Menu of Old graph' }).click();
  await page.getByRole('button', { name: 'View', exact: true }).click();
  await page.waitForFunction(() => document.querySelectorAll('.dash-panel').length === 1 && new URL(location.href).searchParams.get('viewPanel') === '1');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.querySelectorAll('.dash-panel').length === 2);
  await page.getByRole('button', { name: 'Menu of Old graph' }).click();
  await page.getByRole('button', { name: 'Inspect' }).click();
  await page.getByRole('dialog', { name: 'Inspect Old graph' }).getByText('$__rate_interval').waitFor();
  await page.keyboard.press('Escape');
  page.on('dialog', (d) => void d.accept());
  await page.getByRole('button', { name: 'Menu of the dashboard' }).click();
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('heading', { name: 'Dashboards' }).waitFor();
  await page.getByRole('link', { name: 'Host', exact: true }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'From 2016' }).count(), 0);
  if (shots) await page.screenshot({ path: `${shots}/dashboards.png`, fullPage: true });
});

journey('dashboards: hostile texts in every field are texts', async (page, world) => {
  const evil = hostile.join(' '), each = hostile.map((h, i) => `${h}\n\n[x](${h}) ![y](${h}) <a href="${h}">z</a>\n\n# ${h}\n\n- ${h}\n\n| ${h} | b |\n|---|---|\n| ${h} | ${i} |`).join('\n\n');
  const d = {
    uid: 'journey-evil', title: evil, tags: hostile, schemaVersion: 39, time: { from: 'now-5m', to: 'now' }, description: evil, links: hostile.map((h) => ({ type: 'link', title: h, url: h, tags: [], tooltip: h })), templating: { list: [{ name: 'v', label: evil, type: 'custom', query: hostile.join(','), current: { text: hostile[0], value: hostile[0] } }, { name: 't', type: 'textbox', current: { text: evil, value: evil } }] },
    panels: [
      panel(1, 'text', evil, grid(0, 0, 12, 8), { description: each, links: hostile.map((h) => ({ title: h, url: h })), options: { mode: 'markdown', content: `${each}\n\n$v $t` } }), panel(2, 'text', evil, grid(12, 0, 12, 8), { options: { mode: 'html', content: each } }),
      ...['timeseries', 'stat', 'gauge', 'bargauge', 'table', 'piechart', 'barchart', 'state-timeline', 'heatmap', 'histogram', evil].map((type, i) => panel(10 + i, type, `${evil} $v`, grid((i % 3) * 8, 8 + Math.floor(i / 3) * 7, 8, 7), { targets: [target('hostile_metric', '{{text}}', { format: type === 'table' ? 'table' : 'time_series' })], fieldConfig: { defaults: { unit: hostile[i % hostile.length], displayName: i % 2 ? evil : undefined, noValue: evil, links: hostile.map((h) => ({ title: h, url: h })), mappings: [{ type: 'value', options: { 3: { text: evil, color: hostile[1] } } }, { type: 'regex', options: { pattern: hostile[0], result: { text: evil } } }], thresholds: { mode: 'absolute', steps: [{ color: evil, value: null }] }, custom: { axisLabel: evil } }, overrides: [{ matcher: { id: 'byRegexp', options: evil }, properties: [{ id: evil, value: evil }, { id: '__proto__.x', value: 1 }] }] } })),
    ],
  };
  const sent = await put(world, d);
  assert.equal(sent.status, 200);
  assert.equal(await (await fetch(`${world.base}/api/dashboards/uid/journey-evil/json`)).text(), sent.text);
  await page.setViewportSize({ width: 1400, height: 2400 });
  await open(page, `${world.base}/d/journey-evil`);
  await page.locator('[data-type="text"] .text-panel').first().waitFor();
  for (const href of await page.locator('a').evaluateAll((a) => a.map((x) => new URL(x.getAttribute('href'), location.href).href))) assert(/^(https?|mailto):/.test(href), `a link leads to ${href}`);
  assert.equal(await page.locator('main script, main iframe, main style, main img[onerror], main [onclick]').count(), 0);
  assert((await page.locator('.text-panel').first().innerText()).includes('window.pwned=1'), 'the text is there to read');
  await page.goto(`${world.base}/dashboards`);
  await page.getByRole('link', { name: /script/ }).waitFor();
  await fetch(`${world.base}/api/dashboards/uid/journey-evil`, { method: 'DELETE' });
});

for (const colorScheme of ['light', 'dark']) {
  journey(`dashboards: axe finds nothing (${colorScheme})`, async (page, world, { shots }) => {
    await put(world, all);
    for (const [name, path] of [['dashboards', '/dashboards'], ['host', '/d/pharos-host?from=now-5m'], ['all', '/d/journey-all']]) {
      await page.setViewportSize({ width: 1400, height: 1600 });
      await page.goto(world.base + path);
      await page.locator('.dash-panel, .dash-list').first().waitFor();
      await page.waitForFunction(() => !document.querySelector('.waiting'));
      await page.evaluate(AxeBuilder.source);
      const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => `${n.target} ${n.failureSummary?.split('\n')[1] ?? ''}`).join(' | ')}`));
      assert.deepEqual(found, [], `${name}: ${found.join('\n')}`);
      if (shots) await page.screenshot({ path: `${shots}/${name}-${colorScheme}.png`, fullPage: true });
    }
  }, { colorScheme });
}

journey('dashboards: a phone stacks the panels', async (page, world, { shots }) => {
  await open(page, `${world.base}/d/pharos-host?from=now-5m`);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'nothing is wider than the screen');
  const boxes = await page.locator('.dash-cell').evaluateAll((all) => all.map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.width]));
  assert.equal(new Set(boxes.map(([left]) => Math.round(left))).size, 1);
  if (shots) await page.screenshot({ path: `${shots}/dashboard-phone.png` });
}, { viewport: { width: 360, height: 760 } });
