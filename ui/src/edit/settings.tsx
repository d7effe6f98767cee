// A dashboard's settings: what it is called, its time, variables, annotations and links; its JSON; its versions.
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Variable } from '../dash/schema';
import { queryText } from '../dash/variables';
import { visible } from '../format';
import { CopyButton, download, Menu, Tabs, TabPanel } from '../parts';
import { setParams } from '../router';
import { t } from '../strings';
import type { Json } from './document';
import { CheckField, Choices, ColorField, Field, ListTools, ManyField, movedItem, SelectField, TextField } from './fields';
import { JsonError, parseJson } from './json';
import { Code } from './queries';
import type { Session } from './session';
import { Versions } from './versions';

const tabs = [['settings', 'General'], ['variables', 'Variables'], ['annotations', 'Annotations'], ['links', 'Links'], ['json-model', 'JSON'], ['versions', 'Versions']] as const;
type Tab = (typeof tabs)[number][0];

export function Settings({ session, tab, onClose, onReload }: { session: Session; tab: string; onClose: () => void; onReload: () => void }): JSX.Element {
  const at = (tabs.find(([id]) => id === tab)?.[0] ?? 'settings') as Tab, list = tabs.filter(([id]) => id !== 'versions' || session.source === '');
  return (
    <div class="settings">
      <div class="bar head"><h1>{t('Settings of {0}', visible(session.dashboard.value.title))}</h1></div>
      <Tabs id="settings" label={t('Settings')} value={at} onChange={(v) => setParams({ editview: v })} tabs={list.map(([id, name]) => [id, t(name)])} />
      <TabPanel id="settings" value={at}>{at === 'settings' ? <General session={session} /> : at === 'variables' ? <Variables session={session} /> : at === 'annotations' ? <Annotations session={session} /> : at === 'links' ? <Links session={session} /> : at === 'json-model' ? <JsonView session={session} /> : <Versions session={session} onRestored={onReload} />}</TabPanel>
      <p><button type="button" onClick={onClose}>{t('Back to the dashboard')}</button></p>
    </div>
  );
}

const zones = (): string[] => (Intl as unknown as { supportedValuesOf?: (k: string) => string[] }).supportedValuesOf?.('timeZone') ?? [];

function General({ session }: { session: Session }): JSX.Element {
  const d = session.dashboard.value, seal = (): void => session.seal(), set = (label: string, path: string, v: unknown, key = ''): void => session.change(label, (o) => {
    const keys = path.split('.'), last = keys.pop() as string, into = keys.reduce((x, k) => (x[k] ??= {}), o);
    if (v === undefined || v === '') delete into[last]; else into[last] = v;
  }, key && `general/${key}`), [tag, setTag] = useState('');
  return (
    <section class="panel edit-fields">
      <TextField label={t('Title')} value={d.title} wide onChange={(v) => set(t('Title'), 'title', v, 'title')} onDone={seal} /><TextField label={t('Description')} value={d.description} rows={2} onChange={(v) => set(t('Description'), 'description', v, 'description')} onDone={seal} />
      <div class="field wide many" role="group" aria-label={t('Tags')}><span>{t('Tags')}</span><span class="many-row">{d.tags.map((x, i) => <button type="button" class="filter" aria-label={t('Remove {0}', x)} onClick={() => set(t('Tags'), 'tags', d.tags.filter((_, k) => k !== i))}>{visible(x)} ✕</button>)}<input type="text" aria-label={t('New tag')} placeholder={t('new tag, Enter')} value={tag} onInput={(e) => setTag(e.currentTarget.value)} onKeyDown={(e) => { if (e.key === 'Enter' && tag.trim()) { e.preventDefault(); set(t('Tags'), 'tags', [...new Set([...d.tags, tag.trim()])]); setTag(''); } }} /></span></div>
      <TextField label={t('From')} value={d.time.from} onChange={(v) => set(t('Time'), 'time.from', v || 'now-6h', 'from')} onDone={seal} hint={t('When no time is chosen')} /><TextField label={t('To')} value={d.time.to} onChange={(v) => set(t('Time'), 'time.to', v || 'now', 'to')} onDone={seal} />
      <Field label={t('Time zone')}><input type="text" list="edit-zones" value={d.timezone} onInput={(e) => set(t('Time zone'), 'timezone', e.currentTarget.value || 'browser', 'zone')} onBlur={seal} /></Field><datalist id="edit-zones">{['browser', 'utc', ...zones()].map((z) => <option value={z} />)}</datalist>
      <SelectField label={t('A week begins on')} value={d.weekStart ?? ''} options={[['', t('the browser’s day')], ['monday', t('Monday')], ['sunday', t('Sunday')], ['saturday', t('Saturday')]]} onChange={(v) => set(t('Start of the week'), 'weekStart', v)} />
      <SelectField label={t('Refresh')} value={d.refresh} options={['', '5s', '10s', '30s', '1m', '5m', '15m', '30m', '1h'].map((v) => [v, v || t('off')] as const)} onChange={(v) => session.change(t('Refresh'), (o) => { o.refresh = v; })} />
      <TextField label={t('Now is behind by')} value={d.nowDelay} placeholder="0s" onChange={(v) => set(t('Delay of now'), 'timepicker.nowDelay', v, 'delay')} onDone={seal} />
      <Choices label={t('Crosshair of all panels')} value={String(d.crosshair)} options={[['0', t('Off')], ['1', t('Crosshair')], ['2', t('Crosshair and tooltip')]]} onChange={(v) => session.change(t('Crosshair'), (o) => { o.graphTooltip = Number(v); delete o.sharedCrosshair; })} />
    </section>
  );
}

