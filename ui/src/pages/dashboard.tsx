// One dashboard: its variables, time and links above, its panels on a grid of twenty-four columns.
import type { JSX } from 'preact';
import '../dash.css';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api';
import { readDashboard } from '../dash/migrate';
import { readyFor } from '../dash/migrate-panels';
import { formatMoment } from '../dash/moment';
import type { Dashboard, Panel, Variable } from '../dash/schema';
import { linkOf } from '../dash/fieldconfig';
import { listDashboards, listStores, readStored, removeStored } from '../dash/store';
import { ALL, fromUrl, toUrl } from '../dash/variables';
import { layout, View, type Placed } from '../dash/view';
import { words } from '../dash/vars';
import type { Session } from '../edit/session';
import { visible } from '../format';
import { useLoad } from '../hooks';
import { PanelFrame, type Action } from '../panels/frame';
import { download, Empty, Menu, Problem, Waiting } from '../parts';
import { go, href, route, setParams } from '../router';
import { t } from '../strings';
import { Refresh, useEvery } from '../time';

interface Opened { text: string; dashboard: Dashboard; view: View; source: string; version: number; folder: string }
type Editor = typeof import('../edit');
interface Editing { parts: Editor; session: Session }

const quick: [string, string][] = [['now-5m', '5m'], ['now-15m', '15m'], ['now-30m', '30m'], ['now-1h', '1h'], ['now-3h', '3h'], ['now-6h', '6h'], ['now-12h', '12h'], ['now-24h', '24h'], ['now-2d', '2d'], ['now-7d', '7d'], ['now-30d', '30d'], ['now-90d', '90d'], ['now/d', 'today'], ['now/w', 'this week'], ['now-1d/d', 'yesterday']];

function timeText({ from, to }: { from: string; to: string }, zone: string): string {
  const known = quick.find(([f]) => f === from && (to === 'now' || to === f));
  if (known) return /^\d/.test(known[1]) ? t('Last {0}', known[1]) : t(known[1]);
  const shown = (x: string): string => (/^\d{10,}$/.test(x) ? formatMoment(Number(x), 'YYYY-MM-DD HH:mm', zone) : x);
  return `${shown(from)} – ${shown(to)}`;
}

function Times({ view, onChange }: { view: View; onChange: (from: string, to: string) => void }): JSX.Element {
  const { from, to } = view.times.value, [a, setA] = useState(from), [b, setB] = useState(to), shift = (by: number): void => { const d = (view.span.to - view.span.from) * by; onChange(String(Math.round(view.span.from + d)), String(Math.round(view.span.to + d))); };
  return (
    <span class="group" role="group" aria-label={t('Time range')}>
      <button type="button" aria-label={t('Earlier')} title={t('Earlier by half the range')} onClick={() => shift(-0.5)}>‹</button>
      <Menu text={<span class="clip">{timeText({ from, to }, view.zone)} <span class="caret" aria-hidden="true">▾</span></span>} title={t('Time range')}>
        {(close) => (
          <div class="time-menu">
            <div class="quick">{quick.map(([f, name]) => <button type="button" class={f === from ? 'on' : ''} onClick={() => { close(); onChange(f, f.includes('/') ? f : 'now'); }}>{/^\d/.test(name) ? t('Last {0}', name) : t(name)}</button>)}</div>
            <form class="absolute" onSubmit={(e) => { e.preventDefault(); close(); onChange(a.trim(), b.trim()); }}>
              <label>{t('From')} <input type="text" value={a} spellcheck={false} onInput={(e) => setA(e.currentTarget.value)} /></label><label>{t('To')} <input type="text" value={b} spellcheck={false} onInput={(e) => setB(e.currentTarget.value)} /></label>
              <p class="hint">{t('now-6h, now/d, 2026-01-31 12:00, or milliseconds')}</p><button type="submit" class="primary">{t('Apply')}</button>
            </form>
          </div>
        )}
      </Menu>
      <button type="button" aria-label={t('Later')} title={t('Later by half the range')} onClick={() => shift(0.5)}>›</button>
      <button type="button" aria-label={t('Zoom out')} title={t('Twice the range')} onClick={() => zoomOut(view, onChange)}><svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.500"><circle cx="6" cy="6" r="4.500" /><path d="m9.300 9.300 3.700 3.700M4 6h4" /></svg></button>
    </span>
  );
}

