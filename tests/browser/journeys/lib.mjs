// What journeys share.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
export { assert };

/** Opens a page and waits until what it loads at first is there. */
export async function open(page, url) {
  await page.goto(url);
  await page.locator('main .page').waitFor();
  await page.waitForFunction(() => !document.querySelector('.waiting'));
}

/** The editor's text box; it lives in a shadow root, which locators pierce. */
export const box = (page, n = 0) => page.locator('.query').nth(n).locator('.cm-content');

export async function query(page, world, expr, params = {}) {
  await open(page, `${world.base}/query?${new URLSearchParams({ 'g0.expr': expr, 'g0.tab': '0', ...params })}`);
  await box(page).waitFor();
}

export async function type(page, text) {
  await box(page).click();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete');
  await page.keyboard.type(text, { delay: 15 });
}

export const param = (page, name) => new URL(page.url()).searchParams.get(name);
export const waitParam = (page, name, value) => page.waitForFunction(([n, v]) => new URL(location.href).searchParams.get(n) === v, [name, value]);
export const seriesNames = (page) => page.locator('.legend-table button.series .name').allInnerTexts();

const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** axe finds nothing. */
export async function check(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  // The list of completions is driven from the text box (aria-activedescendant); its own focus would be a second one.
  const real = violations.filter((v) => !(v.id === 'scrollable-region-focusable' && v.nodes.every((n) => JSON.stringify(n.target).includes('cm-ac-'))));
  assert.deepEqual(real.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.failureSummary.split('\n')[1] ?? ''}`).join(' | ')}`), [], where);
}