// ---- variables ----

const kinds = [['query', 'Query'], ['custom', 'Custom'], ['datasource', 'Data source'], ['interval', 'Interval'], ['constant', 'Constant'], ['textbox', 'Text box'], ['adhoc', 'Ad hoc filters']] as const;

function Preview({ session, v }: { session: Session; v: Variable | undefined }): JSX.Element | null {
  const live = session.view.variables.value.find((x) => x.name === v?.name);
  if (!live || /^(adhoc|constant|textbox)$/.test(live.type)) return null;
  if (live.problem) return <p class="hint bad" role="alert">{live.problem}</p>;
  return <div class="variable-preview" role="group" aria-label={t('Preview of values')}><p class="hint">{t('{0} values', live.options.length)}</p><span class="labels">{live.options.slice(0, 60).map((o) => <span class="label">{visible(o.text)}{o.text !== o.value && <span class="muted"> = {visible(o.value)}</span>}</span>)}{live.options.length > 60 && <span class="muted small">{t('and {0} more', live.options.length - 60)}</span>}</span></div>;
}

function VariableForm({ session, raw, v, index }: { session: Session; raw: Json; v: Variable | undefined; index: number }): JSX.Element {
  const seal = (): void => session.seal(), type = String(raw.type ?? 'query'), edit = (label: string, f: (v: Json) => void, key = ''): void => session.change(label, (d) => { const x = d.templating?.list?.[index]; if (x) f(x); }, key && `variable${index}/${key}`);
  const set = (label: string, k: string, value: unknown, key = ''): void => edit(label, (x) => { if (value === undefined || value === '') delete x[k]; else x[k] = value; }, key), text = v ? queryText(v) : '';
  const query = (value: string): void => edit(t('Query of a variable'), (x) => { if (x.query && typeof x.query === 'object') x.query = { ...x.query, query: value, qryType: undefined }; else x.query = value; x.definition = value; });
  const bad = String(raw.name ?? '').match(/^[\w]+$/) ? '' : t('Letters, figures and _');
  return (
    <div class="edit-fields">
      <TextField label={t('Name')} value={raw.name} hint={bad} onChange={(x) => edit(t('Name of a variable'), (o) => { o.name = x; }, 'name')} onDone={seal} /><TextField label={t('Label')} value={raw.label} onChange={(x) => set(t('Label of a variable'), 'label', x, 'label')} onDone={seal} />
      <SelectField label={t('Kind')} value={type} options={kinds.map(([id, name]) => [id, t(name)] as const)} onChange={(x) => edit(t('Kind of a variable'), (o) => { o.type = x; o.query = x === 'interval' ? '1m,5m,15m,1h' : x === 'datasource' ? 'prometheus' : x === 'query' || x === 'custom' ? (typeof o.query === 'string' ? o.query : '') : ''; o.options = []; o.current = {}; if (x === 'query') o.refresh = 1; })} />
      <SelectField label={t('Shown')} value={v?.hide ?? 0} options={[[0, t('Label and value')], [1, t('Value')], [2, t('Hidden')]]} onChange={(x) => set(t('Where a variable is shown'), 'hide', x)} />
      {type === 'query' && (
        <>
          <TextField label={t('Query')} value={text} mono wide list="variable-queries" onChange={query} onDone={seal} hint="label_values(metric{…}, label), label_values(label), label_names(), metrics(pattern), query_result(expr)" />
          <datalist id="variable-queries">{['label_values(up, job)', 'label_values(instance)', 'query_result(up)', 'metrics(.*)'].map((q) => <option value={q} />)}</datalist>
          <TextField label={t('Pattern')} value={raw.regex} mono placeholder="/.*-(?<text>.*)-.*/" onChange={(x) => edit(t('Pattern of a variable'), (o) => { o.regex = x; }, 'regex')} onDone={seal} />
          <SelectField label={t('Order')} value={Number(raw.sort) || 0} options={['as given', 'A to Z', 'Z to A', 'numbers up', 'numbers down', 'a to z, any case', 'z to a, any case', 'natural', 'natural, down'].map((x, i) => [i, t(x)] as const)} onChange={(x) => set(t('Order of a variable'), 'sort', x)} />
          <SelectField label={t('Asked')} value={v?.refresh ?? 1} options={[[1, t('when the dashboard opens')], [2, t('when the time changes')], [0, t('never')]]} onChange={(x) => edit(t('When a variable is asked'), (o) => { o.refresh = x; })} />
        </>
      )}
      {type === 'custom' && <TextField label={t('Values')} value={typeof raw.query === 'string' ? raw.query : ''} wide rows={2} hint={t('With commas between; "text : value" where they differ')} onChange={(x) => edit(t('Values of a variable'), (o) => { o.query = x; }, 'query')} onDone={seal} />}
      {type === 'interval' && <><TextField label={t('Values')} value={raw.query} wide onChange={(x) => edit(t('Values of a variable'), (o) => { o.query = x; }, 'query')} onDone={seal} /><CheckField label={t('And one that follows the range')} value={!!raw.auto} onChange={(x) => edit(t('Automatic interval'), (o) => { o.auto = x; })} /></>}
      {type === 'datasource' && <><TextField label={t('Type')} value={raw.query} onChange={(x) => edit(t('Type of a data source'), (o) => { o.query = x; }, 'query')} onDone={seal} /><TextField label={t('Names like')} value={raw.regex} mono onChange={(x) => edit(t('Pattern of a variable'), (o) => { o.regex = x; }, 'regex')} onDone={seal} /></>}
      {(type === 'constant' || type === 'textbox') && <TextField label={t('Value')} value={typeof raw.query === 'string' ? raw.query : ''} onChange={(x) => edit(t('Value of a variable'), (o) => { o.query = x; o.current = { text: x, value: x }; }, 'query')} onDone={seal} />}
      {/^(query|custom|datasource)$/.test(type) && (
        <>
          <CheckField label={t('Several at once')} value={!!raw.multi} onChange={(x) => edit(t('Several values'), (o) => { o.multi = x; })} /><CheckField label={t('With All')} value={!!raw.includeAll} onChange={(x) => edit(t('All'), (o) => { o.includeAll = x; })} />
          {raw.includeAll && <TextField label={t('What All stands for')} value={raw.allValue ?? ''} mono placeholder={t('every value')} onChange={(x) => set(t('Value of All'), 'allValue', x, 'all')} onDone={seal} />}
        </>
      )}
      <TextField label={t('Description')} value={raw.description} wide onChange={(x) => set(t('Description'), 'description', x, 'description')} onDone={seal} />
      <Preview session={session} v={v} />
    </div>
  );
}

