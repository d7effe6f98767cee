// What opens beside a pane: the queries that were run, how an answer came about, and the way of a query into a dashboard.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, root } from '../api';
import { listDashboards, readStored, type Listed } from '../dash/store';
import { printStep } from '../dash/range';
import { formatDuration, formatTime, visible } from '../format';
import { CopyButton, download, Empty, Problem, TabPanel, Tabs } from '../parts';
import { href } from '../router';
import { forgetQueries, forgetQuery, history, starQuery } from '../store';
import { t } from '../strings';
import type { Answers, Call } from './ask';
import type { Pane } from './state';

export function Dialog({ title, name, onClose, children, head }: { title: string; name: string; onClose: () => void; children: ComponentChildren; head?: ComponentChildren }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class={name} aria-label={title} onClose={onClose} onClick={(e) => e.target === dialog.current && dialog.current?.close()}>
      <div class="dialog-head"><h2>{title}</h2>{head}<button type="button" class="icon" aria-label={t('Close')} onClick={() => dialog.current?.close()}>✕</button></div>
      {children}
    </dialog>
  );
}

export function History({ onChoose, onClose }: { onChoose: (text: string) => void; onClose: () => void }): JSX.Element {
  const [filter, setFilter] = useState(''), [starred, setStarred] = useState(false), words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = history.value.filter((x) => (!starred || x.star) && words.every((w) => x.text.toLowerCase().includes(w)));
  return (
    <Dialog name="history-dialog" title={t('Query history')} onClose={onClose} head={<><input type="search" autofocus aria-label={t('Filter the history')} placeholder={t('Words of a query')} value={filter} onInput={(e) => setFilter(e.currentTarget.value)} /><label class="check"><input type="checkbox" checked={starred} onChange={(e) => setStarred(e.currentTarget.checked)} /> {t('Starred')}</label></>}>
      {!shown.length ? <Empty><p>{history.value.length ? t('No query matches.') : t('Queries you run are kept here, in this browser.')}</p></Empty> : (
        <ul class="kept">
          {shown.map((x) => (
            <li>
              <button type="button" class="icon star" aria-pressed={x.star} aria-label={t('Star {0}', x.text)} title={t('Star')} onClick={() => starQuery(x.text, !x.star)}>{x.star ? '★' : '☆'}</button>
              <button type="button" class="mono text" onClick={() => { onClose(); onChoose(x.text); }}>{visible(x.text)}</button>
              <span class="muted small">{x.at ? t('{0} ago', formatDuration((Date.now() - x.at) / 1000)) : ''}</span>
              <CopyButton text={x.text} label={t('Copy the query')} />
              <button type="button" class="icon" aria-label={t('Forget {0}', x.text)} title={t('Forget')} onClick={() => forgetQuery(x.text)}>✕</button>
            </li>
          ))}
        </ul>
      )}
      {history.value.some((x) => !x.star) && <div class="foot"><button type="button" class="link" onClick={forgetQueries}>{t('Forget all that have no star')}</button></div>}
    </Dialog>
  );
}

// The parts of the server's account, in the order they happen.
const timings: [string, string][] = [['execQueueTime', 'Waited for its turn'], ['queryPreparationTime', 'Preparation'], ['innerEvalTime', 'Evaluation'], ['resultSortTime', 'Sorting'], ['execTotalTime', 'Server in all']];
const milli = (s: number): string => `${(s * 1000).toFixed(s < 0.01 ? 2 : 1)} ms`;

function CallView({ call, name }: { call: Call; name: string }): JSX.Element {
  const url = `${location.origin}${root}/api/v1/${call.path}?${new URLSearchParams(call.params)}`, stats = call.data?.stats;
  return (
    <section>
      <h3>{name} <span class="muted small">{t('{0} ms to the answer', call.ms.toFixed(0))}</span></h3>
      <table class="data facts"><tbody>
        {Object.entries(call.params).map(([k, v]) => <tr><th scope="row">{k}</th><td class="mono">{visible(v)}{(k === 'start' || k === 'end' || k === 'time') && <span class="muted"> {formatTime(Number(v))}</span>}</td></tr>)}
        {timings.map(([k, says]) => stats?.timings?.[k] !== undefined && <tr><th scope="row">{t(says)}</th><td class="mono">{milli(stats.timings[k])}</td></tr>)}
        {stats?.samples?.totalQueryableSamples !== undefined && <tr><th scope="row">{t('Samples read')}</th><td class="mono">{stats.samples.totalQueryableSamples.toLocaleString()}</td></tr>}
        {stats?.samples?.peakSamples !== undefined && <tr><th scope="row">{t('Samples held at most')}</th><td class="mono">{stats.samples.peakSamples.toLocaleString()}</td></tr>}
      </tbody></table>
      <div class="code-box"><CopyButton text={`curl '${url.replace(/'/g, '%27')}'`} label={t('Copy as curl')} /><pre class="code" tabIndex={0}>{visible(`GET ${url}`)}</pre></div>
      {call.error && <Problem error={call.error} />}
    </section>
  );
}

const shortJson = (v: unknown): string => {
  const text = JSON.stringify(v, null, 1) ?? '';
  return text.length > 100_000 ? `${text.slice(0, 100_000)}\n… ${t('and {0} more characters', text.length - 100_000)}` : text;
};

