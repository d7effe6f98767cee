// A panel's queries: each with the PromQL editor, its legend, step, format and kind.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { root } from '../api';
import { printStep } from '../dash/range';
import type { Panel, Target } from '../dash/schema';
import type { Answer } from '../dash/view';
import type { Editor } from '../editor';
import { Problem } from '../parts';
import { faultOf } from '../promql-error';
import { t } from '../strings';
import type { Json } from './document';
import { CheckField, Choices, Group, ListTools, movedItem, NumberField, SelectField, TextField } from './fields';
import type { Session } from './session';

/** The PromQL editor in a form. A change goes out when it is run (Enter) or left. */
export function Code({ label, value, error, onChange }: { label: string; value: string; error?: string; onChange: (v: string) => void }): JSX.Element {
  const host = useRef<HTMLDivElement>(null), editor = useRef<Editor | null>(null), draft = useRef(value), out = useRef(onChange), [failed, setFailed] = useState(false), [ready, setReady] = useState(false);
  out.current = onChange;
  const done = (): void => { if (draft.current !== given.current) out.current(draft.current); };
  const given = useRef(value);
  given.current = value;
  useEffect(() => {
    let gone = false;
    import('../editor').then((m) => {
      if (gone || !host.current) return;
      editor.current = m.createEditor(host.current, draft.current, root, label, t('Expression (Enter runs, Shift+Enter is a new line)'), (next) => (draft.current = next), done);
      setReady(true);
    }, () => setFailed(true));
    return () => { gone = true; editor.current?.destroy(); };
  }, []);
  useEffect(() => { draft.current = value; editor.current?.setText(value); }, [value]);
  useEffect(() => editor.current?.markFault(error && faultOf(value, error) || null), [error, value, ready]);
  return failed ? <textarea class="editor mono" aria-label={label} value={value} rows={3} onChange={(e) => onChange(e.currentTarget.value)} /> : <div class="editor" ref={host} onBlur={done} onFocusOut={done} />;
}

const legendMode = (x: Target): 'auto' | 'verbose' | 'custom' => (x.legendFormat === '__auto' ? 'auto' : x.legendFormat ? 'custom' : 'verbose');
const isExpression = (x: Target): boolean => x.datasource?.type === '__expr__' || x.datasource?.uid === '__expr__' || x.datasource?.name === '__expr__';

function Query({ x, i, panel, answer, edit, seal }: { x: Target; i: number; panel: Panel; answer: Answer | null; edit: (label: string, f: (q: Json) => void, key?: string) => void; seal: () => void }): JSX.Element {
  const error = answer?.errors.find((e) => e.refId === x.refId)?.error, asked = answer?.asked.filter((a) => a.refId === x.refId) ?? [], set = (label: string, k: string, v: unknown, key?: string): void => edit(label, (q) => { if (v === undefined || v === '') delete q[k]; else q[k] = v; }, key);
  const kind = x.instant && x.range ? 'both' : x.instant ? 'instant' : 'range', mode = legendMode(x);
  if (isExpression(x)) return (
    <div class="edit-fields">
      <SelectField label={t('Kind')} value={x.type ?? 'math'} options={['math', 'reduce', 'resample', 'threshold'].map((v) => [v, v] as const)} onChange={(v) => set(t('Kind of expression'), 'type', v)} />
      <TextField label={t('Expression')} value={x.expression} mono wide onChange={(v) => edit(t('Expression'), (q) => { q.expression = v; }, `expr${i}`)} onDone={seal} hint={t('$A and $B are other queries')} />
      {(x.type === 'reduce' || x.type === 'resample') && <TextField label={t('Reducer')} value={x.reducer} onChange={(v) => set(t('Reducer'), 'reducer', v, `red${i}`)} onDone={seal} />}
      {error && <Problem error={error} />}
    </div>
  );
  if (typeof x.expr !== 'string' && x.expr !== undefined) return <p class="notice">{t('This query is not edited here; the JSON view shows it.')}</p>;
  if (x.expr === undefined && Object.keys(x).some((k) => /^(rawSql|query|measurement|panelId)$/.test(k))) return <p class="notice">{t('A query of the store {0} is not edited here; the JSON view shows it.', x.datasource?.type ?? x.datasource?.name ?? '?')}</p>;
  return (
    <>
      <Code label={t('Expression of {0}', x.refId)} value={x.expr ?? ''} error={error?.message} onChange={(v) => edit(t('Query {0}', x.refId), (q) => { q.expr = v; })} />
      {error && <Problem error={error} />}
      {asked.length > 0 && !error && <p class="hint query-told">{asked.map((a) => `${a.kind}: ${t('{0} series', a.series)}, ${a.ms.toFixed(0)} ms${a.step ? `, ${t('step')} ${printStep(a.step * 1000)}` : ''}`).join(' · ')}</p>}
      <div class="edit-fields">
        <SelectField label={t('Legend')} value={mode} options={[['auto', t('Automatic')], ['verbose', t('All labels')], ['custom', t('Own text')]]} onChange={(m) => edit(t('Legend'), (q) => { if (m === 'verbose') delete q.legendFormat; else q.legendFormat = m === 'auto' ? '__auto' : '{{instance}}'; })} />
        {mode === 'custom' && <TextField label={t('Text')} value={x.legendFormat} mono onChange={(v) => edit(t('Legend'), (q) => { q.legendFormat = v; }, `legend${i}`)} onDone={seal} hint={t('{{label}} is that label’s value')} />}
        <TextField label={t('Min step')} value={x.interval} placeholder={t('auto')} onChange={(v) => set(t('Min step'), 'interval', v, `step${i}`)} onDone={seal} />
        <SelectField label={t('Format')} value={x.format ?? 'time_series'} options={[['time_series', t('Time series')], ['table', t('Table')], ['heatmap', t('Heat map')]]} onChange={(v) => set(t('Format'), 'format', v)} />
        <Choices label={t('Type')} value={kind} options={[['range', t('Range')], ['instant', t('Instant')], ['both', t('Both')]]} onChange={(k) => edit(t('Type of query'), (q) => { q.range = k !== 'instant'; q.instant = k !== 'range'; })} />
        {panel.type === 'timeseries' && <CheckField label={t('Exemplars')} value={!!x.exemplar} onChange={(v) => edit(t('Exemplars'), (q) => { q.exemplar = v; })} />}
      </div>
    </>
  );
}

