// The command palette: a page, a dashboard, a metric or an action by a few letters of its name.
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { presentBuiltIns, builtIns } from './builtin';
import { listDashboards } from './dash/store';
import { exploreLink } from './explore/state';
import { visible } from './format';
import { listMetrics } from './metrics';
import { go, href, route, setParams } from './router';
import { t } from './strings';
import { choice, contrast } from './theme';

interface Command { group: string; name: string; note?: string; keys?: string; run: () => void }
const most = 8;

/** Each letter in order, a word's beginning best; null when it does not fit. Smaller is better. */
export function score(text: string, query: string): number | null {
  const low = text.toLowerCase();
  let sum = 0;
  for (const word of query.toLowerCase().split(/\s+/).filter(Boolean)) {
    const at = low.indexOf(word);
    if (at >= 0) {
      sum += at === 0 ? 0 : /[^a-z0-9]/.test(low[at - 1]) ? 1 : 3;
      continue;
    }
    let k = 0;
    for (const c of low) if (c === word[k]) k++;
    if (k < word.length || word.length < 2) return null;
    sum += 8;
  }
  return sum + low.length / 1000;
}

export interface PalettePage { path: string; name: string; keys: string }

export function Palette({ pages, onClose, onKeys }: { pages: PalettePage[]; onClose: () => void; onKeys: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null), [query, setQuery] = useState(''), [at, setAt] = useState(0), [boards, setBoards] = useState<Command[]>([]), [metrics, setMetrics] = useState<Command[]>([]);
  const path = route.value.path, inDashboard = path.startsWith('/d/');
  useEffect(() => {
    dialog.current?.showModal();
    const abort = new AbortController();
    void Promise.all([listDashboards('', abort.signal), presentBuiltIns(abort.signal).catch(() => new Set(builtIns.map((b) => b.uid)))]).then(([all, there]) => setBoards(all.filter((d) => d.source !== 'builtin' || there.has(d.uid)).map((d) => ({ group: t('Dashboards'), name: d.title, note: d.folderTitle || d.tags.join(', '), run: () => go(`/d/${d.uid}`) }))), () => {});
    void listMetrics().then((all) => setMetrics(all.map((m) => ({ group: t('Metrics'), name: m.name, note: m.type, run: () => go('/explore', exploreLink(m.name)) }))), () => {});
    return () => abort.abort();
  }, []);
  const fixed = useMemo((): Command[] => {
    const act = (name: string, run: () => void, keys?: string): Command => ({ group: t('Actions'), name, run, keys });
    return [
      ...pages.map((p): Command => ({ group: t('Pages'), name: t(p.name), keys: p.keys, run: () => go(p.path) })),
      { group: t('Pages'), name: t('Explore: metrics without a query'), run: () => go('/explore', { view: 'metrics' }) },
      act(t('Refresh'), () => dispatchEvent(new Event('pharos-refresh')), 'd r'), ...(inDashboard ? [act(t('Kiosk: on or off'), () => setParams({ kiosk: route.value.params.has('kiosk') ? null : '' }), 'd k')] : []),
      act(t('Theme: light'), () => (choice.value = 'light')), act(t('Theme: dark'), () => (choice.value = 'dark')), act(t('Theme: as the system'), () => (choice.value = 'system')), act(contrast.value ? t('Theme: usual contrast') : t('Theme: high contrast'), () => (contrast.value = !contrast.value)),
      act(t('Copy the link of this page'), () => void navigator.clipboard?.writeText(location.href)), act(t('Keys'), onKeys, '?'), act(t('Sign of life: /metrics'), () => location.assign(href('/metrics'))),
    ];
  }, [inDashboard]);
  const shown = useMemo(() => {
    const pick = (all: Command[], n: number): Command[] => !query ? all.slice(0, n) : all.map((c) => ({ c, s: score(c.name, query) })).filter((x): x is { c: Command; s: number } => x.s !== null).sort((a, b) => a.s - b.s).slice(0, n).map((x) => x.c);
    const order = query ? [t('Pages'), t('Dashboards'), t('Actions'), t('Metrics')] : [t('Pages'), t('Actions'), t('Dashboards')];
    return order.flatMap((g) => pick([...fixed, ...boards, ...metrics].filter((c) => c.group === g), query ? most : 20));
  }, [query, fixed, boards, metrics]);
  const now = Math.min(at, shown.length - 1), run = (c: Command | undefined): void => { if (!c) return; dialog.current?.close(); c.run(); };
  useEffect(() => document.getElementById(`command-${now}`)?.scrollIntoView({ block: 'nearest' }), [now]);
  return (
    <dialog ref={dialog} class="palette" aria-label={t('Commands')} onClose={onClose} onClick={(e) => e.target === dialog.current && dialog.current?.close()}>
      <input type="text" role="combobox" autofocus aria-label={t('Search pages, dashboards, metrics and actions')} placeholder={t('Search pages, dashboards, metrics and actions')} aria-expanded="true" aria-controls="commands" aria-autocomplete="list" aria-activedescendant={shown.length ? `command-${now}` : undefined} autocomplete="off" spellcheck={false} value={query}
        onInput={(e) => { setQuery(e.currentTarget.value); setAt(0); }}
        onKeyDown={(e) => {
          const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[e.key];
          if (step) { e.preventDefault(); setAt(Math.max(0, Math.min(shown.length - 1, now + step))); } else if (e.key === 'Enter') { e.preventDefault(); run(shown[now]); }
        }} />
      <ul id="commands" role="listbox" aria-label={t('Commands')}>
        {shown.map((c, i) => (
          <>
            {(i === 0 || shown[i - 1].group !== c.group) && <li role="presentation" class="command-group">{c.group}</li>}
            <li role="option" id={`command-${i}`} aria-selected={i === now} onPointerMove={() => at !== i && setAt(i)} onClick={() => run(c)}><span>{visible(c.name)}</span>{c.note && <span class="muted small">{visible(c.note)}</span>}{c.keys && <kbd>{c.keys}</kbd>}</li>
          </>
        ))}
        {!shown.length && <li role="option" aria-selected="false" aria-disabled="true" class="muted">{t('Nothing matches.')}</li>}
      </ul>
    </dialog>
  );
}