type Part = 'query' | 'response';
export function Inspector({ answers, onClose }: { answers: Answers; onClose: () => void }): JSX.Element {
  const [part, setPart] = useState<Part>('query'), [at, setAt] = useState(0), o = answers.outcomes[at];
  return (
    <Dialog name="inspect" title={t('Inspector')} onClose={onClose}>
      <div class="bar">
        <Tabs id="inspector" value={part} label={t('What to inspect')} tabs={[['query', t('Query')], ['response', t('Response')]]} onChange={setPart} />
        {answers.outcomes.length > 1 && <select aria-label={t('Which query')} value={String(at)} onChange={(e) => setAt(Number(e.currentTarget.value))}>{answers.outcomes.map((x, i) => <option value={i}>{x.query.refId}</option>)}</select>}
        <span class="spacer" />
        {o && <button type="button" onClick={() => download('answer.json', 'application/json', JSON.stringify({ range: o.range.data, instant: o.instant.data }, null, 1))}>{t('Save JSON')}</button>}
      </div>
      <TabPanel id="inspector" value={part}>
        <div class="inspect-body" tabIndex={0} role="group" aria-label={t('Details')}>
          {part === 'query' && <p class="small muted">{t('Step {0} · $__interval {1} · $__rate_interval {2}', printStep(answers.steps.step), printStep(answers.steps.interval), printStep(answers.steps.rate))}</p>}
          {!o ? <Empty>{t('No query was asked.')}</Empty> : part === 'query' ? <><CallView call={o.range} name={t('Over the range')} /><CallView call={o.instant} name={t('At the end')} /></>
            : <><h3>{t('Over the range')}</h3><pre class="code" tabIndex={0}>{visible(shortJson(o.range.data ?? { error: o.range.error?.message }))}</pre><h3>{t('At the end')}</h3><pre class="code" tabIndex={0}>{visible(shortJson(o.instant.data ?? { error: o.instant.error?.message }))}</pre></>}
        </div>
      </TabPanel>
    </Dialog>
  );
}

async function save(dashboard: unknown, message: string): Promise<string> {
  const r = await fetch(`${root}/api/dashboards/db`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ dashboard, message, overwrite: true }) });
  const body = (await r.json().catch(() => ({}))) as { message?: string; uid?: string };
  if (!r.ok || !body.uid) throw new ApiError('bad_data', body.message ?? `The server answered ${r.status}.`, r.status);
  return body.uid;
}

/** The pane's queries as a panel of today's schema, under whatever a dashboard has. */
export function panelOf(pane: Pane, title: string, id: number, y: number): Record<string, unknown> {
  const datasource = { type: 'prometheus', uid: 'prometheus' };
  return {
    id, type: 'timeseries', title, datasource, gridPos: { x: 0, y, w: 12, h: 9 }, fieldConfig: { defaults: { custom: { fillOpacity: 8, lineWidth: 1 } }, overrides: [] },
    options: { legend: { displayMode: 'list', placement: 'bottom', showLegend: true }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: pane.queries.filter((q) => q.expr.trim()).map((q) => ({ refId: q.refId, datasource, expr: q.expr, editorMode: q.mode, legendFormat: q.legend ?? '__auto', range: true, ...(q.hide ? { hide: true } : {}) })),
  };
}

export function AddToDashboard({ pane, onClose }: { pane: Pane; onClose: () => void }): JSX.Element {
  const [list, setList] = useState<Listed[]>([]), [uid, setUid] = useState(''), [name, setName] = useState(t('New dashboard')), [title, setTitle] = useState(pane.queries.find((q) => q.expr.trim())?.expr.slice(0, 80) ?? ''), [error, setError] = useState<ApiError | null>(null), [done, setDone] = useState(''), [busy, setBusy] = useState(false);
  useEffect(() => void listDashboards('').then((all) => setList(all.filter((d) => d.source === '')), () => {}), []);
  const send = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      if (!uid) setDone(await save({ title: name, tags: [], schemaVersion: 41, editable: true, time: { from: pane.from, to: pane.to }, refresh: '', templating: { list: [] }, annotations: { list: [] }, panels: [panelOf(pane, title, 1, 0)] }, t('made in Explore')));
      else {
        const d = JSON.parse((await readStored(uid)).text) as { panels?: { id?: number; gridPos?: { y?: number; h?: number } }[]; rows?: unknown[]; spec?: unknown };
        if (d.spec || d.rows || (d.panels !== undefined && !Array.isArray(d.panels))) throw new ApiError('bad_data', t('This dashboard has a form that a panel cannot be added to.'), 0);
        const panels = d.panels ?? [], bottom = Math.max(0, ...panels.map((p) => (p.gridPos?.y ?? 0) + (p.gridPos?.h ?? 0))), id = Math.max(0, ...panels.map((p) => Number(p.id) || 0)) + 1;
        setDone(await save({ ...d, uid, panels: [...panels, panelOf(pane, title, id, bottom)] }, t('a panel added from Explore')));
      }
    } catch (e) {
      setError(e instanceof ApiError ? e : new ApiError('internal', String(e), 0));
    }
    setBusy(false);
  };
  return (
    <Dialog name="add" title={t('Add to dashboard')} onClose={onClose}>
      {done ? <p role="status">{t('The panel is there.')} <a href={href(`/d/${done}`)} data-page>{t('Open the dashboard')}</a></p> : (
        <form class="absolute" onSubmit={(e) => { e.preventDefault(); void send(); }}>
          <label>{t('Dashboard')} <select value={uid} onChange={(e) => setUid(e.currentTarget.value)}><option value="">{t('A new dashboard')}</option>{list.map((d) => <option value={d.uid}>{visible(d.title)}</option>)}</select></label>
          {!uid && <label>{t('Its title')} <input type="text" required value={name} onInput={(e) => setName(e.currentTarget.value)} /></label>}
          <label>{t('Title of the panel')} <input type="text" value={title} onInput={(e) => setTitle(e.currentTarget.value)} /></label>
          {error && <Problem error={error} />}
          <div class="bar"><button type="submit" class="primary" disabled={busy}>{t('Add')}</button></div>
        </form>
      )}
    </Dialog>
  );
}
