import { render, type JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import icon from './icon.svg';
import { HomePage } from './pages/home';
import { QueryPage } from './pages/query';
import { AlertsPage, RulesPage } from './pages/rules';
import { StatusPage } from './pages/status';
import { TargetsPage } from './pages/targets';
import { Empty } from './parts';
import { go, href, route } from './router';
import { t } from './strings';
import './style.css';
import { choice, theme, type Choice } from './theme';

const pages: [string, string, () => JSX.Element][] = [
  ['/', 'Overview', HomePage], ['/query', 'Query', QueryPage], ['/targets', 'Targets', TargetsPage],
  ['/alerts', 'Alerts', AlertsPage], ['/rules', 'Rules', RulesPage], ['/status', 'Status', StatusPage],
];
const shortcuts: Record<string, string> = { o: '/', q: '/query', t: '/targets', a: '/alerts', r: '/rules', s: '/status' };

function ThemeButton(): JSX.Element {
  const next: Record<Choice, Choice> = { system: theme.value === 'dark' ? 'light' : 'dark', light: 'dark', dark: 'light' };
  return (
    <button type="button" class="ghost" onClick={() => (choice.value = next[choice.value])} aria-label={t('Switch between light and dark')} title={t('Light or dark')}>
      <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><circle cx="9" cy="9" r="6.5" fill="none" stroke="currentColor" stroke-width="1.5" /><path d="M9 2.500a6.500 6.500 0 0 1 0 13z" fill="currentColor" /></svg>
    </button>
  );
}

function App(): JSX.Element {
  const path = route.value.path;
  const page = pages.find(([p]) => p === path);
  useEffect(() => {
    document.title = page ? `${t(page[1])} · Pharos` : 'Pharos';
  }, [path]);
  useEffect(() => {
    let armed = 0;
    const onKey = (e: KeyboardEvent): void => {
      const inField = e.composedPath().some((x) => x instanceof HTMLElement && (x.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(x.tagName)));
      if (inField || e.ctrlKey || e.metaKey || e.altKey) return;
      if (e.key === 'g') armed = Date.now();
      else if (shortcuts[e.key] && Date.now() - armed < 1000) go(shortcuts[e.key]);
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const View = page?.[2];
  return (
    <>
      <a class="skip" href="#main">{t('Skip to the content')}</a>
      <header>
        <a class="brand" href={href('/')} data-page><img src={icon} width="26" height="26" alt="" /> Pharos</a>
        <nav aria-label={t('Pages')}>
          {pages.map(([p, name]) => <a href={href(p)} data-page aria-current={p === path ? 'page' : undefined} title={t('g then {0}', Object.keys(shortcuts).find((k) => shortcuts[k] === p) ?? '')}>{t(name)}</a>)}
        </nav>
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1}>{View ? <View /> : <Empty>{t('There is no page here.')} <a href={href('/')} data-page>{t('Overview')}</a></Empty>}</main>
    </>
  );
}

render(<App />, document.getElementById('app') as HTMLElement);