/** A list whose items open: variables, annotations and links are all such. */
function Items({ items, name, note, form, onMove, onRemove, onCopy, onAdd, add, empty, open, setOpen }: { items: Json[]; name: (x: Json, i: number) => string; note: (x: Json) => string; form: (x: Json, i: number) => JSX.Element; onMove: (from: number, to: number) => void; onRemove: (i: number) => void; onCopy?: (i: number) => void; onAdd: () => void; add: string; empty: string; open: number; setOpen: (i: number) => void }): JSX.Element {
  return (
    <>
      {!items.length && <p class="hint">{empty}</p>}
      {items.map((x, i) => (
        <section class="panel edit-item" aria-label={name(x, i)}>
          <div class="query-head"><h2><button type="button" class="fold" aria-expanded={open === i} onClick={() => setOpen(open === i ? -1 : i)}>{visible(name(x, i))}</button></h2> <span class="muted small mono">{visible(note(x))}</span><span class="spacer" /><ListTools name={name(x, i)} at={i} length={items.length} onMove={(to) => { onMove(i, to); setOpen(-1); }} onRemove={() => { onRemove(i); setOpen(-1); }} onCopy={onCopy && (() => onCopy(i))} /></div>
          {open === i && form(x, i)}
        </section>
      ))}
      <button type="button" onClick={() => { onAdd(); setOpen(items.length); }}>{add}</button>
    </>
  );
}

