import { until } from '../server.mjs';
import { assert, check, open, param, waitParam } from './lib.mjs';

/** The alerts whose ends differ, once each has come to its end. */
async function settled(world) {
  return until('the dispatcher to have looked at every group', async () => {
    const alerts = await world.am('alerts'), by = (name) => alerts.find((a) => a.labels.alertname === name);
    const { deliveries, deadLetters } = await world.api('alerting/deliveries');
    const told = (to) => deliveries.some((d) => d.integration === to && d.state === 'accepted');
    return ['DiskFull', 'DiskSlow', 'Nightly', 'Refused', 'Quiet'].every(by) && told('pager/webhook/0') && told('disks/webhook/0') && told('everybody/webhook/0') && deadLetters.length && by;
  });
}

const silenceOf = (name, value, ms, more = {}) => ({ matchers: [{ name, value, isRegex: false, isEqual: true }], createdBy: 'ada', comment: 'work on it', startsAt: new Date().toISOString(), endsAt: new Date(Date.now() + ms).toISOString(), ...more });
async function clear(world) {
  for (const s of await world.am('silences')) if (s.status.state !== 'expired') await world.am(`silence/${s.id}`, 'DELETE');
}
const stations = (page, way = 0) => page.locator('ol.path').nth(way).locator('li.station').evaluateAll((all) => Object.fromEntries(all.map((x) => [x.dataset.station, x.dataset.verdict])));

journey('alerting: groups as the API has them, states, severities by word and form', async (page, world, { shots }) => {
  await settled(world);
  await clear(world);
  await open(page, `${world.base}/alerts`);
  await page.locator('article.alert-card').first().waitFor();
  const groups = await world.am('alerts/groups');
  assert.equal(await page.locator('section.alert-group').count(), groups.length + 1, 'and the pending ones');
  for (const g of groups.filter((x) => x.labels.team)) {
    const section = page.locator('section.alert-group').filter({ has: page.locator('h2 .to', { hasText: g.receiver.name }) }).filter({ has: page.locator('h2 .label', { hasText: `team="${g.labels.team}"` }) });
    for (const a of g.alerts) await section.getByRole('article', { name: a.labels.alertname, exact: true }).getByText(a.annotations.summary).waitFor();
  }
  const firing = new Set(groups.flatMap((g) => g.alerts).filter((a) => a.status.state === 'active').map((a) => a.fingerprint));
  await page.getByText(`${firing.size} firing`).waitFor();
  const full = page.getByRole('article', { name: 'DiskFull' }).first(), slow = page.getByRole('article', { name: 'DiskSlow' });
  assert.equal(await full.locator('.severity').innerText(), 'critical');
  assert.notEqual(await full.locator('.severity svg').innerHTML(), await slow.locator('.severity svg').innerHTML(), 'the forms differ too');
  await slow.getByText('suppressed').waitFor();
  await slow.getByRole('link', { name: 'inhibited by another alert' }).waitFor();
  await page.getByRole('article', { name: 'WaitsALong' }).getByText('pending').waitFor();
  if (shots) await page.screenshot({ path: `${shots}/alerting-alerts.png`, fullPage: true });
  await full.getByRole('button', { name: 'History and details' }).click();
  await full.getByText(/^Fired once/).waitFor();
  const began = Number((await world.api('query', { query: 'ALERTS_FOR_STATE{alertname="DiskFull"}' })).result[0].value[1]);
  const row = await full.locator('table.episodes tbody tr').first().innerText();
  assert(row.includes('firing') && row.includes(new Date(began * 1000).toTimeString().slice(0, 8)), row);
  await page.getByLabel('State').selectOption('suppressed');
  await waitParam(page, 'state', 'suppressed');
  await page.waitForFunction(() => [...document.querySelectorAll('article.alert-card .badge')].every((b) => b.textContent.includes('suppressed')));
});