function zoomOut(view: View, onChange: (from: string, to: string) => void): void {
  const { from, to } = view.span, half = (to - from) / 2, end = Math.min(Date.now(), to + half);
  onChange(String(Math.round(end - half * 4)), String(Math.round(end)));
}

function Choice({ v, view, onChange }: { v: Variable; view: View; onChange: () => void }): JSX.Element {
  const label = visible(v.label || v.name), [filter, setFilter] = useState(''), [draft, setDraft] = useState(v.current.value[0] ?? '');
  const set = (value: string[]): void => { view.choose(v.name, value); onChange(); };
  if (v.type === 'textbox') return <form class="variable" onSubmit={(e) => { e.preventDefault(); set([draft]); }}><label><span>{label}</span><input type="text" value={draft} spellcheck={false} onInput={(e) => setDraft(e.currentTarget.value)} onBlur={() => draft !== (v.current.value[0] ?? '') && set([draft])} /></label></form>;
  if (v.type === 'adhoc') return <Adhoc v={v} view={view} onChange={onChange} />;
  const options = [...(v.includeAll ? [{ text: t('All'), value: ALL }] : []), ...v.options], on = new Set(v.current.value), shown = options.filter((o) => o.text.toLowerCase().includes(filter.toLowerCase())).slice(0, 500);
  const text = !v.current.value.length ? t('none') : on.has(ALL) ? t('All') : v.current.value.map((x) => v.options.find((o) => o.value === x)?.text ?? x).join(' + ');
  const toggle = (value: string): void => {
    if (!v.multi) return set([value]);
    if (value === ALL) return set([ALL]);
    const next = v.current.value.filter((x) => x !== ALL && x !== value);
    set(on.has(value) ? (next.length ? next : v.includeAll ? [ALL] : [value]) : [...next, value]);
  };
  return (
    <span class="variable" title={v.problem ?? v.description}>
      {v.hide !== 1 && <span class="variable-label">{label}</span>}
      <Menu text={<span class={`clip ${v.problem ? 'bad' : ''}`}>{visible(text.length > 60 ? `${text.slice(0, 57)}…` : text)} <span class="caret" aria-hidden="true">▾</span></span>} label={`${label}: ${visible(text)}`}>
        {(close) => (
          <div class="options">
            {options.length > 8 && <input type="search" autofocus placeholder={t('Filter')} aria-label={t('Filter')} value={filter} onInput={(e) => setFilter(e.currentTarget.value)} />}
            {v.problem && <p class="hint bad">{v.problem}</p>}
            {!shown.length && <p class="hint">{t('Nothing to choose.')}</p>}
            <ul role="listbox" aria-label={label} aria-multiselectable={v.multi}>{shown.map((o) => <li role="option" aria-selected={on.has(o.value)} tabIndex={0} onClick={() => { toggle(o.value); if (!v.multi) close(); }} onKeyDown={(e) => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); toggle(o.value); if (!v.multi) close(); } else if (e.key === 'ArrowDown' || e.key === 'ArrowUp') { e.preventDefault(); ((e.key === 'ArrowDown' ? e.currentTarget.nextElementSibling : e.currentTarget.previousElementSibling) as HTMLElement | null)?.focus(); } }}>{v.multi && <span class="tick" aria-hidden="true">{on.has(o.value) ? '✓' : ''}</span>}{visible(o.text) || '""'}</li>)}</ul>
          </div>
        )}
      </Menu>
    </span>
  );
}