const listAt = (d: Json, path: 'templating' | 'annotations' | 'links'): Json[] => {
  if (path === 'links') return (d.links = Array.isArray(d.links) ? d.links : []);
  d[path] = d[path] && typeof d[path] === 'object' ? d[path] : {};
  return (d[path].list = Array.isArray(d[path].list) ? d[path].list : []);
};
const peek = (d: Json, path: 'templating' | 'annotations' | 'links'): Json[] => ((path === 'links' ? d.links : d[path]?.list) ?? []).filter?.((x: unknown) => x && typeof x === 'object') ?? [];

function Variables({ session }: { session: Session }): JSX.Element {
  const shown = session.dashboard.value, list = peek(session.dash, 'templating'), [open, setOpen] = useState(-1), change = (label: string, f: (l: Json[]) => void): void => session.change(label, (d) => f(listAt(d, 'templating')));
  const free = (base: string): string => { let n = 1; while (list.some((x) => x.name === `${base}${n}`)) n++; return `${base}${n}`; };
  return <Items items={list} open={open} setOpen={setOpen} name={(x, i) => String(x.name || t('variable {0}', i + 1))} note={(x) => `${x.type ?? 'query'} ${typeof x.query === 'string' ? x.query : (x.query?.query ?? '')}`.slice(0, 90)} form={(x, i) => <VariableForm session={session} raw={x} v={shown.variables.find((v) => v.name === x.name)} index={i} />}
    onMove={(a, b) => change(t('Move a variable'), (l) => l.splice(0, l.length, ...movedItem(l, a, b)))} onRemove={(i) => change(t('Remove a variable'), (l) => l.splice(i, 1))} onCopy={(i) => change(t('Duplicate a variable'), (l) => l.splice(i + 1, 0, { ...structuredClone(l[i]), name: free(String(l[i].name)) }))}
    onAdd={() => change(t('Add a variable'), (l) => l.push({ name: free('var'), type: 'query', query: 'label_values(up, job)', refresh: 1, sort: 1, multi: false, includeAll: false, current: {}, options: [], regex: '' }))} add={t('Add a variable')} empty={t('Variables are the choices above the panels; $name stands for what is chosen.')} />;
}

// ---- annotations and links ----