export function QueriesPane({ session, panel, answer }: { session: Session; panel: Panel; answer: Answer | null }): JSX.Element {
  const { id, targets } = panel, raw = (f: (list: Json[], p: Json) => void) => (p: Json): void => { if (!Array.isArray(p.targets)) p.targets = []; f(p.targets, p); };
  const change = (label: string, f: (list: Json[], p: Json) => void, key = ''): void => session.changePanel(id, label, raw(f), key), free = (): string => [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'].find((c) => !targets.some((x) => x.refId === c)) ?? `Q${targets.length}`;
  const own = (label: string, path: string, v: unknown, key: string): void => session.changePanel(id, label, (p) => { if (v === undefined || v === '') delete p[path]; else p[path] = v; }, key);
  return (
    <div class="queries">
      {targets.map((x, i) => (
        <section class={`edit-group query-edit ${x.hide ? 'off' : ''}`} key={x.refId} aria-label={t('Query {0}', x.refId)}>
          <div class="query-head"><b>{x.refId}</b> <span class="muted small">{isExpression(x) ? t('expression') : ''}{x.hide ? ` ${t('hidden')}` : ''}</span><span class="spacer" />
            <ListTools name={t('query {0}', x.refId)} at={i} length={targets.length} on={!x.hide} onToggle={() => change(x.hide ? t('Show query {0}', x.refId) : t('Hide query {0}', x.refId), (l) => { if (x.hide) delete l[i].hide; else l[i].hide = true; })} onCopy={() => change(t('Duplicate query {0}', x.refId), (l) => l.splice(i + 1, 0, { ...structuredClone(l[i]), refId: free() }))} onMove={(to) => change(t('Move query {0}', x.refId), (l, p) => { p.targets = movedItem(l, i, to); })} onRemove={() => change(t('Remove query {0}', x.refId), (l) => l.splice(i, 1))} /></div>
          <Query x={x} i={i} panel={panel} answer={answer} seal={() => session.seal()} edit={(label, f, key = '') => change(label, (l) => f(l[i]), key)} />
        </section>
      ))}
      <div class="bar"><button type="button" onClick={() => change(t('Add a query'), (l) => l.push({ refId: free(), expr: '', editorMode: 'code', range: true }))}>{t('Add a query')}</button><button type="button" onClick={() => change(t('Add an expression'), (l) => l.push({ refId: free(), datasource: { type: '__expr__', uid: '__expr__' }, type: 'math', expression: targets[0] ? `$${targets[0].refId} * 1` : '' }))}>{t('Add an expression')}</button></div>
      <Group title={t('Query options')} open={!!(panel.maxDataPoints || panel.interval || panel.timeFrom || panel.timeShift)}>
        <NumberField label={t('Max data points')} value={panel.maxDataPoints} placeholder={t('width of the panel')} onChange={(v) => own(t('Max data points'), 'maxDataPoints', v, 'points')} onDone={() => session.seal()} />
        <TextField label={t('Min interval')} value={panel.interval} placeholder={`${session.view.scrapeMs / 1000}s`} onChange={(v) => own(t('Min interval'), 'interval', v, 'interval')} onDone={() => session.seal()} />
        <TextField label={t('Relative time')} value={panel.timeFrom} placeholder="1h" onChange={(v) => own(t('Relative time'), 'timeFrom', v, 'from')} onDone={() => session.seal()} />
        <TextField label={t('Time shift')} value={panel.timeShift} placeholder="1h" onChange={(v) => own(t('Time shift'), 'timeShift', v, 'shift')} onDone={() => session.seal()} />
        {(panel.timeFrom || panel.timeShift) && <CheckField label={t('Hide the time’s note')} value={!!panel.hideTimeOverride} onChange={(v) => own(t('Hide the time’s note'), 'hideTimeOverride', v || undefined, '')} />}
        {answer && answer.steps.step > 0 && <p class="hint">{t('$__interval {0}, $__rate_interval {1}', printStep(answer.steps.step), `${answer.steps.rate / 1000}s`)}</p>}
      </Group>
    </div>
  );
}
