// What journeys share.
import assert from 'node:assert/strict';
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