function Adhoc({ v, view, onChange }: { v: Variable; view: View; onChange: () => void }): JSX.Element {
  const [key, setKey] = useState(''), [operator, setOperator] = useState('='), [value, setValue] = useState(''), filters = v.filters ?? [];
  const set = (next: NonNullable<Variable['filters']>): void => { view.setFilters(v.name, next); onChange(); };
  return (
    <span class="variable">
      <span class="variable-label">{visible(v.label || v.name)}</span>
      {filters.map((f, i) => <button type="button" class="filter" title={t('Remove this filter')} onClick={() => set(filters.filter((_, k) => k !== i))}>{visible(`${f.key} ${f.operator} ${f.value}`)} ✕</button>)}
      <Menu text="+" label={t('Add a filter')}>
        {(close) => (
          <form class="absolute" onSubmit={(e) => { e.preventDefault(); if (key) set([...filters, { key, operator, value }]); close(); }}>
            <label>{t('Label')} <input type="text" value={key} onInput={(e) => setKey(e.currentTarget.value)} /></label>
            <label>{t('Comparison')} <select value={operator} onChange={(e) => setOperator(e.currentTarget.value)}>{['=', '!=', '=~', '!~'].map((o) => <option>{o}</option>)}</select></label>
            <label>{t('Value')} <input type="text" value={value} onInput={(e) => setValue(e.currentTarget.value)} /></label><button type="submit" class="primary">{t('Add')}</button>
          </form>
        )}
      </Menu>
    </span>
  );
}

function Links({ view }: { view: View }): JSX.Element | null {
  const [tagged, setTagged] = useState<{ title: string; uid: string; tags: string[] }[]>([]), list = view.dashboard.links;
  useEffect(() => { if (list.some((l) => l.type === 'dashboards')) listDashboards('').then(setTagged, () => {}); }, [view]);
  if (!list.length) return null;
  const extra = (l: (typeof list)[0]): string => [l.keepTime ? view.urlTime() : '', l.includeVars ? view.urlVariables() : ''].filter(Boolean).join('&');
  return (
    <span class="dash-links">
      {list.map((l) => {
        const more = extra(l);
        if (l.type === 'dashboards') {
          const all = tagged.filter((d) => d.uid !== view.dashboard.uid && l.tags.every((x) => d.tags.includes(x))), one = (d: (typeof all)[0]): JSX.Element => <a href={`${href(`/d/${d.uid}`)}${more ? `?${more}` : ''}`} data-page>{visible(d.title)}</a>;
          return !all.length ? null : l.asDropdown ? <Menu text={<>{visible(l.title || t('Dashboards'))} <span class="caret" aria-hidden="true">▾</span></>} align="right">{() => <ul class="panel-menu">{all.map((d) => <li>{one(d)}</li>)}</ul>}</Menu> : <>{all.map(one)}</>;
        }
        const made = linkOf({ title: l.title, url: l.url, targetBlank: l.targetBlank }, (x, enc) => view.link(x, view.scope(), enc));
        return made && <a href={more ? `${made.href}${made.href.includes('?') ? '&' : '?'}${more}` : made.href} target={made.blank ? '_blank' : undefined} rel="noreferrer noopener" title={l.tooltip}>{visible(made.title || made.href)}</a>;
      })}
    </span>
  );
}

const cellHeight = 30, gap = 8;

interface GridProps { view: View; placed: Placed[]; width: number; alone: number | null; closed: (row: Panel, key: string) => boolean; onRow: (key: string, row: Panel) => void; zoom: { in: (a: number, b: number) => void; out: () => void }; onView: (id: number | null) => void; onEdit: (id: number) => void; editing: Editing | null }

