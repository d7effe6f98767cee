import { readFileSync } from 'node:fs';
import { assert, box, open, param, query, seriesNames, type, waitParam } from './lib.mjs';

const completions = (page) => page.locator('.cm-tooltip-autocomplete li');

journey('editor: completes metrics, labels, values and functions', async (page, world, { shots }) => {
  await open(page, `${world.base}/query`);
  await box(page).waitFor();
  await type(page, 'node_cpu_sec');
  await completions(page).filter({ hasText: 'node_cpu_seconds_total' }).first().waitFor();
  await page.waitForTimeout(150); // a list takes no choice in its first moment
  if (shots) await page.screenshot({ path: `${shots}/completion.png` });
  await page.keyboard.press('Enter');
  assert.equal(await box(page).innerText(), 'node_cpu_seconds_total');
  assert.equal(param(page, 'g0.expr'), null, 'Enter in the list inserts and does not run');
  await page.keyboard.type('{mo', { delay: 30 });
  await completions(page).filter({ hasText: /^mode/ }).first().waitFor();
  await page.waitForTimeout(150);
  await page.keyboard.press('Enter');
  assert.match(await box(page).innerText(), /^node_cpu_seconds_total\{mode/);
  await page.keyboard.type('="us', { delay: 30 });
  await completions(page).filter({ hasText: /^user/ }).first().waitFor();
  await page.waitForTimeout(150);
  await page.keyboard.press('Enter');
  assert.equal(await box(page).innerText(), 'node_cpu_seconds_total{mode="user"}');
  await type(page, 'rat');
  await completions(page).filter({ hasText: /^rate/ }).first().waitFor();
  await page.keyboard.press('Escape');
});

journey('query: Enter runs; graph and table agree with the API', async (page, world, { shots }) => {
  await open(page, `${world.base}/query`);
  await type(page, 'sum by (mode) (rate(node_cpu_seconds_total[1m]))');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.getByRole('figure').waitFor();
  const expr = 'sum by (mode) (rate(node_cpu_seconds_total[1m]))';
  assert.equal(param(page, 'g0.expr'), expr);
  const told = (await world.api('query', { query: expr })).result.map((s) => `{mode="${s.metric.mode}"}`);
  assert.deepEqual((await seriesNames(page)).sort(), told.sort());
  assert.match(await page.getByRole('status').filter({ hasText: 'series' }).innerText(), new RegExp(`^${told.length} series, \\d+ ms$`));
  if (shots) await page.screenshot({ path: `${shots}/graph.png`, fullPage: true });

  // At a fixed time the table shows the API's own text.
  const at = Math.floor(Date.now() / 1000) - 2;
  await query(page, world, 'up', { 'g0.tab': '1', 'g0.moment_input': new Date(at * 1000).toISOString().slice(0, 19).replace('T', ' ') });
  const rows = page.locator('table.result tbody tr');
  await rows.first().waitFor();
  const exact = (await world.api('query', { query: 'up', time: String(at) })).result;
  assert.equal(await rows.count(), exact.length);
  for (const s of exact) await rows.filter({ hasText: `job="${s.metric.job}"` }).filter({ hasText: s.value[1] }).first().waitFor();
  // And the graph's table has the API's numbers at that time.
  await query(page, world, 'steady_total{job="steady"}', { 'g0.range_input': '10s', 'g0.step_input': '1s', 'g0.end_input': new Date(at * 1000).toISOString().slice(0, 19).replace('T', ' ') });
  const range = (await world.api('query_range', { query: 'steady_total{job="steady"}', start: String(at - 10), end: String(at), step: '1' })).result[0].values.map((v) => Number(v[1]));
  const told2 = await page.locator('.legend-table tbody tr').first().locator('td.num').allInnerTexts();
  const short = (v) => `${(v / 1e9).toFixed(1)} G`;
  assert.equal(told2.length, 4);
  assert.equal(parseFloat(told2[0]).toFixed(1), short(range[range.length - 1]).split(' ')[0]);
});

journey('query: a wrong expression is shown at its place', async (page, world, { shots }) => {
  await open(page, `${world.base}/query`);
  await type(page, 'rate(up)');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  const alert = page.getByRole('alert');
  await alert.waitFor();
  const server = await world.api('query', { query: 'rate(up)' }).then(() => assert.fail('it is wrong'), (e) => e.message);
  const [, line, column, what] = /(\d+):(\d+): parse error: (.*)/s.exec(server);
  assert.equal(await alert.locator('b').innerText(), `Line ${line}, column ${column}:`);
  assert.equal(await alert.locator('span').innerText(), what);
  assert.equal(await page.locator('.cm-fault').innerText(), 'up');
  if (shots) await page.screenshot({ path: `${shots}/error.png` });
  // On the second line, after letters of two and four bytes.
  const text = 'up{job="é😀"}\n  or sum(up{job=~"é"}, nosuch(up))';
  await query(page, world, text);
  await page.locator('.cm-fault').waitFor();
  const bytes = /(\d+):(\d+): parse error/.exec(await world.api('query', { query: text }).catch((e) => e.message));
  const place = Buffer.from(text.split('\n')[Number(bytes[1]) - 1]).subarray(Number(bytes[2]) - 1).toString();
  assert(place.startsWith(await page.locator('.cm-fault').innerText()), `${place} begins with the marked word`);
  // It goes away with the fault.
  await type(page, 'up');
  assert.equal(await page.locator('.cm-fault').count(), 0);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.getByRole('figure').waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  // A fault of execution names no place and is told as it is.
  await query(page, world, 'up * on () up', { 'g0.tab': '1' });
  assert.match(await page.getByRole('alert').innerText(), /many-to-many|duplicate|matching/);
});

journey('query: time range, step, stacked; the address holds them', async (page, world, { shots }) => {
  const before = Date.now() / 1000;
  await query(page, world, 'up');
  await page.getByRole('button', { name: /^Last 1h/ }).click();
  if (shots) await page.screenshot({ path: `${shots}/time-menu.png` });
  await page.getByRole('button', { name: 'Last 5m', exact: true }).click();
  await waitParam(page, 'g0.range_input', '5m');
  await page.getByRole('button', { name: 'Earlier' }).click();
  await page.waitForFunction(() => new URL(location.href).searchParams.has('g0.end_input'));
  const end = Date.parse(`${param(page, 'g0.end_input').replace(' ', 'T')}Z`) / 1000;
  assert(end > before - 152 && end < Date.now() / 1000 - 148, 'half of five minutes earlier');
  await page.getByRole('button', { name: 'Later' }).click();
  await page.waitForFunction((e) => { const now = new URL(location.href).searchParams.get('g0.end_input'); return now === null || Date.parse(`${now.replace(' ', 'T')}Z`) / 1000 > e + 100; }, end);
  await page.getByRole('button', { name: 'Zoom out' }).click();
  await waitParam(page, 'g0.range_input', '10m');
  await page.getByLabel('Step').fill('30s');
  await page.getByLabel('Step').press('Enter');
  await waitParam(page, 'g0.step_input', '30s');
  const asked = page.waitForRequest((r) => r.url().includes('query_range'));
  await page.getByLabel('Stacked').check();
  await waitParam(page, 'g0.stacked', '1');
  await page.getByRole('button', { name: 'Refresh now' }).click();
  assert.equal(new URL((await asked).url()).searchParams.get('step'), '30');
  // A range of one's own.
  await page.locator('.group[aria-label="Time range"] .menu-box > button').click();
  await page.getByLabel('Range', { exact: true }).fill('nonsense');
  await page.getByRole('button', { name: 'Set', exact: true }).click();
  await page.getByRole('alert').getByText('A range is a duration').waitFor();
  await page.getByLabel('Range', { exact: true }).fill('1h30m');
  await page.getByRole('button', { name: 'Set', exact: true }).click();
  await waitParam(page, 'g0.range_input', '1h30m');
  await page.reload();
  await page.getByRole('figure').waitFor();
  assert(await page.getByLabel('Stacked').isChecked());
  assert.equal(await page.getByLabel('Step').inputValue(), '30s');
});

journey('query: drag zooms, double-click and back zoom out', async (page, world) => {
  const before = Date.now() / 1000;
  await query(page, world, 'steady_total', { 'g0.range_input': '1m' });
  await page.getByRole('figure').waitFor();
  const b = await page.locator('.u-over').boundingBox();
  await page.mouse.move(b.x + b.width / 2, b.y + 80);
  await page.mouse.down();
  await page.mouse.move(b.x + b.width * 0.75, b.y + 90, { steps: 8 });
  await page.mouse.up();
  await waitParam(page, 'g0.range_input', '15s');
  const end = Date.parse(`${param(page, 'g0.end_input').replace(' ', 'T')}Z`) / 1000;
  assert(end > before - 18 && end < Date.now() / 1000 - 12, 'it ends three quarters in');
  await page.waitForFunction(() => !document.querySelector('.stale'));
  await page.locator('.u-over').dblclick();
  await waitParam(page, 'g0.range_input', '30s');
  await page.goBack();
  await waitParam(page, 'g0.range_input', '15s');
  await page.goBack();
  await waitParam(page, 'g0.range_input', '1m');
  assert.equal(param(page, 'g0.end_input'), null);
  await page.goForward();
  await waitParam(page, 'g0.range_input', '15s');
});

journey('query: the legend isolates and hides, by mouse and by keys', async (page, world) => {
  await query(page, world, 'up', { 'g0.range_input': '1m' });
  await page.getByRole('figure').waitFor();
  const series = page.locator('.legend-table button.series'), n = await series.count();
  const shown = () => series.evaluateAll((all) => all.map((e) => e.getAttribute('aria-pressed') === 'true'));
  const expect = async (what, f) => {
    await page.waitForTimeout(50);
    const now = await shown();
    assert.deepEqual(now, now.map((_, i) => f(i)), what);
  };
  await series.nth(1).click();
  await expect('a click isolates', (i) => i === 1);
  await series.nth(1).click();
  await expect('again shows all', () => true);
  await series.nth(0).click({ modifiers: ['Control'] });
  await expect('Ctrl-click hides', (i) => i !== 0);
  await series.nth(0).click({ modifiers: ['Control'] });
  await series.nth(2).focus();
  await page.keyboard.press('Space');
  await expect('Space hides', (i) => i !== 2);
  await page.keyboard.press('Space');
  await page.keyboard.press('Enter');
  await expect('Enter isolates', (i) => i === 2);
  // The chart follows: only one line remains in the tooltip.
  const b = await page.locator('.u-over').boundingBox();
  await page.mouse.move(b.x + b.width - 12, b.y + 40);
  await page.locator('.tip:visible').waitFor();
  assert.equal(await page.locator('.tip .num').count(), 1);
  assert(n > 2);
});

journey('query: tooltip and keys read values at a time', async (page, world, { shots }) => {
  await query(page, world, 'up', { 'g0.range_input': '1m' });
  await page.getByRole('figure').waitFor();
  const b = await page.locator('.u-over').boundingBox();
  await page.mouse.move(b.x + b.width - 20, b.y + 60);
  await page.locator('.tip:visible').waitFor();
  assert.match(await page.locator('.tip').innerText(), /job="node"/);
  if (shots) await page.screenshot({ path: `${shots}/tooltip.png` });
  await page.mouse.move(5, 5);
  await page.locator('.plot').focus();
  await page.keyboard.press('End');
  await page.getByRole('figure').getByRole('status').filter({ hasText: /job="node".* 1/ }).waitFor();
  const last = await page.locator('.tip .when').innerText();
  await page.keyboard.press('ArrowLeft');
  assert.notEqual(await page.locator('.tip .when').innerText(), last);
  await page.keyboard.press('+');
  await waitParam(page, 'g0.range_input', '30s');
  await page.keyboard.press('Escape');
});

journey('query: Prometheus links open; several queries; the address is the state', async (page, world, { shots }) => {
  await open(page, `${world.base}/graph?g0.expr=up%7Bjob%3D%22node%22%7D&g0.tab=1&g0.display_mode=lines&g0.show_exemplars=0&g0.range_input=30m&g1.expr=steady_total&g1.tab=graph&g1.range_input=5m&g1.display_mode=stacked`);
  await page.locator('table.result tbody tr').waitFor();
  assert.equal(await page.getByRole('heading', { name: 'Query', exact: true }).count(), 1);
  assert.equal(await box(page, 0).innerText(), 'up{job="node"}');
  assert.equal(await box(page, 1).innerText(), 'steady_total');
  assert(await page.locator('.query').nth(1).getByLabel('Stacked').isChecked());
  assert.equal(await page.locator('.query').nth(1).getByRole('figure').count(), 1);
  await page.getByRole('button', { name: 'Add a query' }).click();
  assert.equal(await page.locator('.query').count(), 3);
  if (shots) await page.screenshot({ path: `${shots}/queries.png`, fullPage: true });
  const before = page.url();
  await page.reload();
  await page.locator('table.result tbody tr').waitFor();
  assert.equal(page.url(), before);
  assert.equal(await page.locator('.query').count(), 3);
  await page.getByRole('button', { name: 'Remove query 3' }).click();
  await page.getByRole('button', { name: 'Remove query 1' }).click();
  assert.equal(await page.locator('.query').count(), 1);
  assert.equal(await box(page, 0).innerText(), 'steady_total');
  await page.goBack();
  assert.equal(await page.locator('.query').count(), 2);
});

journey('query: back and forward between pages and queries', async (page, world) => {
  await open(page, `${world.base}/`);
  await page.getByRole('navigation').getByRole('link', { name: 'Query' }).click();
  await type(page, 'up');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await waitParam(page, 'g0.expr', 'up');
  await type(page, 'steady_total');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await waitParam(page, 'g0.expr', 'steady_total');
  await page.getByRole('navigation').getByRole('link', { name: 'Targets' }).click();
  await page.getByRole('heading', { name: 'Targets' }).waitFor();
  await page.goBack();
  await page.waitForFunction(() => document.title.startsWith('Query'));
  await page.goBack();
  await waitParam(page, 'g0.expr', 'up');
  await page.waitForFunction(() => document.querySelector('.editor').shadowRoot?.querySelector('.cm-content')?.textContent === 'up');
  await page.goForward();
  await waitParam(page, 'g0.expr', 'steady_total');
});

journey('query: history, list of metrics, CSV, copy, refresh', async (page, world, { context, shots }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await query(page, world, 'up');
  await type(page, 'up{job="node"}');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await waitParam(page, 'g0.expr', 'up{job="node"}');
  await type(page, 'up{job="steady"}');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await waitParam(page, 'g0.expr', 'up{job="steady"}');
  await page.reload();
  await box(page).waitFor();
  await page.getByRole('button', { name: 'Query history' }).click();
  assert.deepEqual(await page.locator('.history li').allInnerTexts(), ['up{job="steady"}', 'up{job="node"}']);
  if (shots) await page.screenshot({ path: `${shots}/history.png` });
  await page.getByRole('button', { name: 'up{job="node"}', exact: true }).click();
  await waitParam(page, 'g0.expr', 'up{job="node"}');

  await box(page).click();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete');
  await page.getByRole('button', { name: 'Metrics', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Metrics' });
  await dialog.getByRole('searchbox').fill('grows ten');
  await dialog.getByRole('button', { name: /steady_total/ }).waitFor();
  assert.equal(await dialog.locator('.metrics li').count(), 1);
  assert.match(await dialog.locator('.metrics li').innerText(), /counter[\s\S]*It grows by ten a second/);
  await dialog.getByRole('searchbox').fill('');
  if (shots) await page.screenshot({ path: `${shots}/metrics.png` });
  await dialog.getByRole('searchbox').fill('steady');
  await dialog.getByRole('button', { name: /steady_total/ }).click();
  assert.equal(await box(page).innerText(), 'steady_total');

  await query(page, world, 'sort(up)', { 'g0.tab': '1' });
  await page.locator('table.result tbody tr').first().waitFor();
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
  const lines = readFileSync(await file.path(), 'utf8').trim().split('\r\n');
  const exact = (await world.api('query', { query: 'sort(up)' })).result;
  assert.equal(lines.length, exact.length + 1);
  assert.match(lines[0], /^__name__,.*instance,job,time,value$/);
  assert(lines.some((l) => /^up,.*,node,[\d.]+,1$/.test(l)));
  const node = page.locator('table.result tbody tr').filter({ hasText: 'job="node"' });
  await node.hover();
  await node.getByRole('button', { name: /^Copy/ }).click();
  await node.getByRole('button', { name: 'Copied' }).waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^up\{instance="127\.0\.0\.1:\d+", job="node"\}$/);

  await page.getByLabel('Refresh every').selectOption('5s');
  await waitParam(page, 'refresh', '5s');
  await page.waitForRequest((r) => r.url().includes('/api/v1/query'));
});
