import { assert, box, check, open, query, type, waitParam } from './lib.mjs';

const panes = encodeURIComponent(JSON.stringify({ a: { queries: [{ refId: 'A', expr: 'sum by (job) (rate(prometheus_http_requests_total{code="200"}[1m]))', editorMode: 'builder' }, { refId: 'B', expr: 'up / up', editorMode: 'builder' }], range: { from: 'now-5m', to: 'now' } }, b: { queries: [{ refId: 'A', expr: 'node_load1', editorMode: 'code' }], range: { from: 'now-5m', to: 'now' } } }));
const pages = ['/', '/explore', `/explore?panes=${panes}`, '/explore?view=metrics&prefix=process', '/explore?view=metrics&metric=prometheus_http_requests_total', '/explore?view=metrics&metric=prometheus_http_requests_total&by=handler', '/dashboards', '/query', '/query?g0.expr=up&g0.tab=0&g0.range_input=1m', '/query?g0.expr=up&g0.tab=1', '/query?g0.expr=rate(up)', '/targets', '/alerts', '/alerts?view=rules', '/alerts?view=list&filter=%7Bteam%3D%22disks%22%7D', '/silences', '/silences?new=1&filter=%7Bteam%3D%22disks%22%7D', '/routing', '/routing?labels=%7Bteam%3D%22disks%22%2Cseverity%3D%22critical%22%7D', '/deliveries', '/alert?labels=%7Balertname%3D%22Nobody%22%7D', '/rules', '/rule?name=A&expr=up%20%3E%200', '/status', '/status?tab=storage', '/status?tab=config', '/status?tab=flags'];

for (const [colorScheme, more] of [['light', false], ['dark', false], ['light', true], ['dark', true]]) {
  journey(`axe: no violation, ${colorScheme}${more ? ', high contrast' : ''}`, async (page, world, { shots }) => {
    if (more) await page.addInitScript(() => localStorage.setItem('pharos.contrast', 'more'));
    for (const path of pages) {
      await open(page, world.base + path);
      await page.waitForTimeout(500);
      await check(page, path);
      if (shots && colorScheme === 'dark') await page.screenshot({ path: `${shots}/dark${path.replace(/\W+/g, '-').slice(0, 60)}.png`, fullPage: true });
    }
    await query(page, world, 'up');
    await page.getByRole('button', { name: /^Last 1h/ }).click();
    await check(page, 'time menu');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Metrics', exact: true }).click();
    await page.locator('.metrics li').first().waitFor();
    await check(page, 'list of metrics');
    await page.keyboard.press('Escape');
    await type(page, 'node_cp');
    await page.locator('.cm-tooltip-autocomplete li').first().waitFor();
    await check(page, 'completion');
    await open(page, `${world.base}/explore?panes=${panes}`);
    await page.getByRole('combobox', { name: 'Metric', exact: true }).first().click();
    await page.locator('.combo-list .mono').first().waitFor();
    await check(page, 'a list of the builder');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: '+ Operation' }).first().click();
    await check(page, 'operations');
    await page.keyboard.press('Escape');
    for (const [button, dialog] of [['Inspect', 'Inspector'], ['History', 'Query history'], ['Add to dashboard', 'Add to dashboard']]) {
      await page.getByRole('button', { name: button, exact: true }).first().click();
      await page.getByRole('dialog', { name: dialog }).waitFor();
      await check(page, dialog);
      await page.keyboard.press('Escape');
    }
    await page.keyboard.press('Control+K');
    await page.locator('#commands [role="option"]').nth(3).waitFor();
    await check(page, 'commands');
    await page.keyboard.press('Escape');
    await open(page, `${world.base}/`);
    await page.getByRole('button', { name: /^Grafana Alloy/ }).click();
    await check(page, 'a source');
    await open(page, `${world.base}/alerts`);
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    await check(page, 'keys');
  }, { colorScheme });
}

for (const width of [390, 360]) {
  journey(`phone: ${width} px wide`, async (page, world, { shots }) => {
    for (const path of pages) {
      await open(page, world.base + path);
      await page.waitForTimeout(400);
      const size = await page.evaluate(() => ({ inner: document.documentElement.clientWidth, scroll: document.documentElement.scrollWidth }));
      assert(size.scroll <= size.inner, `${path} is ${size.scroll} wide`);
      if (shots) await page.screenshot({ path: `${shots}/phone-${width}${path.replace(/\W+/g, '-').slice(0, 60)}.png`, fullPage: true });
    }
    for (const link of await page.getByRole('navigation').getByRole('link').all()) {
      const b = await link.boundingBox();
      assert(b.x >= 0 && b.x + b.width <= width, `${await link.innerText()} is on the screen`);
    }
    await query(page, world, 'up');
    await page.getByRole('button', { name: /^Last 1h/ }).tap();
    const menu = await page.locator('.menu').boundingBox();
    assert(menu.x >= 0 && menu.x + menu.width <= width, 'the time menu is on the screen');
    if (shots) await page.screenshot({ path: `${shots}/phone-${width}-menu.png` });
    await page.getByRole('button', { name: 'Last 15m' }).tap();
    await waitParam(page, 'g0.range_input', '15m');
  }, { viewport: { width, height: 800 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
}

journey('keys only: from the overview to an answer and to an alert', async (page, world) => {
  await open(page, `${world.base}/`);
  await page.getByRole('figure').nth(5).waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  // Each stop is visible and marked, and they follow the page.
  let before = null;
  for (let i = 0; i < 30; i++) {
    await page.keyboard.press('Tab');
    const now = await page.evaluate(() => {
      const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);
      return { what: e.outerHTML.slice(0, 80), top: r.top + scrollY, width: r.width, outline: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1, body: e === document.body };
    });
    if (now.body) break;
    assert(now.outline && now.width > 0, `the focus is seen on ${now.what}`);
    if (before) assert(now.top > before.top - 420, `the focus does not jump back to ${now.what}`);
    before = now;
  }
  await page.keyboard.press('g');
  await page.keyboard.press('q');
  await page.waitForURL(/\/query/);
  await box(page).waitFor();
  await page.waitForFunction(() => document.activeElement?.classList.contains('editor'));
  await page.keyboard.type('sum(up)');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.getByRole('figure').waitFor();
  // Tab leaves the editor: it is no trap.
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Metrics');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Run');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Graph');
  await page.keyboard.press('ArrowRight');
  await page.locator('table.data').first().waitFor();
  assert.equal(new URL(page.url()).searchParams.get('g0.tab'), '1');
  await page.keyboard.press('g');
  await page.keyboard.press('a');
  await page.getByRole('heading', { name: 'Alerts' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.keyboard.press('/');
  await page.keyboard.type('TargetIsDown');
  await page.getByText('refused is down').first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll('article.alert-card').length === 1);
});

journey('light and dark: by the system, by choice, and kept', async (page, world) => {
  await open(page, `${world.base}/`);
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  assert.equal(await theme(), 'light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
  await page.getByRole('button', { name: 'Switch between light and dark' }).click();
  assert.equal(await theme(), 'light');
  await page.reload();
  await page.locator('main .page').waitFor();
  assert.equal(await theme(), 'light');
});