function Annotations({ session }: { session: Session }): JSX.Element {
  const list = peek(session.dash, 'annotations'), [open, setOpen] = useState(-1), seal = (): void => session.seal(), change = (label: string, f: (l: Json[]) => void, key = ''): void => session.change(label, (d) => f(listAt(d, 'annotations')), key);
  const form = (x: Json, i: number): JSX.Element => {
    const set = (label: string, k: string, v: unknown, key = ''): void => change(label, (l) => { if (v === undefined || v === '') delete l[i][k]; else l[i][k] = v; }, key && `annotation${i}/${key}`), expr = String(x.expr ?? x.target?.expr ?? '');
    if (x.builtIn) return <p class="hint">{t('Notes that people and programs leave; there is nothing to set.')}</p>;
    return (
      <div class="edit-fields">
        <TextField label={t('Name')} value={x.name} onChange={(v) => set(t('Name'), 'name', v, 'name')} onDone={seal} /><ColorField label={t('Colour')} value={x.iconColor ?? 'red'} onChange={(v) => set(t('Colour'), 'iconColor', v)} /><CheckField label={t('On')} value={x.enable !== false} onChange={(v) => change(t('Annotation on or off'), (l) => { l[i].enable = v; })} /><CheckField label={t('Without a switch above the panels')} value={!!x.hide} onChange={(v) => set(t('Switch of an annotation'), 'hide', v)} />
        <div class="field wide"><span>{t('Expression: a time with a value above zero is marked')}</span><Code label={t('Expression of {0}', x.name)} value={expr} onChange={(v) => change(t('Expression'), (l) => { if (l[i].target && l[i].expr === undefined) l[i].target = { ...l[i].target, expr: v }; else l[i].expr = v; })} /></div>
        <TextField label={t('Step')} value={x.step} placeholder="60s" onChange={(v) => set(t('Step'), 'step', v, 'step')} onDone={seal} /><TextField label={t('Title')} value={x.titleFormat} mono placeholder="{{alertname}}" onChange={(v) => set(t('Title'), 'titleFormat', v, 'title')} onDone={seal} /><TextField label={t('Text')} value={x.textFormat} mono placeholder="{{instance}}" onChange={(v) => set(t('Text'), 'textFormat', v, 'text')} onDone={seal} /><TextField label={t('Labels as tags')} value={x.tagKeys} mono placeholder="job,instance" onChange={(v) => set(t('Tags'), 'tagKeys', v, 'tags')} onDone={seal} />
        <CheckField label={t('The value is the time')} value={!!x.useValueForTime} onChange={(v) => set(t('Time of an annotation'), 'useValueForTime', v)} />
      </div>
    );
  };
  return <Items items={list} open={open} setOpen={setOpen} name={(x, i) => String(x.name || t('annotation {0}', i + 1))} note={(x) => (x.builtIn ? t('built in') : String(x.expr ?? x.target?.expr ?? '')).slice(0, 90)} form={form} onMove={(a, b) => change(t('Move an annotation'), (l) => l.splice(0, l.length, ...movedItem(l, a, b)))} onRemove={(i) => change(t('Remove an annotation'), (l) => l.splice(i, 1))}
    onAdd={() => change(t('Add an annotation'), (l) => l.push({ name: t('New annotation'), enable: true, iconColor: 'orange', datasource: { type: 'prometheus', uid: 'prometheus' }, expr: 'ALERTS{alertstate="firing"}', titleFormat: '{{alertname}}', textFormat: '{{instance}}', step: '60s' }))} add={t('Add an annotation')} empty={t('Annotations mark times on every chart: alerts, deploys, restarts.')} />;
}