function Grid({ view, placed, width, alone, closed, onRow, zoom, onView, onEdit, editing }: GridProps): JSX.Element {
  const narrow = width < 620, column = (width - 23 * gap) / 24, preview = editing?.session.preview.value;
  const edit = (id: number): Action => ({ text: t('Edit'), run: () => onEdit(id) });
  if (alone !== null) {
    const one = placed.find((p) => p.panel.id === alone);
    return one ? <PanelFrame key={`alone/${one.key}`} panel={one.panel} view={view} locals={one.locals} width={width} height={Math.max(320, innerHeight - 150)} alone onZoom={zoom.in} onZoomOut={zoom.out} onView={() => onView(null)} actions={[edit(alone)]} /> : <Empty><p>{t('There is no such panel.')}</p></Empty>;
  }
  let y = 0, bottom = 0;
  const cells = placed.map(({ panel, locals, key, at }) => {
    const isOwn = key === String(panel.id), g = (isOwn && preview?.get(panel.id)) || at, h = g.h * cellHeight + (g.h - 1) * gap;
    const box = narrow ? { left: 0, top: y, width, height: panel.type === 'row' ? 34 : Math.max(h > 420 ? 420 : h, panel.type === 'stat' ? 90 : 120) } : { left: g.x * (column + gap), top: g.y * (cellHeight + gap), width: g.w * column + (g.w - 1) * gap, height: h };
    if (narrow) y += box.height + gap;
    bottom = Math.max(bottom, box.top + box.height);
    const place: JSX.CSSProperties = { transform: `translate(${box.left.toFixed(1)}px, ${box.top}px)` };
    if (panel.type === 'row') {
      const isClosed = closed(panel, key);
      return <div class="dash-cell" key={`row/${key}`} style={{ ...place, width: `${width}px` }}><h2 class="dash-row"><button type="button" class="fold" aria-expanded={!isClosed} onClick={() => onRow(key, panel)}>{visible(view.text(panel.title, locals, words)) || t('Row')}</button></h2>{editing && isOwn && <editing.parts.RowTools session={editing.session} row={panel} />}</div>;
    }
    const own = editing && isOwn ? editing : null;
    return <div class={`dash-cell ${own ? 'editable' : ''}`} key={key} style={place}><PanelFrame panel={panel} view={view} locals={locals} width={Math.floor(box.width)} height={box.height} onZoom={zoom.in} onZoomOut={zoom.out} onView={onView} actions={[edit(panel.id), ...(own ? own.parts.panelActions(own.session, panel.id) : [])]} tools={own && !narrow && <own.parts.PanelTools session={own.session} panel={panel} at={at} column={column + gap} row={cellHeight + gap} />} /></div>;
  });
  return <div class={`dash-grid ${editing ? 'editing' : ''}`} style={{ height: `${bottom}px` }}>{cells}</div>;
}

