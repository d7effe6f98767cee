// Editing dashboards: panels, their places and settings, what is undone, saved, compared and restored.
import { readFileSync } from 'node:fs';
import { assert } from './lib.mjs';

const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const grid = (x, y, w, h) => ({ x, y, w, h });
const target = (expr, legendFormat = '{{job}}') => ({ refId: 'A', expr, legendFormat, unknownHere: true });
const board = (uid) => ({
  uid, title: `Edit ${uid}`, schemaVersion: 39, time: { from: 'now-5m', to: 'now' }, graphTooltip: 1, future: { kept: 12345678901234567890n },
  templating: { list: [{ name: 'job', type: 'query', query: 'label_values(up, job)', refresh: 1, sort: 1, multi: true, includeAll: true, current: { text: 'All', value: '$__all' } }] },
  panels: [
    { id: 1, type: 'timeseries', title: 'First', gridPos: grid(0, 0, 12, 8), targets: [target('up{job=~"$job"}')], fieldConfig: { defaults: { custom: { lineWidth: 1, somethingNew: [1] } }, overrides: [] }, options: {} },
    { id: 2, type: 'stat', title: 'Second', gridPos: grid(12, 0, 6, 4), targets: [target('vector(42)', 'answer')], options: { reduceOptions: { calcs: ['lastNotNull'] } }, fieldConfig: { defaults: {}, overrides: [] } },
    { id: 5, type: 'row', title: 'Later', collapsed: false, gridPos: grid(0, 8, 24, 1), panels: [] },
    { id: 3, type: 'text', title: 'Words', gridPos: grid(0, 9, 8, 4), options: { mode: 'markdown', content: '**hello**' } },
  ],
});
const text = (d) => JSON.stringify(d, (_, v) => (typeof v === 'bigint' ? `BIG${v}` : v), 2).replace(/"BIG(\d+)"/g, '$1');

