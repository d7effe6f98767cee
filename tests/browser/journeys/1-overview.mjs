import { assert, open } from './lib.mjs';

const titles = ['CPU', 'Memory', 'Load', 'Disk', 'Network', 'Samples per scrape'];

journey('overview: tiles, six charts with legends, values and tables', async (page, world, { shots }) => {
  await open(page, `${world.base}/`);
  assert.equal(await page.title(), 'Overview · Pharos');
  await page.locator('.tile .big').first().waitFor();
  const up = (await world.api('query', { query: 'sum(up)' })).result[0].value[1], all = (await world.api('query', { query: 'count(up)' })).result[0].value[1];
  await page.getByRole('link', { name: new RegExp(`^${up} / ${all}\\s*targets up`) }).waitFor();
  assert.match(await page.getByRole('link', { name: /active series/ }).innerText(), /^[\d.,]+( k)?\s/);
  for (const title of titles) {
    const chart = page.getByRole('figure', { name: title, exact: true });
    await chart.waitFor();
    assert(await chart.locator('canvas').count(), `${title} is drawn`);
    const names = await chart.locator('.legend .name').allInnerTexts(), values = await chart.locator('.legend .num').allInnerTexts();
    assert(names.length > 0, `${title} has a legend`);
    assert.equal(new Set(names).size, names.length, `${title}: each series has its own name`);
    for (const v of values) assert.match(v, /^-?\d/, `${title}: the legend has values`);
    const rows = chart.getByRole('table').getByRole('row');
    assert.equal(await rows.count(), Math.min(names.length, 50) + 1, `${title}: the table has a row per series`);
  }
  const total = Number((await world.api('query', { query: 'node_memory_MemTotal_bytes' })).result[0].value[1]);
  const said = await page.getByRole('figure', { name: 'Memory' }).getByRole('button', { name: /total/ }).locator('.num').innerText();
  assert.equal(said.endsWith('GiB') ? Math.round(parseFloat(said)) : Math.round(parseFloat(said) / 1024), Math.round(total / 2 ** 30));
  if (shots) await page.screenshot({ path: `${shots}/overview.png`, fullPage: true });
});

journey('overview: one crosshair on all charts, one tooltip, plots of one width', async (page, world, { shots }) => {
  await open(page, `${world.base}/?refresh=off`);
  await page.getByRole('figure').nth(5).waitFor();
  await page.waitForTimeout(500);
  const boxes = await page.locator('.u-over').evaluateAll((all) => all.map((e) => ({ left: e.offsetLeft, width: e.offsetWidth })));
  assert.equal(boxes.length, 6);
  assert.equal(new Set(boxes.map((b) => b.left)).size, 1, `axes have one width: ${JSON.stringify(boxes)}`);
  const cpu = await page.locator('.u-over').first().boundingBox();
  await page.mouse.move(cpu.x + cpu.width * 0.96, cpu.y + 40);
  await page.locator('.tip:visible').waitFor();
  assert.equal(await page.locator('.tip:visible').count(), 1);
  const tip = await page.locator('.tip:visible').innerText();
  assert.match(tip, /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
  assert.match(tip, /user/);
  assert.match(tip, /%/);
  const lines = await page.locator('.u-cursor-x').evaluateAll((all) => all.map((e) => e.style.transform));
  assert.equal(new Set(lines).size, 1, `the lines stand at one place: ${lines}`);
  assert(!lines[0].includes('-10px'));
  if (shots) await page.screenshot({ path: `${shots}/overview-cursor.png` });
  await page.mouse.move(5, 5);
  await page.locator('.tip:visible').waitFor({ state: 'detached' }).catch(() => {});
  assert.equal(await page.locator('.tip:visible').count(), 0);
});

journey('overview: zoom by dragging zooms every chart, and back', async (page, world) => {
  await open(page, `${world.base}/`);
  await page.getByRole('figure').nth(5).waitFor();
  const b = await page.locator('.u-over').first().boundingBox();
  await page.mouse.move(b.x + b.width * 0.3, b.y + 50);
  await page.mouse.down();
  await page.mouse.move(b.x + b.width * 0.9, b.y + 60, { steps: 6 });
  await page.mouse.up();
  await page.waitForFunction(() => new URL(location.href).searchParams.has('end_input'));
  await page.getByRole('button', { name: 'Now', exact: true }).waitFor();
  await page.goBack();
  await page.waitForFunction(() => !location.search);
});

journey('overview: a chart opens in Query with its expression', async (page, world) => {
  await open(page, `${world.base}/`);
  await page.getByRole('link', { name: 'Load', exact: true }).click();
  await page.waitForURL(/\/query\?/);
  assert.match(new URL(page.url()).searchParams.get('g0.expr'), /node_load1/);
  await page.getByRole('figure').waitFor();
  assert.equal(await page.locator('.legend-table tbody tr').count(), 3);
});

journey('overview: a server without data says so', async (page, world) => {
  const { World } = await import('../server.mjs');
  const bare = await new World().startBare();
  try {
    await open(page, `${bare.base}/`);
    await page.getByText('Collecting the first samples').first().waitFor();
    await page.getByRole('link', { name: /^0 \/ 0\s*targets up/ }).waitFor();
    await open(page, `${bare.base}/targets`);
    await page.getByText('No targets yet').waitFor();
    await open(page, `${bare.base}/rules`);
    await page.getByText('No rules loaded').waitFor();
    await open(page, `${bare.base}/alerts`);
    await page.getByText('No alerting rules loaded').waitFor();
    await open(page, `${bare.base}/query?g0.expr=up&g0.tab=1`);
    await page.getByText('No series match at this time').waitFor();
    await open(page, `${bare.base}/status?tab=config`);
    await page.locator('.empty, .code').first().waitFor();
  } finally {
    await bare.stop();
  }
});

journey('a server that does not answer is told apart from an empty one', async (page, world) => {
  await page.route('**/api/v1/**', (r) => r.abort());
  await page.goto(`${world.base}/targets`);
  await page.getByRole('alert').getByText('The server does not answer').waitFor();
  await page.unroute('**/api/v1/**');
  await page.getByText('1 / 1 up').first().waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  await page.goto(`${world.base}/nosuchpage`);
  await page.getByText('There is no page here').waitFor();
  const deep = await page.goto(`${world.base}/no/such/page`);
  assert.equal(deep.status(), 404);
});