function Open({ opened, onReload }: { opened: Opened; onReload: () => void }): JSX.Element {
  const { view, text, source } = opened, params = route.value.params, kiosk = params.has('kiosk'), alone = params.get('viewPanel'), editPanel = params.get('editPanel'), editView = params.get('editview');
  const [editing, setEditing] = useState<Editing | null>(null), dashboard = editing ? editing.session.dashboard.value : view.dashboard;
  const edit = async (): Promise<Editing> => {
    if (editing) return editing;
    const parts = await import('../edit'), made = { parts, session: new parts.Session(view, dashboard.uid, text, opened.version, source, opened.folder) };
    setEditing(made);
    return made;
  };
  const editOne = (id: number): void => void edit().then(() => setParams({ editPanel: String(id), viewPanel: null }, true));
  const box = useRef<HTMLDivElement>(null), [width, setWidth] = useState(0), [closed, setClosed] = useState<Record<string, boolean>>({}), [marks, setMarks] = useState<Record<string, boolean>>({});
  const refresh = params.get('refresh') ?? dashboard.refresh;
  const editorOpen = !!(editPanel || editView);
  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    const watch = new ResizeObserver(() => setWidth(el.clientWidth));
    watch.observe(el);
    setWidth(el.clientWidth);
    return () => watch.disconnect();
  }, [editorOpen]);
  const again = (onlyTime: boolean): void => {
    view.resolveTime();
    void view.loadVariables(undefined, onlyTime).catch(() => {}).then(() => { view.refresh(); void view.loadRegions(marks).catch(() => {}); });
  };
  useEffect(() => { again(false); }, [view]);
  // An address may open at the editor.
  useEffect(() => { if (editPanel || editView || params.has('edit')) void edit().then(() => setParams({ edit: null })); }, [!editPanel && !editView]);
  useEffect(() => { void view.loadRegions(marks).catch(() => {}); }, [marks, JSON.stringify(dashboard.annotations)]);
  useEvery(refresh === 'off' ? '' : refresh, () => again(true));
  const setTimes = (from: string, to: string): void => {
    view.times.value = { from, to };
    setParams({ from, to }, true);
    again(true);
  };
  // Back and forward bring the time and the choices of their address.
  const address = `${params.get('from') ?? dashboard.time.from}|${params.get('to') ?? dashboard.time.to}`;
  useEffect(() => {
    const [from, to] = address.split('|');
    if (from !== view.times.value.from || to !== view.times.value.to) {
      view.times.value = { from, to };
      again(true);
    }
  }, [address]);
  const changed = (): void => {
    const change = new URLSearchParams(location.search);
    for (const v of view.variables.value) {
      change.delete(`var-${v.name}`);
      if (!v.skipUrlSync) for (const x of toUrl(v)) change.append(`var-${v.name}`, x);
    }
    history.pushState(null, '', `${location.pathname}?${change}`);
    again(false);
  };
  useEffect(() => {
    let armed = 0;
    const onKey = (e: KeyboardEvent): void => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.composedPath().some((x) => x instanceof HTMLElement && (x.isContentEditable || /^(INPUT|TEXTAREA|SELECT|DIALOG)$/.test(x.tagName)))) return;
      const was = Date.now() - armed < 1000;
      armed = e.key === 'd' || e.key === 't' ? Date.now() : 0;
      const panel = Number(document.querySelector<HTMLElement>('.dash-panel:hover, .dash-panel:focus-within')?.dataset.panel);
      if (was && e.key === 'r') again(true);
      else if (was && e.key === 's') void edit().then(() => setParams({ editview: 'settings' }, true));
      else if (!was && e.key === 'e') { if (panel) editOne(panel); else void edit(); }
      else if (!was && e.key === 'v' && panel) setParams({ viewPanel: alone ? null : String(panel) }, true);
      else if (was && e.key === 'k') setParams({ kiosk: kiosk ? null : '' });
      else if (was && e.key === 'z') zoomOut(view, setTimes);
      else if (e.key === 'Escape' && (alone || kiosk)) setParams({ viewPanel: null, kiosk: null });
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  });
  useEffect(() => {
    document.documentElement.classList.toggle('kiosk', kiosk);
    return () => document.documentElement.classList.remove('kiosk');
  }, [kiosk]);
  const isClosed = (row: Panel, key: string): boolean => (editing ? !!row.collapsed : (closed[key] ?? !!row.collapsed));
  const placed = useMemo(() => layout(dashboard, view.variables.value, isClosed), [dashboard, view.variables.value, closed, editing]);
  const visibleVariables = view.variables.value.filter((v) => v.hide !== 2 && v.type !== 'constant'), annotated = dashboard.annotations.filter((a) => !a.builtIn && a.expr && !a.hide);
  const zoom = { in: (a: number, b: number): void => setTimes(String(Math.round(a)), String(Math.round(Math.max(b, a + 1000)))), out: () => zoomOut(view, setTimes) };
  const choices = (visibleVariables.length > 0 || annotated.length > 0) && (
    <div class="bar variables" role="group" aria-label={t('Variables')}>
      {visibleVariables.map((v) => <Choice key={v.name} v={v} view={view} onChange={changed} />)}
      {annotated.map((a) => <label class="check"><input type="checkbox" checked={marks[a.name] ?? a.enable} onChange={(e) => setMarks({ ...marks, [a.name]: e.currentTarget.checked })} />{visible(a.name)}</label>)}
    </div>
  );
  const tools = <><Times view={view} onChange={setTimes} /><Refresh value={refresh === 'off' ? '' : refresh} onChange={(v) => setParams({ refresh: v || 'off' })} onNow={() => again(true)} /></>;
  if (editing && (editPanel || editView)) {
    const { parts, session } = editing, close = (): void => setParams({ editPanel: null, editview: null }, true);
    return (
      <div class="page dash-page">
        <parts.EditBar session={session} onEnd={(reload) => { close(); setEditing(null); if (reload) onReload(); }} tools={editPanel ? tools : null} onClose={close} />
        {editPanel ? <>{choices}<parts.PanelEditor session={session} id={Number(editPanel.replace(/\D/g, ''))} zoom={zoom} onClose={close} /></> : <parts.Settings session={session} tab={editView ?? ''} onClose={close} onReload={() => { setEditing(null); close(); onReload(); }} />}
      </div>
    );
  }
  if (editPanel || editView) return <div class="page"><h1 class="sr-only">{visible(dashboard.title)}</h1><Waiting rows={2} /></div>;
  return (
    <div class="page dash-page">
      {editing && <editing.parts.EditBar session={editing.session} onEnd={(reload) => { setEditing(null); if (reload) onReload(); }} tools={null} />}
      <div class="bar head">
        <h1>{visible(dashboard.title) || t('Dashboard')}</h1>
        <span class="spacer" /><Links view={view} />
        {tools}
        {!editing && <button type="button" onClick={() => void edit()}>{t('Edit')}</button>}
        <Menu text={<span aria-hidden="true">⋮</span>} label={t('Menu of the dashboard')} align="right">
          {(close) => (
            <ul class="panel-menu">
              <li><button type="button" onClick={() => { close(); download(`${dashboard.title.replace(/[^\w.-]+/g, '-') || 'dashboard'}.json`, 'application/json', editing ? editing.session.text : text); }}>{t('Export JSON')}</button></li>
              {[['settings', t('Settings')], ['json-model', t('JSON')], ...(source === '' ? [['versions', t('Versions')]] : [])].map(([key, name]) => <li><button type="button" onClick={() => { close(); void edit().then(() => setParams({ editview: key }, true)); }}>{name}</button></li>)}
              <li><button type="button" onClick={() => { close(); setParams({ kiosk: '' }); }}>{t('Kiosk')}</button></li>
              {source === '' && <li><button type="button" onClick={() => { close(); if (confirm(t('Remove "{0}"?', dashboard.title))) void removeStored(dashboard.uid).then(() => go('/dashboards')); }}>{t('Remove')}</button></li>}
            </ul>
          )}
        </Menu>
      </div>
      {choices}
      {dashboard.problems.length > 0 && <ul class="notes">{dashboard.problems.map((p) => <li class="warning">{p}</li>)}</ul>}
      <div ref={box}>{width > 0 && <Grid view={view} placed={placed} width={width} alone={alone ? Number(alone.replace(/\D/g, '')) : null} closed={isClosed} onRow={(key, row) => (editing ? editing.parts.fold(editing.session, row) : setClosed({ ...closed, [key]: !isClosed(row, key) }))} zoom={zoom} onView={(id) => setParams({ viewPanel: id === null || alone ? null : String(id) }, true)} onEdit={editOne} editing={editing} />}</div>
      {!dashboard.panels.length && <Empty><p>{t('This dashboard has no panels.')}</p>{!editing && <button type="button" class="primary" onClick={() => void edit()}>{t('Edit')}</button>}</Empty>}
    </div>
  );
}