async function put(world, d) {
  const sent = text(d), r = await fetch(`${world.base}/api/dashboards/import?overwrite=true`, { method: 'POST', body: sent, headers: { 'Content-Type': 'application/json' } });
  assert.equal(r.status, 200);
  return sent;
}
const stored = async (world, uid) => (await fetch(`${world.base}/api/dashboards/uid/${uid}/json`)).text();
const part = (page, title) => page.locator('.dash-panel').filter({ has: page.getByRole('heading', { name: title, exact: true }) });
async function open(page, url) {
  await page.goto(url);
  await page.locator('.dash-panel, .empty').first().waitFor();
  await page.waitForFunction(() => !document.querySelector('.waiting'));
}
async function save(page, note) {
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Save the dashboard' });
  await dialog.getByLabel('What was changed').fill(note);
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
}
async function check(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => `${n.target} ${n.failureSummary?.split('\n')[1] ?? ''}`).join(' | ')}`));
  assert.deepEqual(found, [], `${where}: ${found.join('\n')}`);
}

journey('edit: a panel is changed, undone, done again, saved; every other byte stays', async (page, world, { shots }) => {
  const sent = await put(world, board('edit-one'));
  await open(page, `${world.base}/d/edit-one`);
  await part(page, 'Second').hover();
  await page.keyboard.press('e');
  await page.getByRole('heading', { name: 'Edit Second' }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get('editPanel'), '2');
  await page.getByLabel('Title', { exact: true }).fill('Answer');
  await part(page, 'Answer').waitFor();
  await page.getByLabel('Unit', { exact: true }).fill('bytes');
  await page.getByLabel('Decimals', { exact: true }).fill('1');
  await page.waitForFunction(() => document.querySelector('.stat-value')?.textContent === '42.0 B');
  await page.getByLabel('Colour of', { exact: true }).selectOption('The background');
  await page.locator('.stat-cell.filled').waitFor();
  await page.getByRole('heading', { name: 'Edit Answer' }).click();
  await page.keyboard.press('Control+z');
  await page.locator('.stat-cell.filled').waitFor({ state: 'detached' });
  await page.keyboard.press('Control+Shift+z');
  await page.locator('.stat-cell.filled').waitFor();
  if (shots) await page.screenshot({ path: `${shots}/edit-panel.png`, fullPage: true });
  await save(page, 'a better answer');
  const now = await stored(world, 'edit-one');
  const want = board('edit-one');
  Object.assign(want.panels[1], { title: 'Answer', options: { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'background' }, fieldConfig: { defaults: { unit: 'bytes', decimals: 1 }, overrides: [] } });
  assert.equal(now, text(want), 'nothing else of the text has changed');
  assert(now.includes('12345678901234567890') && sent.includes('12345678901234567890'));
  // What the browser says after a reload is what was saved.
  await page.getByRole('button', { name: 'Back to the dashboard' }).click();
  await page.getByRole('button', { name: 'Done' }).click();
  await page.reload();
  await part(page, 'Answer').locator('.stat-cell.filled').waitFor();
});

journey('edit: queries, the wrong token, legends, transformations, overrides', async (page, world, { shots }) => {
  await put(world, board('edit-query'));
  await open(page, `${world.base}/d/edit-query?editPanel=1`);
  const code = page.locator('.query-edit .cm-content').first();
  await code.waitFor();
  await code.click();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete'); // typed over, the browser's own editing makes styles that the policy refuses
  await page.keyboard.type('sum by (job) up up');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.locator('.query-edit').getByRole('alert').getByText(/parse error/).waitFor();
  await page.waitForFunction(() => !!document.querySelector('.query-edit .editor')?.shadowRoot?.querySelector('.cm-fault'));
  await code.click();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete'); // typed over, the browser's own editing makes styles that the policy refuses
  await page.keyboard.type('sum by (job) (up)');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.locator('.query-told').getByText(/\d+ series/).waitFor();
  await page.getByLabel('Text', { exact: true }).fill('job {{job}}');
  await page.locator('.preview .legend .name', { hasText: 'job steady' }).waitFor();
  await page.getByRole('button', { name: 'Menu of First' }).click();
  const [saved] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save as PNG' }).click()]), picture = readFileSync(await saved.path());
  assert.equal(picture.subarray(1, 4).toString(), 'PNG');
  assert(picture.readUInt32BE(16) > 300 && picture.readUInt32BE(20) > 150, 'it has a size');
  await page.getByRole('button', { name: 'Duplicate query A' }).click();
  await page.getByRole('region', { name: 'Query B' }).waitFor();
  await page.getByRole('button', { name: 'Hide query A' }).click();
  await page.getByRole('button', { name: 'Remove query B' }).click();
  await page.getByRole('button', { name: 'Show query A' }).click();
  await page.getByRole('tab', { name: /Overrides/ }).click();
  await page.getByRole('button', { name: 'Add a rule' }).click();
  const rule = page.getByRole('region', { name: 'Rule 1' });
  await rule.getByLabel('Name', { exact: true }).fill('job steady');
  await rule.getByLabel('Add a setting to rule 1').selectOption('Values: Name');
  await rule.getByLabel('Name', { exact: true }).nth(1).fill('The steady one');
  await page.locator('.preview .legend .name', { hasText: 'The steady one' }).waitFor();
  await page.getByLabel('Visualization').selectOption('Table');
  await page.getByRole('tab', { name: /Transformations/ }).click();
  await page.getByRole('button', { name: /^Organize fields/ }).click();
  const organize = page.getByRole('region', { name: /Organize fields/ });
  await organize.getByRole('checkbox', { name: 'Time' }).uncheck();
  await organize.getByLabel('New name of Value').fill('How many');
  await page.locator('.preview th', { hasText: 'How many' }).waitFor();
  assert.deepEqual((await page.locator('.preview th button').allInnerTexts()).map((x) => x.trim()), ['job', 'How many']);
  if (shots) await page.screenshot({ path: `${shots}/edit-transform.png`, fullPage: true });
  await save(page, 'as a table');
  const p = JSON.parse(await stored(world, 'edit-query')).panels[0];
  assert.deepEqual([p.type, p.targets[0].expr, p.targets[0].unknownHere, p.transformations], ['table', 'sum by (job) (up)', true, [{ id: 'organize', options: { excludeByName: { Time: true }, renameByName: { Value: 'How many' } } }]]);
});

journey('edit: panels are moved, sized, copied and removed, by pointer and by keys', async (page, world, { shots }) => {
  await put(world, board('edit-grid'));
  await open(page, `${world.base}/d/edit-grid`);
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  const place = async (title) => { const b = await part(page, title).boundingBox(); return [Math.round(b.x), Math.round(b.y), Math.round(b.width), Math.round(b.height)]; };
  const before = await place('Second');
  const move = page.getByRole('button', { name: 'Move Second' });
  await move.focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Shift+ArrowDown');
  await page.waitForFunction((h) => document.querySelector('[data-panel="2"]').getBoundingClientRect().height > h, before[3]);
  await page.getByRole('status').getByText('Column 15, row 1, 6 wide, 5 high').waitFor({ state: 'attached' });
  if (shots) await page.screenshot({ path: `${shots}/edit-grid.png`, fullPage: true });
  // Dragged to the left edge, over the first: that one makes room below.
  const handle = await page.getByRole('button', { name: 'Move Second' }).boundingBox(), main = await page.locator('.dash-grid').boundingBox();
  await page.mouse.move(handle.x + 8, handle.y + 8);
  await page.mouse.down();
  await page.mouse.move(main.x + 300, handle.y + 10, { steps: 6 });
  await page.mouse.move(main.x + 8, handle.y + 8, { steps: 6 });
  await page.mouse.up();
  await page.waitForFunction(() => document.querySelector('[data-panel="2"]').getBoundingClientRect().left < document.querySelector('[data-panel="1"]').getBoundingClientRect().right && document.querySelector('[data-panel="1"]').getBoundingClientRect().top > document.querySelector('[data-panel="2"]').getBoundingClientRect().top);
  await page.getByRole('button', { name: 'Size Second' }).hover(); // it has come to rest
  const corner = await page.getByRole('button', { name: 'Size Second' }).boundingBox();
  await page.mouse.move(corner.x + 8, corner.y + 8);
  await page.mouse.down();
  await page.mouse.move(corner.x + 8 + main.width / 4, corner.y + 8, { steps: 5 });
  await page.mouse.up();
  await page.waitForFunction((w) => document.querySelector('[data-panel="2"]').getBoundingClientRect().width > w * 1.6, before[2]);
  await page.getByRole('button', { name: 'Menu of Words' }).click();
  await page.getByRole('button', { name: 'Duplicate', exact: true }).click();
  await page.waitForFunction(() => document.querySelectorAll('[data-type="text"]').length === 2);
  await page.getByRole('button', { name: 'Menu of First' }).click();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await part(page, 'First').waitFor({ state: 'detached' });
  await page.locator('.dash-row .fold').click();
  await page.waitForFunction(() => document.querySelectorAll('[data-type="text"]').length === 0);
  await page.getByRole('button', { name: /^Undo: Close a row/ }).click();
  await page.waitForFunction(() => document.querySelectorAll('[data-type="text"]').length === 2);
  await save(page, 'tidied');
  const d = JSON.parse(await stored(world, 'edit-grid'));
  assert.deepEqual(d.panels.map((p) => [p.id, p.gridPos.x, p.gridPos.y, p.gridPos.w, p.gridPos.h]), [[2, 0, 0, 12, 5], [5, 0, 5, 24, 1], [3, 0, 6, 8, 4], [6, 8, 6, 8, 4]]);
});

journey('edit: a new dashboard from nothing to a saved chart, with a variable', async (page, world, { shots }) => {
  await page.goto(`${world.base}/dashboards`);
  await page.getByRole('button', { name: 'New dashboard' }).click();
  const dialog = page.getByRole('dialog', { name: 'New dashboard' });
  await dialog.getByLabel('Title').fill('Made by hand');
  await dialog.getByLabel('Folder').fill('Team A');
  await dialog.getByRole('button', { name: 'Make it' }).click();
  await page.getByRole('toolbar', { name: 'Editing' }).waitFor();
  await page.getByRole('button', { name: 'Settings', exact: true }).click();
  await page.getByRole('tab', { name: 'Variables' }).click();
  await page.getByRole('button', { name: 'Add a variable' }).click();
  await page.getByLabel('Name', { exact: true }).fill('job');
  await page.getByRole('checkbox', { name: 'Several at once' }).check();
  await page.getByRole('checkbox', { name: 'With All' }).check();
  await page.getByRole('group', { name: 'Preview of values' }).getByText('steady').waitFor();
  if (shots) await page.screenshot({ path: `${shots}/edit-variable.png`, fullPage: true });
  await page.getByRole('tab', { name: 'General' }).click();
  await page.getByLabel('New tag').fill('mine');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Back to the dashboard' }).first().click();
  await page.getByRole('button', { name: '+ Add' }).click();
  await page.getByRole('button', { name: /^Time series/ }).click();
  const code = page.locator('.query-edit .cm-content').first();
  await code.waitFor();
  await code.click();
  await page.keyboard.type('up{job=~"$job"}');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.locator('.preview .legend .name').first().waitFor();
  await save(page, 'first chart');
  await page.getByRole('button', { name: 'Back to the dashboard' }).click();
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('button', { name: /^job: / }).waitFor();
  const uid = page.url().match(/\/d\/([\w-]+)/)[1], d = JSON.parse(await stored(world, uid));
  assert.deepEqual([d.tags, d.templating.list[0].name, d.panels[0].targets[0].expr], [['mine'], 'job', 'up{job=~"$job"}']);
  const found = await (await fetch(`${world.base}/api/search?query=Made`)).json();
  assert.equal(found[0].folderTitle, 'Team A');
  assert((await (await fetch(`${world.base}/api/folders`)).json()).some((f) => f.title === 'Team A' && f.uid === found[0].folderUid));
});

journey('edit: JSON with its faults, versions, their difference, and going back', async (page, world, { shots }) => {
  const first = await put(world, board('edit-json'));
  await page.goto(`${world.base}/d/edit-json?editview=json-model`);
  const area = page.getByLabel('JSON of the dashboard');
  assert.equal(await area.inputValue(), first);
  await area.fill(first.replace('"title": "Words",', '"title": "Words"'));
  const line = first.split('\n').findIndex((l) => l.includes('"Words"')) + 2;
  await page.getByRole('alert').getByText(`line ${line}, column 7: expected a comma or }`).waitFor();
  assert(await page.getByRole('button', { name: 'Take over' }).isDisabled());
  await area.fill(first.replace('"title": "Words"', '"title": "Other words"'));
  await page.getByRole('button', { name: 'Take over' }).click();
  await save(page, 'words');
  await page.getByRole('tab', { name: 'Versions' }).click();
  const rows = page.locator('.versions tbody tr');
  await rows.nth(1).waitFor();
  assert.deepEqual(await rows.locator('td:nth-child(5)').allInnerTexts(), ['words', '']);
  await page.getByRole('group', { name: 'Differences' }).getByText('Other words').waitFor();
  assert.deepEqual(await page.locator('.diff tr.gone .line, .diff tr.new .line').allInnerTexts(), ['      "title": "Words",', '      "title": "Other words",']);
  if (shots) await page.screenshot({ path: `${shots}/edit-versions.png`, fullPage: true });
  page.on('dialog', (d) => void d.accept());
  await page.getByRole('button', { name: 'Restore version 1' }).click();
  await part(page, 'Words').waitFor();
  assert.equal(await stored(world, 'edit-json'), first);
});

journey('edit: two people at once, a copy, leaving without saving', async (page, world) => {
  const sent = await put(world, board('edit-two'));
  await open(page, `${world.base}/d/edit-two?editPanel=3`);
  await page.getByLabel('Title', { exact: true }).fill('Mine');
  await put(world, JSON.parse(text({ ...board('edit-two'), future: 1, title: 'Theirs' })));
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Save the dashboard' });
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await dialog.getByRole('alert').getByText('was changed meanwhile').waitFor();
  assert.equal(JSON.parse(await stored(world, 'edit-two')).title, 'Theirs', 'nothing was overwritten');
  await dialog.getByRole('button', { name: 'Save over it' }).click();
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await stored(world, 'edit-two'), sent.replace('"Words"', '"Mine"'));
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Save as' }).click();
  const copy = page.getByRole('dialog', { name: 'Save as a copy' });
  await copy.getByLabel('Title').fill('A copy of two');
  await copy.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('heading', { name: 'A copy of two' }).waitFor();
  assert.notEqual(page.url().match(/\/d\/([\w-]+)/)[1], 'edit-two');
  // Unsaved changes are asked about; "no" stays, "yes" leaves.
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  await page.getByRole('button', { name: 'Menu of Mine' }).click();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await page.getByText('Unsaved changes').waitFor();
  let asked = 0, answer = false;
  page.on('dialog', (d) => { asked++; void (answer ? d.accept() : d.dismiss()); });
  await page.getByRole('navigation').getByRole('link', { name: 'Dashboards' }).click();
  await page.getByText('Unsaved changes').waitFor();
  answer = true;
  await page.getByRole('navigation').getByRole('link', { name: 'Dashboards' }).click();
  await page.getByRole('heading', { name: 'Dashboards' }).waitFor();
  assert.equal(asked, 2);
});

journey('edit: what comes from the program is kept as a copy only; old files are edited too', async (page, world) => {
  await open(page, `${world.base}/d/pharos-host?from=now-5m`);
  await page.getByRole('button', { name: 'Edit', exact: true }).click();
  await page.getByText('read-only', { exact: true }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Save', exact: true }).count(), 0);
  const old = { uid: 'edit-old', title: 'Old', schemaVersion: 14, rows: [{ title: 'R', panels: [{ id: 1, type: 'graph', title: 'Old graph', span: 6, fill: 3, yaxes: [{ format: 'percent' }, {}], targets: [{ refId: 'A', expr: 'up', legendFormat: '{{job}}' }] }, { id: 2, type: 'singlestat', title: 'Old stat', span: 6, targets: [{ refId: 'A', expr: 'vector(3)' }] }] }] };
  await put(world, old);
  await open(page, `${world.base}/d/edit-old?editPanel=1`);
  await page.getByLabel('Title', { exact: true }).fill('New graph');
  await part(page, 'New graph').locator('.legend .name').first().waitFor();
  await save(page, 'brought forward');
  const d = JSON.parse(await stored(world, 'edit-old'));
  assert.deepEqual([d.rows, d.panels[0].type, d.panels[0].fieldConfig.defaults.unit, d.panels[1].type], [undefined, 'timeseries', 'percent', 'singlestat']);
});

for (const colorScheme of ['light', 'dark']) {
  journey(`edit: axe finds nothing (${colorScheme})`, async (page, world, { shots }) => {
    await put(world, board('edit-axe'));
    await open(page, `${world.base}/d/edit-axe`);
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByRole('button', { name: 'Move Second' }).waitFor();
    await check(page, 'grid');
    await page.getByRole('button', { name: '+ Add' }).click();
    await check(page, 'add');
    for (const [name, query] of [['timeseries', 'editPanel=1'], ['stat', 'editPanel=2'], ['text', 'editPanel=3'], ...['settings', 'variables', 'annotations', 'links', 'json-model', 'versions'].map((v) => [v, `editview=${v}`])]) {
      await page.goto(`${world.base}/d/edit-axe?${query}`);
      await page.getByRole('toolbar', { name: 'Editing' }).waitFor();
      await page.waitForFunction(() => !document.querySelector('.waiting'));
      if (name === 'timeseries') { await page.getByRole('button', { name: 'Add a mapping' }).count() || await page.getByRole('button', { name: /^Value mappings/ }).click(); await page.getByRole('button', { name: 'Add a mapping' }).click(); await page.getByRole('button', { name: /^Colour of step 1/ }).click(); }
      if (name === 'variables') await page.getByRole('button', { name: 'job', exact: true }).click();
      if (name === 'annotations') await page.getByRole('button', { name: 'Add an annotation' }).click();
      if (name === 'links') await page.getByRole('button', { name: 'Add a link' }).click();
      await check(page, name);
      if (shots) await page.screenshot({ path: `${shots}/edit-${name}-${colorScheme}.png`, fullPage: true });
    }
  }, { colorScheme, viewport: { width: 1400, height: 1000 } });
}

journey('edit: on a phone', async (page, world, { shots }) => {
  await put(world, board('edit-phone'));
  for (const query of ['', '?editPanel=1', '?editview=variables', '?editview=json-model', '?editview=versions']) {
    await page.goto(`${world.base}/d/edit-phone${query}`);
    if (!query) await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByRole('toolbar', { name: 'Editing' }).waitFor();
    await page.waitForFunction(() => !document.querySelector('.waiting'));
    const size = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert(size[0] <= size[1], `${query} is ${size[0]} wide`);
    if (shots) await page.screenshot({ path: `${shots}/edit-phone${query.replace(/\W+/g, '-')}.png`, fullPage: true });
  }
}, { viewport: { width: 390, height: 800 } });
