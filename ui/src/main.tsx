import { render, type JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import './early';
import icon from './icon.svg';
import { later } from './later';
import { Empty } from './parts';
import { go, href, route } from './router';
import { t } from './strings';
import './style.css';
import { switchTheme } from './theme';

// The shell alone loads at first; each page is a chunk, which the HTML of its address names, so that it comes beside the shell and not
// after it (scripts/embed_ui.mjs).
const page = (load: () => Promise<() => JSX.Element>): (() => JSX.Element) => { const Part = later<object>(load, (x) => <div class="page">{x}</div>, 2); return () => <Part />; };
const HomePage = page(() => import('./pages/home').then((m) => m.HomePage)), QueryPage = page(() => import('./pages/query').then((m) => m.QueryPage));
const DashboardsPage = page(() => import('./pages/dashboards').then((m) => m.DashboardsPage)), DashboardPage = page(() => import('./pages/dashboard').then((m) => m.DashboardPage));
const ExplorePage = page(() => import('./pages/explore').then((m) => m.ExplorePage));
const AlertsPage = page(() => import('./pages/alerts').then((m) => m.AlertsPage)), RulesPage = page(() => import('./pages/rules').then((m) => m.RulesPage));
const StatusPage = page(() => import('./pages/status').then((m) => m.StatusPage)), TargetsPage = page(() => import('./pages/targets').then((m) => m.TargetsPage));
const AlertPage = page(() => import('./pages/alert').then((m) => m.AlertPage)), SilencesPage = page(() => import('./pages/silences').then((m) => m.SilencesPage));
const RoutingPage = page(() => import('./pages/routing').then((m) => m.RoutingPage)), DeliveriesPage = page(() => import('./pages/deliveries').then((m) => m.DeliveriesPage));
const RulePage = page(() => import('./pages/rule').then((m) => m.RulePage));

const pages: [string, string, () => JSX.Element][] = [
  ['/', 'Overview', HomePage], ['/dashboards', 'Dashboards', DashboardsPage], ['/explore', 'Explore', ExplorePage], ['/query', 'Query', QueryPage], ['/targets', 'Targets', TargetsPage],
  ['/alerts', 'Alerts', AlertsPage], ['/rules', 'Rules', RulesPage], ['/status', 'Status', StatusPage],
];
// Pages without a place of their own in the navigation: address, name, whose they are.
const inner: [string, string, () => JSX.Element, string][] = [['/alert', 'Alert', AlertPage, '/alerts'], ['/silences', 'Silences', SilencesPage, '/alerts'], ['/routing', 'Routing', RoutingPage, '/alerts'], ['/deliveries', 'Deliveries', DeliveriesPage, '/alerts'], ['/rule', 'Rule', RulePage, '/rules']];
const Palette = later(() => import('./palette').then((m) => m.Palette), () => <></>);
const shortcuts: Record<string, string> = { o: '/', h: '/', d: '/dashboards', e: '/explore', q: '/query', t: '/targets', a: '/alerts', r: '/rules', s: '/status' };

function ThemeButton(): JSX.Element {
  return (
    <button type="button" class="icon" onClick={switchTheme} aria-label={t('Switch between light and dark')} title={t('Light or dark')}>
      <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><circle cx="9" cy="9" r="6.5" fill="none" stroke="currentColor" stroke-width="1.5" /><path d="M9 2.500a6.500 6.500 0 0 1 0 13z" fill="currentColor" /></svg>
    </button>
  );
}

const keyHelp: [string, string][] = [
  ['Ctrl+K', 'Search pages, dashboards, metrics and actions'], ['g o, g d, g e, g q, g t, g a, g r, g s', 'Overview, Dashboards, Explore, Query, Targets, Alerts, Rules, Status'], ['d r', 'Refresh'], ['t z, t ←, t →, t a', 'Time: twice the range, earlier, later, as two moments'], ['d k', 'In a dashboard: kiosk'], ['c t', 'Light or dark'], ['/', 'The expression, or the filter of the page'], ['Enter', 'Run the expression'],
  ['Shift+Enter', 'A new line in the expression'], ['Ctrl+Space', 'Complete'], ['← →', 'Read a chart that has the focus'], ['+ −', 'Zoom a chart that has the focus in and out'],
  ['Enter, Space', 'On a series: only this one; hide or show it'], ['?', 'This list'],
];

function KeyHelp({ onClose }: { onClose: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="help" aria-label={t('Keys')} onClose={onClose} onClick={(e) => e.target === dialog.current && dialog.current?.close()}>
      <div class="dialog-head"><h2>{t('Keys')}</h2><button type="button" class="icon" aria-label={t('Close')} onClick={() => dialog.current?.close()}>✕</button></div>
      <table class="data"><tbody>{keyHelp.map(([k, what]) => <tr><th scope="row"><kbd>{k}</kbd></th><td>{t(what)}</td></tr>)}</tbody></table>
      <p class="muted small">{t('On a chart: drag to zoom, double-click to zoom out.')}</p>
    </dialog>
  );
}

/** Puts the cursor where a page is told what to show. */
function focusField(): void {
  const editor = document.querySelector('.editor')?.shadowRoot?.querySelector('.cm-content');
  (editor instanceof HTMLElement ? editor : document.querySelector<HTMLElement>('main input[type="search"]'))?.focus();
}

function App(): JSX.Element {
  const path = route.value.path;
  const open = /^\/d(-solo)?\/[^/]+/.exec(path)?.[0];
  const within = inner.find(([p]) => p === path);
  const page = open ? (['/dashboards', 'Dashboards', DashboardPage] as (typeof pages)[0]) : (pages.find(([p]) => p === path) ?? within);
  const [help, setHelp] = useState(false), [palette, setPalette] = useState(false);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = page ? `${t(page[1])} · Pharos` : 'Pharos';
    // A new page begins at its content, for keyboards and readers too.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  useEffect(() => {
    let armed = '', armedAt = 0;
    const onKey = (e: KeyboardEvent): void => {
      if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === 'k') {
        e.preventDefault();
        setPalette(true);
        return;
      }
      const inField = e.composedPath().some((x) => x instanceof HTMLElement && (x.isContentEditable || /^(INPUT|TEXTAREA|SELECT|DIALOG)$/.test(x.tagName)));
      if (inField || e.ctrlKey || e.metaKey || e.altKey) return;
      const first = Date.now() - armedAt < 1000 ? armed : '';
      armed = '';
      if (first === 'g' && shortcuts[e.key]) go(shortcuts[e.key]);
      else if (first === 'c' && e.key === 't') switchTheme();
      else if (first === 'd' && e.key === 'r' && !location.pathname.includes('/d/')) dispatchEvent(new Event('pharos-refresh'));
      else if (e.key === 'g' || e.key === 'c' || e.key === 'd') {
        armed = e.key;
        armedAt = Date.now();
      }
      else if (e.key === '?') setHelp(true);
      else if (e.key === '/') {
        e.preventDefault();
        focusField();
      }
    };
    addEventListener('keydown', onKey, true);
    return () => removeEventListener('keydown', onKey, true);
  }, []);
  const View = page?.[2];
  return (
    <>
      <a class="skip" href="#main">{t('Skip to the content')}</a>
      <header>
        <a class="brand" href={href('/')} data-page><img src={icon} width="26" height="26" alt="" /> Pharos</a>
        <nav aria-label={t('Pages')}>
          {pages.map(([p, name]) => <a href={href(p)} data-page aria-current={p === path ? 'page' : p === (open ? '/dashboards' : within?.[3]) ? 'true' : undefined} title={t('Keys: g {0}', Object.keys(shortcuts).find((k) => shortcuts[k] === p) ?? '')}>{t(name)}</a>)}
        </nav>
        <span class="tools">
          <button type="button" class="jump" aria-label={t('Search or jump to')} aria-keyshortcuts="Control+K Meta+K" title={t('Search or jump to')} onClick={() => setPalette(true)}>
            <svg width="15" height="15" viewBox="0 0 15 15" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.500"><circle cx="6.500" cy="6.500" r="4.500" /><path d="m10 10 3.500 3.500" /></svg><kbd aria-hidden="true" data-keys="Ctrl K" />
          </button>
          <button type="button" class="icon" aria-label={t('Keys')} title={t('Keys (?)')} onClick={() => setHelp(true)}>?</button>
          <ThemeButton />
        </span>
      </header>
      <main id="main" tabIndex={-1} ref={main}>{View ? <View key={open ?? path} /> : <div class="page"><h1 class="sr-only">{t('Not found')}</h1><Empty><p>{t('There is no page here.')}</p><a href={href('/')} data-page>{t('Overview')}</a></Empty></div>}</main>
      {palette && <Palette pages={pages.map(([path, name]) => ({ path, name, keys: `g ${Object.keys(shortcuts).find((k) => shortcuts[k] === path) ?? ''}` }))} onClose={() => setPalette(false)} onKeys={() => setHelp(true)} />}
      {help && <KeyHelp onClose={() => setHelp(false)} />}
    </>
  );
}

render(<App />, document.getElementById('app') as HTMLElement);
