import { until } from '../server.mjs';
import { assert, check, open, waitParam } from './lib.mjs';

const form = (page) => page.getByRole('region', { name: 'The rule' });
const ruler = (world, path = '', init = {}) => fetch(`${world.base}/prometheus/config/v1/rules${path}`, init);

journey('rule: what it gives now, with its texts filled in', async (page, world, { shots }) => {
  await open(page, `${world.base}/rule?name=Steady&expr=${encodeURIComponent('up{job="steady"} > 0')}`);
  const now = page.getByRole('region', { name: 'What it gives now' });
  await now.getByRole('heading', { name: 'Would be firing now: 1 series' }).waitFor();
  await form(page).getByRole('button', { name: '+ severity' }).click();
  await form(page).getByRole('group', { name: 'Labels 1' }).getByLabel('Value').fill('page');
  await form(page).getByRole('button', { name: '+ summary' }).click();
  await form(page).getByRole('group', { name: 'Annotations 1' }).getByLabel('Text').fill('{{ $labels.job }} is {{ $value }}, {{ "<b>" }}');
  await now.getByText('steady is 1, <b>').waitFor();
  await now.locator('.severity').getByText('page').waitFor();
  await form(page).getByLabel('Fires after holding for').fill('5m');
  await now.getByRole('heading', { name: 'Would be pending now: 1 series' }).waitFor();
  await now.getByRole('figure').waitFor();
  await now.getByRole('button', { name: /threshold > 0/ }).waitFor();
  assert.match(await page.locator('pre.code').innerText(), /- alert: Steady\n.*expr: up\{job="steady"\} > 0\n.*for: 5m\n.*labels:\n.*severity: page\n.*annotations:\n/);
  if (shots) await page.screenshot({ path: `${shots}/rule.png`, fullPage: true });
  await check(page, 'rule');
  // All of it is in the address.
  await waitParam(page, 'for', '5m');
  await page.reload();
  await now.getByText('steady is 1, <b>').waitFor();
  // A wrong expression, and a wrong template, are said where they are.
  await page.locator('.cm-content').click();
  await page.keyboard.press('Control+End');
  await page.keyboard.type(' +');
  await form(page).getByText(/unexpected end of input/).waitFor();
  await page.getByText('not valid').waitFor();
  await page.keyboard.press('Backspace');
  await page.keyboard.press('Backspace');
  await page.getByText('valid', { exact: true }).waitFor();
  await form(page).getByRole('group', { name: 'Annotations 1' }).getByLabel('Text').fill('{{ oops');
  await form(page).getByText(/annotation "summary"/).waitFor();
});

journey('rule: the test over the past agrees with the API and with the engine', async (page, world, { shots }) => {
  // TargetIsDown has fired since the start; over the same time the test says so.
  await open(page, `${world.base}/rules?search=TargetIsDown`);
  await page.getByRole('link', { name: 'TargetIsDown', exact: true }).click();
  await page.waitForURL(/\/rule\?/);
  const past = page.getByRole('region', { name: 'Test over the past' });
  await past.getByRole('button', { name: '6h' }).click();
  await past.getByRole('button', { name: 'Test', exact: true }).click();
  await past.getByText(/Would have fired once in the last 6h/).waitFor();
  await waitParam(page, 'range', '6h');
  const body = new URLSearchParams({ alert: 'TargetIsDown', expr: 'up{job="refused"} == 0', start: String(Math.floor(Date.now() / 1000) - 21600), end: String(Math.floor(Date.now() / 1000)), interval: '1s' });
  const lines = (await (await fetch(`${world.base}/api/v1/rules/backtest`, { method: 'POST', body })).text()).trim().split('\n').map((l) => JSON.parse(l));
  assert.equal(lines.at(-1).done.firings, 1);
  assert.equal(lines.find((l) => l.firing).firing.endsAt, null, 'it still fires');
  const since = Number((await world.api('query', { query: 'ALERTS_FOR_STATE{alertname="TargetIsDown"}' })).result[0].value[1]);
  assert(Math.abs(lines.find((l) => l.firing).firing.startsAt - since) <= 2, 'since when the engine says, but for a tick');
  const row = await past.locator('table.firings tbody tr').first().innerText();
  assert.match(row, /\(still\)/);
  assert.match(row, /job="refused"/);
  await past.getByRole('img', { name: /would have fired: 1 times/ }).waitFor();
  await past.getByRole('figure').waitFor();
  if (shots) await page.screenshot({ path: `${shots}/rule-past.png`, fullPage: true });
  await check(page, 'the past');
  await page.locator('.cm-content').click();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('up < 0');
  await page.getByRole('heading', { name: 'Would not fire now' }).waitFor();
  await past.getByRole('button', { name: 'Test', exact: true }).click();
  await past.getByText(/Would not have fired/).waitFor();
});

journey('rule: kept by the server beside others of its group, by keys', async (page, world) => {
  await ruler(world, '/web', { method: 'POST', body: 'name: mine\nrules:\n- record: kept:first\n  expr: vector(3)\n' });
  await open(page, `${world.base}/rule?name=Kept&expr=${encodeURIComponent('vector(7) > 5')}&namespace=web&group=mine`);
  const keep = page.getByRole('region', { name: 'Keep it' });
  await page.getByRole('heading', { name: /Would be firing now/ }).waitFor();
  await keep.getByLabel('Group').focus();
  await page.keyboard.press('Enter');
  await keep.getByText('Kept, and evaluated from now on.').waitFor();
  const text = async () => (await ruler(world, '/web/mine')).text();
  assert.equal(await text(), 'name: mine\nrules:\n    - record: kept:first\n      expr: vector(3)\n    - alert: Kept\n      expr: vector(7) > 5\n');
  // Saved again it is replaced, not doubled.
  await form(page).getByLabel('Fires after holding for').fill('1h');
  await page.getByRole('heading', { name: /Would be pending now/ }).waitFor();
  await keep.getByRole('button', { name: 'Save' }).click();
  await until('the change', async () => (await text()).includes('for: 1h'));
  assert.equal((await text()).match(/alert: Kept/g).length, 1);
  await keep.getByRole('link', { name: 'See it among the rules' }).click();
  await page.locator('table.rules').getByText('Kept', { exact: true }).waitFor();
  await until('it to be pending', async () => (await world.api('rules', { type: 'alert' })).groups.some((g) => g.file === 'web' && g.rules[0].state === 'pending'));
  assert.equal((await ruler(world, '/web', { method: 'DELETE' })).status, 202);
});