journey('alerting: filter by completion, by keys, in the address', async (page, world) => {
  await settled(world);
  await open(page, `${world.base}/alerts?view=list`);
  await page.locator('article.alert-card').first().waitFor();
  const box = page.getByRole('combobox', { name: 'Filter' });
  await box.focus();
  await page.keyboard.type('tea');
  await page.getByRole('option', { name: 'team=' }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('option', { name: 'team="disks"' }).waitFor();
  await page.keyboard.type('dis');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await waitParam(page, 'filter', '{team="disks"}');
  const wanted = await world.am('alerts?' + new URLSearchParams({ filter: 'team="disks"' }));
  await page.waitForFunction((n) => document.querySelectorAll('article.alert-card').length === n, wanted.length);
  await page.keyboard.type('severity=~"warn.*"');
  await page.keyboard.press('Enter');
  await waitParam(page, 'filter', '{team="disks", severity=~"warn.*"}');
  await page.waitForFunction(() => document.querySelectorAll('article.alert-card').length === 1);
  await page.reload();
  await page.getByRole('article', { name: 'DiskSlow' }).waitFor();
  await box.focus();
  await page.keyboard.press('Backspace');
  await waitParam(page, 'filter', '{team="disks"}');
  await page.getByRole('button', { name: 'Remove team="disks"' }).click();
  await page.waitForFunction(() => !new URL(location.href).searchParams.get('filter'));
  await page.locator('article.alert-card').nth(5).waitFor();
});

journey('alerting: silence from an alert, preview, edit, expire, recreate', async (page, world, { shots }) => {
  await settled(world);
  await clear(world);
  await open(page, `${world.base}/alerts?view=list&filter=${encodeURIComponent('{team="quiet"}')}`);
  await page.getByRole('article', { name: 'Quiet' }).getByRole('link', { name: 'Silence' }).click();
  const form = page.getByRole('region', { name: 'New silence' });
  await form.getByRole('heading', { name: 'Matches 1 alert now' }).waitFor();
  await form.getByRole('region', { name: 'What it matches now' }).getByText('Quiet', { exact: true }).waitFor();
  const n = Object.keys((await world.am('alerts')).find((a) => a.labels.alertname === 'Quiet').labels).length;
  assert.equal(await form.locator('.matcher-row').count(), n);
  // Fewer labels match more; one that nothing has matches nothing.
  for (let i = n; i > 1; i--) await form.getByRole('button', { name: `Remove matcher ${i}` }).click();
  await form.getByLabel('Label').fill('team');
  await form.getByLabel('Operator').selectOption('=~');
  await form.getByLabel('Value').fill('quiet|disks');
  await form.getByRole('heading', { name: 'Matches 3 alerts now' }).waitFor();
  if (shots) await page.screenshot({ path: `${shots}/alerting-silence-form.png`, fullPage: true });
  await form.getByRole('button', { name: 'Silence', exact: true }).click();
  await form.getByRole('alert').filter({ hasText: 'Still missing' }).waitFor().catch(() => {}); // or the browser's own word about required fields
  assert.equal((await world.am('silences')).filter((s) => s.status.state === 'active').length, 0, 'nothing is made without who and why');
  await form.getByLabel('Who').fill('grace');
  await form.getByLabel('Why').fill('the fan <b>again</b>');
  await form.getByRole('button', { name: '4h' }).click();
  await form.getByRole('button', { name: 'Silence', exact: true }).click();
  await page.getByText('The silence is in force.').waitFor();
  const [made] = (await world.am('silences')).filter((s) => s.status.state === 'active');
  assert.deepEqual(made.matchers, [{ name: 'team', value: 'quiet|disks', isRegex: true, isEqual: true }]);
  assert.equal(made.createdBy, 'grace');
  assert.equal(made.comment, 'the fan <b>again</b>');
  assert(Math.abs(Date.parse(made.endsAt) - Date.now() - 4 * 3600e3) < 120e3);
  const item = page.locator('article.silence').filter({ hasText: made.id });
  await item.getByText('the fan <b>again</b>').waitFor();
  await item.getByText('Keeps 3 alerts quiet').waitFor();
  await item.getByRole('button', { name: 'Edit' }).click();
  const edit = page.getByRole('region', { name: 'Edit the silence' });
  assert.equal(await edit.getByLabel('Who').inputValue(), 'grace');
  await edit.getByLabel('Why').fill('done by noon');
  await edit.getByRole('button', { name: 'Save' }).click();
  await page.locator('article.silence').getByText('done by noon').waitFor();
  assert.equal((await world.am(`silence/${made.id}`)).comment, 'done by noon', 'in place');
  const again = page.locator('article.silence').filter({ hasText: made.id });
  await again.getByRole('button', { name: 'Expire' }).click();
  await again.getByRole('button', { name: 'Yes, expire' }).click();
  await page.getByText('The silence has ended.').waitFor();
  assert.equal((await world.am(`silence/${made.id}`)).status.state, 'expired');
  await page.getByRole('button', { name: /^expired/ }).click();
  await page.locator('article.silence').filter({ hasText: made.id }).getByRole('button', { name: 'Recreate' }).click();
  assert.equal(await page.getByRole('region', { name: 'New silence' }).getByLabel('Value').inputValue(), 'quiet|disks');
  await page.getByRole('region', { name: 'New silence' }).getByRole('button', { name: 'Cancel' }).click();
  assert.equal(param(page, 'new'), null);
  // A silence that ends soon and keeps something quiet says so.
  await world.am('silences', 'POST', silenceOf('team', 'quiet', 300e3));
  await open(page, `${world.base}/silences`);
  await page.getByText('ends soon: 1 alert will notify again').waitFor();
  await clear(world);
});

journey('alerting: why did this notify, or not', async (page, world, { shots }) => {
  const by = await settled(world);
  await clear(world);
  const look = async (name, n) => {
    await open(page, `${world.base}/alert?fingerprint=${by(name).fingerprint}`);
    await page.locator('.answer').waitFor();
    if (shots) await page.screenshot({ path: `${shots}/alerting-why-${n}.png`, fullPage: true });
    return page.locator('.answer').innerText();
  };
  assert.match(await look('DiskFull', 'told'), /Everybody was told: pager\/webhook\/0, disks\/webhook\/0/);
  assert.equal(await page.locator('ol.path').count(), 3, `the rule, and two routes: ${await page.locator('main').innerText()}`);
  assert.deepEqual(await stations(page), { Rule: 'pass' });
  assert.deepEqual(await stations(page, 1), { Route: 'pass', Group: 'pass', Inhibition: 'pass', 'Time intervals': 'pass', Silences: 'pass', Delivery: 'pass' });
  const ways = (await world.api('alerting/why', { fingerprint: by('DiskFull').fingerprint })).routes;
  for (const r of ways) await page.getByText(r.groupKey).first().waitFor();
  await page.locator('.ledger').first().getByText('accepted').waitFor();
  assert.match(await look('DiskSlow', 'inhibited'), /Nobody is told: DiskFull inhibits it/);
  assert.deepEqual(await stations(page, 1), { Route: 'pass', Group: 'pass', Inhibition: 'stop', 'Time intervals': 'pass', Silences: 'pass', Delivery: 'off' });
  assert.match(await look('Nightly', 'muted'), /time interval mutes/);
  await page.getByText('by the time interval always').waitFor();
  assert.match(await look('Refused', 'refused'), /Telling refuses\/webhook\/0 failed/);
  await page.getByText(/HTTP 400/).first().waitFor();
  await world.am('silences', 'POST', silenceOf('team', 'quiet', 3600e3));
  // It was told already; the path says both: the silence holds it now, and who knows of it.
  await look('Quiet', 'silenced');
  assert.equal((await stations(page, 1)).Silences, 'stop');
  await page.getByRole('link', { name: 'work on it' }).click();
  await page.waitForURL(/\/silences\?id=/);
  await page.locator('article.silence.marked').getByText('work on it').waitFor();
  await clear(world);
  // A pending alert is known to its rule only.
  await open(page, `${world.base}/alert?labels=${encodeURIComponent('{alertname="WaitsALong"}')}`);
  assert.match(await page.locator('.answer').innerText(), /pending/);
  assert.deepEqual(await stations(page), { Rule: 'wait' });
  // One that nobody has: the way it would take.
  await open(page, `${world.base}/alert?labels=${encodeURIComponent('{alertname="Nobody", team="disks", severity="critical"}')}`);
  assert.match(await page.locator('.answer').innerText(), /no such alert/);
  assert.equal(await page.locator('ol.path').count(), 3);
});

journey('alerting: the routing tree and its tester', async (page, world, { shots }) => {
  await settled(world);
  await open(page, `${world.base}/routing`);
  const count = (r) => 1 + r.routes.reduce((n, x) => n + count(x), 0);
  assert.equal(await page.locator('li.node').count(), count(await world.api('alerting/routes')));
  const box = page.getByRole('combobox', { name: 'Filter' });
  const type = async (text) => {
    await box.focus();
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
  };
  await type('team="disks"');
  await type('severity=critical');
  const lit = async () => (await page.locator('li.node[data-verdict="taken"] > .node-box .receiver').allInnerTexts()).join();
  await page.waitForFunction(() => document.querySelectorAll('li.node[data-verdict="taken"]').length === 2);
  const q = new URLSearchParams([['label', 'team=disks'], ['label', 'severity=critical']]);
  const said = (await (await fetch(`${world.base}/api/v1/alerting/routes/test?${q}`)).json()).data;
  assert.equal(await lit(), said.receivers.join());
  assert.equal(await lit(), 'pager,disks');
  assert.match(await page.locator('li.node[data-verdict="refused"]').first().innerText(), /team="refused" but it is "disks"/);
  if (shots) await page.screenshot({ path: `${shots}/alerting-routing.png`, fullPage: true });
  // Nothing matches below: the root takes it. By an alert that is there.
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.waitForFunction(() => !document.querySelector('li.node[data-verdict="taken"]'));
  const target = (await world.am('alerts')).find((a) => a.labels.alertname === 'TargetIsDown');
  await page.getByLabel('Labels of an alert').selectOption(target.fingerprint);
  await page.waitForFunction(() => document.querySelector('li.node[data-verdict="taken"] .receiver')?.textContent === 'everybody');
});

journey('alerting: deliveries, the ledger, and trying again', async (page, world, { shots }) => {
  await settled(world);
  await open(page, `${world.base}/deliveries`);
  const { deliveries, deadLetters } = await world.api('alerting/deliveries');
  await page.locator('table.ledger-table tbody tr').first().waitFor();
  assert((await page.locator('table.ledger-table tbody tr').count()) >= Math.min(100, deliveries.length));
  const dead = page.getByRole('region', { name: 'Given up' });
  await dead.getByText(deadLetters[0].reason).first().waitFor();
  if (shots) await page.screenshot({ path: `${shots}/alerting-deliveries.png`, fullPage: true });
  await dead.getByRole('button', { name: /Try again/ }).first().click();
  await dead.getByText('It is told again').waitFor();
  await until('the second refusal', async () => (await world.api('alerting/deliveries')).deadLetters.length > deadLetters.length);
  await page.getByLabel('Integration').selectOption('pager/webhook/0');
  await waitParam(page, 'integration', 'pager/webhook/0');
  await page.waitForFunction(() => [...document.querySelectorAll('table.ledger-table tbody tr td:nth-child(3)')].every((x) => x.textContent === 'pager/webhook/0') && document.querySelector('table.ledger-table tbody tr'));
});

for (const colorScheme of ['light', 'dark']) {
  journey(`alerting: axe finds nothing on the way of an alert, ${colorScheme}`, async (page, world) => {
    const by = await settled(world);
    for (const name of ['DiskFull', 'DiskSlow', 'Nightly', 'Refused']) {
      await open(page, `${world.base}/alert?fingerprint=${by(name).fingerprint}`);
      await page.locator('.answer').waitFor();
      await check(page, name);
    }
    await open(page, `${world.base}/alerts`);
    await page.getByRole('button', { name: 'History and details' }).first().click();
    await page.locator('.history .strip').first().waitFor();
    await check(page, 'history');
  }, { colorScheme });
}
