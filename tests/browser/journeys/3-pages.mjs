import { assert, open, waitParam } from './lib.mjs';

journey('targets: health, last error, filter', async (page, world, { shots }) => {
  await open(page, `${world.base}/targets`);
  const active = (await world.api('targets')).activeTargets;
  assert.equal(await page.locator('table.targets tbody tr:not(.error)').count(), active.length);
  const error = (job) => page.locator('section.panel').filter({ has: page.getByRole('button', { name: job, exact: true }) }).locator('tr.error');
  assert.match(await error('refused').innerText(), /connect/i);
  const garbage = active.find((x) => x.scrapePool === 'garbage');
  assert.equal(await error('garbage').innerText(), garbage.lastError);
  assert.match(garbage.lastError, /2/, 'it names the line');
  await page.getByText('2 down').waitFor();
  if (shots) await page.screenshot({ path: `${shots}/targets.png`, fullPage: true });
  await page.getByRole('searchbox').fill('refused');
  await waitParam(page, 'search', 'refused');
  assert.equal(await page.locator('table.targets').count(), 1);
  await page.reload();
  await page.getByRole('button', { name: 'refused', exact: true }).waitFor();
  assert.equal(await page.locator('table.targets').count(), 1);
  await page.getByRole('searchbox').fill('no such thing');
  await page.getByText('No target matches').waitFor();
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByLabel('State').selectOption('down');
  await waitParam(page, 'health', 'down');
  assert.equal(await page.locator('table.targets').count(), 2);
  await page.getByLabel('State').selectOption('');
  await page.getByRole('button', { name: 'node', exact: true }).click();
  assert.equal(await page.getByRole('button', { name: 'node', exact: true }).getAttribute('aria-expanded'), 'false');
  await page.getByText('1 dropped by relabelling').click();
  await page.getByText('127.0.0.1:2').waitFor();
  await open(page, `${world.base}/service-discovery`);
  await page.getByRole('heading', { name: 'Targets' }).waitFor();
});

journey('rules: groups, health, errors', async (page, world, { shots }) => {
  await open(page, `${world.base}/rules`);
  const group = page.locator('section.panel').filter({ hasText: 'job:up:sum' });
  const row = group.locator('tr').filter({ hasText: 'job:up:sum' });
  await row.getByText('ok', { exact: true }).waitFor();
  await row.getByRole('link', { name: /sum by/ }).waitFor();
  assert.match(await group.locator('tr.error').innerText(), /many-to-many|duplicate|matching/);
  await page.getByText('1 failing').waitFor();
  if (shots) await page.screenshot({ path: `${shots}/rules.png`, fullPage: true });
  await page.getByRole('searchbox').fill('TargetIsDown');
  await waitParam(page, 'search', 'TargetIsDown');
  assert.equal(await page.locator('table.rules tbody tr').count(), 1);
  await page.getByRole('link', { name: /up/ }).first().click();
  await page.waitForURL(/\/query\?/);
  assert.equal(new URL(page.url()).searchParams.get('g0.expr'), 'up{job="refused"} == 0');
});

journey('alerts by rule: firing first, annotations, states', async (page, world, { shots }) => {
  await open(page, `${world.base}/alerts?view=rules`);
  const alert = page.locator('details.alert').filter({ hasText: 'TargetIsDown' });
  await alert.getByText('refused is down').waitFor();
  assert.equal(await alert.getAttribute('open'), '');
  await alert.locator('.label').filter({ hasText: 'severity' }).first().waitFor();
  const link = alert.getByRole('link', { name: 'https://example.test/runbook' });
  assert.equal(await link.getAttribute('href'), 'https://example.test/runbook');
  assert.match(await link.getAttribute('rel'), /noopener/);
  const states = await page.locator('details.alert > summary .badge').allInnerTexts();
  assert.deepEqual(states, [...states].sort((a, b) => ['firing', 'pending', 'inactive'].indexOf(a) - ['firing', 'pending', 'inactive'].indexOf(b)));
  assert(states.includes('pending') && states.includes('inactive'));
  if (shots) await page.screenshot({ path: `${shots}/alerts-by-rule.png`, fullPage: true });
  await page.getByLabel('State').selectOption('pending');
  await waitParam(page, 'state', 'pending');
  assert.equal(await page.locator('details.alert').count(), 1);
  await page.locator('details.alert > summary').click();
  await page.getByText('vector(1)').waitFor();
});