export function DashboardPage(): JSX.Element {
  const uid = route.value.path.split('/')[2] ?? '';
  const load = useLoad(async (signal): Promise<Opened> => {
    const [{ text, meta }, stores] = await Promise.all([readStored(uid, signal), listStores(signal)]);
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (e) {
      throw new ApiError('bad_data', `${t('This dashboard is not JSON')}: ${(e as Error).message}`, 0);
    }
    await readyFor(text);
    const dashboard = { ...readDashboard(json), uid }, params = new URLSearchParams(location.search);
    if (params.get('timezone')) dashboard.timezone = params.get('timezone') as string;
    const view = new View({ ...dashboard, variables: fromUrl(dashboard.variables, params) }, stores, { from: params.get('from') ?? dashboard.time.from, to: params.get('to') ?? dashboard.time.to });
    document.title = `${dashboard.title} · Pharos`;
    return { text, dashboard: view.dashboard, view, source: meta.source, version: meta.version, folder: meta.folderTitle };
  }, [uid]);
  if (load.error) return <div class="page"><h1>{t('Dashboard')}</h1><Problem error={load.error} /><p><a href={href('/dashboards')} data-page>{t('All dashboards')}</a></p></div>;
  if (!load.data) return <div class="page"><h1 class="sr-only">{t('Dashboard')}</h1><Waiting rows={2} /></div>;
  return <Open key={`${uid}/${load.data.version}`} opened={load.data} onReload={load.reload} />;
}