function Links({ session }: { session: Session }): JSX.Element {
  const list = peek(session.dash, 'links'), [open, setOpen] = useState(-1), seal = (): void => session.seal(), change = (label: string, f: (l: Json[]) => void, key = ''): void => session.change(label, (d) => f(listAt(d, 'links')), key);
  const form = (x: Json, i: number): JSX.Element => {
    const set = (label: string, k: string, v: unknown, key = ''): void => change(label, (l) => { l[i][k] = v; }, key && `link${i}/${key}`);
    return (
      <div class="edit-fields">
        <TextField label={t('Title')} value={x.title} onChange={(v) => set(t('Title'), 'title', v, 'title')} onDone={seal} /><SelectField label={t('To')} value={x.type ?? 'link'} options={[['link', t('an address')], ['dashboards', t('dashboards of tags')]]} onChange={(v) => set(t('Link'), 'type', v)} />
        {x.type === 'dashboards' ? <ManyField label={t('Tags')} value={x.tags ?? []} options={session.dashboard.value.tags.map((y) => [y, y] as const)} onChange={(v) => set(t('Tags'), 'tags', v)} /> : <TextField label={t('Address')} value={x.url} mono wide onChange={(v) => set(t('Address'), 'url', v, 'url')} onDone={seal} />}
        {x.type === 'dashboards' && <TextField label={t('or these tags')} value={(x.tags ?? []).join(', ')} onChange={(v) => set(t('Tags'), 'tags', v.split(',').map((y) => y.trim()).filter(Boolean), 'tags')} onDone={seal} />}
        <TextField label={t('Tooltip')} value={x.tooltip} onChange={(v) => set(t('Tooltip'), 'tooltip', v, 'tooltip')} onDone={seal} />
        {([['keepTime', 'With the time range'], ['includeVars', 'With the variables'], ['targetBlank', 'In a new tab'], ['asDropdown', 'As a menu']] as const).map(([k, name]) => <CheckField label={t(name)} value={!!x[k]} onChange={(v) => set(t(name), k, v)} />)}
      </div>
    );
  };
  return <Items items={list} open={open} setOpen={setOpen} name={(x, i) => String(x.title || t('link {0}', i + 1))} note={(x) => String(x.type === 'dashboards' ? (x.tags ?? []).join(', ') : (x.url ?? ''))} form={form} onMove={(a, b) => change(t('Move a link'), (l) => l.splice(0, l.length, ...movedItem(l, a, b)))} onRemove={(i) => change(t('Remove a link'), (l) => l.splice(i, 1))}
    onAdd={() => change(t('Add a link'), (l) => l.push({ title: t('New link'), type: 'link', url: '', icon: 'external link', tags: [], asDropdown: false, includeVars: false, keepTime: false, targetBlank: true, tooltip: '' }))} add={t('Add a link')} empty={t('Links stand beside the title: to other dashboards, or to other addresses.')} />;
}

// ---- the text itself ----

function JsonView({ session }: { session: Session }): JSX.Element {
  const text = session.text, area = useRef<HTMLTextAreaElement>(null), [draft, setDraft] = useState<string | null>(null), shown = draft ?? text;
  useEffect(() => setDraft(null), [text]);
  const error = useMemo((): JsonError | null => {
    if (draft === null) return null;
    try { parseJson(draft); return null; } catch (e) { return e instanceof JsonError ? e : null; }
  }, [draft]);
  const jump = (): void => { const e = area.current; if (!e || !error) return; e.focus(); e.setSelectionRange(error.at, error.at + 1); e.scrollTop = Math.max(0, (error.line - 6) * 18); };
  return (
    <section class="json-view">
      <div class="bar">
        <button type="button" class="primary" disabled={draft === null || draft === text || !!error} onClick={() => session.setText(shown, t('Edit the JSON'))}>{t('Take over')}</button>
        {draft !== null && draft !== text && <button type="button" onClick={() => setDraft(null)}>{t('Back to what it was')}</button>}
        <span class="spacer" />
        <span class="muted small">{t('{0} lines, {1} KiB', shown.split('\n').length, (new Blob([shown]).size / 1024).toFixed(1))}</span>
        <CopyButton text={shown} label={t('Copy the JSON')} />
        <Menu text={t('Format')} align="right">{(close) => <ul class="panel-menu"><li><button type="button" disabled={!!error} onClick={() => { close(); setDraft(JSON.stringify(parseJson(shown).value, null, 2)); }}>{t('Indent by two')}</button></li><li><button type="button" disabled={!!error} onClick={() => { close(); setDraft(JSON.stringify(parseJson(shown).value)); }}>{t('On one line')}</button></li></ul>}</Menu>
        <button type="button" onClick={() => download(`${session.dashboard.value.title.replace(/[^\w.-]+/g, '-') || 'dashboard'}.json`, 'application/json', shown)}>{t('Download')}</button>
      </div>
      {error && <div class="problem" role="alert">{error.message} <button type="button" class="link" onClick={jump}>{t('Go there')}</button></div>}
      <textarea ref={area} class="mono" aria-label={t('JSON of the dashboard')} aria-invalid={!!error} spellcheck={false} value={shown} onInput={(e) => setDraft(e.currentTarget.value)} />
    </section>
  );
}