journey('status: every part, by its own address too', async (page, world, { shots }) => {
  await open(page, `${world.base}/status`);
  const build = await world.api('status/buildinfo');
  await page.getByRole('row', { name: new RegExp(`Pharos ${build.pharosVersion.replaceAll('.', '\\.')}`) }).first().waitFor();
  if (shots) await page.screenshot({ path: `${shots}/status.png`, fullPage: true });
  await page.getByRole('tab', { name: 'Storage' }).click();
  await waitParam(page, 'tab', 'storage');
  await page.getByText('Series by metric name').waitFor();
  const tsdb = await world.api('status/tsdb');
  await page.getByText(tsdb.seriesCountByMetricName[0].name).first().waitFor();
  if (shots) await page.screenshot({ path: `${shots}/storage.png`, fullPage: true });
  await page.getByRole('tab', { name: 'Storage' }).focus();
  await page.keyboard.press('ArrowRight');
  await waitParam(page, 'tab', 'config');
  await page.getByText('scrape_interval: 1s').first().waitFor();
  if (shots) await page.screenshot({ path: `${shots}/config.png` });
  for (const [path, text] of [['flags', 'storage.path'], ['config', 'scrape_configs'], ['tsdb-status', 'Series by label pair']]) {
    await open(page, `${world.base}/${path}`);
    await page.getByText(text).first().waitFor();
  }
  await open(page, `${world.base}/flags`);
  await page.getByRole('searchbox').fill('retention.size');
  await page.waitForFunction(() => document.querySelectorAll('table.facts tr').length === 1);
});

journey('hostile texts are shown as texts everywhere', async (page, world) => {
  const { hostile } = await import('../server.mjs');
  const plain = hostile.filter((h) => !/[\u0000-\u001f\u2028]/.test(h));
  const paths = ['/targets', '/alerts', '/rules', '/status?tab=storage', '/status?tab=config', '/query?g0.expr=hostile_metric&g0.tab=1', '/query?g0.expr=hostile_metric&g0.tab=0&g0.range_input=1m', `/query?g0.expr=${encodeURIComponent(hostile[1])}`,
    `/targets?search=${encodeURIComponent(hostile[1])}`, `/alerts?state=${encodeURIComponent(hostile[0])}`, `/query?g0.range_input=${encodeURIComponent(hostile[1])}&g0.expr=up&refresh=${encodeURIComponent(hostile[2])}`, `/status?tab=${encodeURIComponent(hostile[0])}`];
  const shown = new Set();
  for (const path of paths) {
    await open(page, `${world.base}${path}`);
    await page.waitForTimeout(400);
    const left = await page.evaluate(() => ({
      pwned: window.pwned, violations: window.violations, text: document.body.innerText,
      elements: document.querySelectorAll('img[src="x"], iframe, main script, main style, [onerror], [onload], a[href^="javascript:" i]').length,
    }));
    assert.equal(left.pwned, undefined, path);
    assert.equal(left.elements, 0, `${path} made elements of a text`);
    assert.deepEqual(left.violations, [], path);
    for (const h of plain) if (left.text.includes(h)) shown.add(`${path.split('?')[0]} ${h}`);
  }
  for (const where of ['/targets', '/alerts', '/query']) for (const h of plain) assert(shown.has(`${where} ${h}`), `${where} shows ${h}`);
  // What would turn a text around is spelled out.
  await open(page, `${world.base}/targets`);
  await page.locator('.val').filter({ hasText: '\\u202eevil' }).first().waitFor();
  // Under the cursor, in the list of metrics and in completion too.
  await open(page, `${world.base}/query?g0.expr=hostile_metric&g0.tab=0&g0.range_input=1m`);
  const b = await page.locator('.u-over').boundingBox();
  await page.mouse.move(b.x + b.width - 8, b.y + 60);
  await page.locator('.tip:visible').filter({ hasText: '<script>' }).waitFor();
  await page.getByRole('button', { name: 'Metrics', exact: true }).click();
  await page.getByRole('searchbox').fill('hostile_metric');
  await page.locator('.metrics li').filter({ hasText: '<script>window.pwned=1</script>' }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.cm-content').click();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('hostile_metric{text="', { delay: 20 });
  await page.locator('.cm-tooltip-autocomplete li').filter({ hasText: '<script>' }).first().waitFor();
  assert.equal(await page.evaluate(() => window.pwned), undefined);
});

journey('the policy and the other listener', async (page, world) => {
  for (const base of [world.base, world.ui]) {
    const answer = await page.goto(`${base}/`);
    const policy = answer.headers()['content-security-policy'];
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:|data:/);
    await page.getByRole('figure').first().waitFor();
    // It is in force: what a text could bring along does not run.
    const ran = await page.evaluate(async () => {
      const s = document.createElement('script');
      s.textContent = 'window.inline = 1';
      document.body.append(s);
      const styled = document.createElement('div');
      styled.setAttribute('style', 'position:fixed');
      await new Promise((done) => setTimeout(done, 100));
      const seen = window.violations.length;
      window.violations = [];
      return { inline: window.inline, seen };
    });
    assert.equal(ran.inline, undefined);
    assert(ran.seen >= 1);
  }
  const icon = await page.locator('link[rel="icon"]').getAttribute('href');
  assert.equal((await page.request.get(new URL(icon, `${world.base}/`).href)).headers()['content-type'], 'image/svg+xml');
}, { allow: /Content Security Policy/ }); // this journey's own doing
