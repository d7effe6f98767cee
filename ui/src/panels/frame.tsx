// A panel on the page: its frame with title and menu, its query when it is in sight, and the part that draws its type.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api';
import { applyFieldConfig, linkOf, type ShownFrame } from '../dash/fieldconfig';
import type { Field, Frame } from '../dash/frames';
import { printStep } from '../dash/range';
import { words } from '../dash/vars';
import type { Panel } from '../dash/schema';
import type { Answer, Locals, View } from '../dash/view';
import { Menu, CopyButton, download } from '../parts';
import { later } from '../later';
import { href } from '../router';
import { visible } from '../format';
import { t } from '../strings';
import { theme } from '../theme';
import type { PanelProps } from './common';
import { BarGaugePanel, GaugePanel, StatPanel } from './stat';
import { TimeSeriesPanel } from './timeseries';

// The two kinds that nearly every panel is of come with the page; the others when one is shown.
const FrameTable = later(() => import('./table').then((m) => m.FrameTable)), TablePanel = later(() => import('./table').then((m) => m.TablePanel));
const TextPanel = later(() => import('./text').then((m) => m.TextPanel)), Notes = later(() => import('./text').then((m) => m.Blocks));
const PiePanel = later(() => import('./shapes').then((m) => m.PiePanel)), BarChartPanel = later(() => import('./shapes').then((m) => m.BarChartPanel)), HistogramPanel = later(() => import('./shapes').then((m) => m.HistogramPanel));
const StatePanel = later(() => import('./shapes').then((m) => m.StatePanel)), HeatmapPanel = later(() => import('./shapes').then((m) => m.HeatmapPanel));

const drawn = new Set(['timeseries', 'stat', 'table', 'gauge', 'bargauge', 'piechart', 'heatmap', 'barchart', 'histogram', 'state-timeline', 'status-history', 'text', 'trend']);
/** Panels that wait for stores which are not here yet, and what they wait for. */
const waiting: Record<string, string> = { logs: 'Log panels need a log store, and there is none here yet.', traces: 'Trace panels need a trace store, and there is none here yet.', nodeGraph: 'Graphs of services need a trace store, and there is none here yet.', flamegraph: 'Flame graphs need a profile store, and there is none here yet.' };
const still = new Set(['text', 'news', 'welcome', 'dashlist', 'row', 'alertlist', 'annolist', 'gettingstarted']);

function Missing({ props, reason }: { props: PanelProps; reason: string }): JSX.Element {
  const [at] = props.frames, [sort, setSort] = useState<{ index: number; desc: boolean } | null>(null);
  return <div class="missing" data-placeholder={props.panel.type}><p class="notice">{reason}</p>{at && at.fields.length > 0 && <FrameTable frame={at} props={{ ...props, height: Math.max(80, props.height - 44) }} sort={sort} onSort={setSort} />}</div>;
}

function Body(props: PanelProps & { onZoom: (a: number, b: number) => void; onZoomOut: () => void }): JSX.Element {
  switch (props.panel.type) {
    case 'timeseries': case 'trend': return <TimeSeriesPanel {...props} group={`d${props.view.dashboard.uid}`} />;
    case 'stat': return <StatPanel {...props} />;
    case 'gauge': return <GaugePanel {...props} />;
    case 'bargauge': return <BarGaugePanel {...props} />;
    case 'table': return <TablePanel {...props} />;
    case 'text': return <TextPanel {...props} />;
    case 'piechart': return <PiePanel {...props} />;
    case 'barchart': return <BarChartPanel {...props} />;
    case 'histogram': return <HistogramPanel {...props} />;
    case 'state-timeline': return <StatePanel {...props} />;
    case 'status-history': return <StatePanel {...props} history />;
    case 'heatmap': return <HeatmapPanel {...props} />;
  }
  return <Missing props={props} reason={waiting[props.panel.type] ? t(waiting[props.panel.type]) : t('Panels of the type "{0}" are not drawn here; this is their data.', props.panel.type || '?')} />;
}

/** RFC 4180, as the panel shows it; a cell that a spreadsheet would run is kept as text. */
export function framesToCsv(frames: ShownFrame[]): string {
  const cell = (x: string): string => { const safe = /^[=+\-@\t\r]/.test(x) && Number.isNaN(Number(x)) ? `'${x}` : x; return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe; };
  const value = (f: Field, v: unknown): string => (v == null ? '' : f.type === 'time' && typeof v === 'number' ? new Date(v).toISOString() : typeof v === 'object' ? JSON.stringify(v) : String(v));
  return frames.map((f) => [f.fields.map((x) => cell(x.state?.displayName ?? x.name)).join(','), ...Array.from({ length: f.length }, (_, i) => f.fields.map((x) => cell(value(x, x.values[i]))).join(','))].join('\r\n')).join('\r\n\r\n') + '\r\n';
}

function Inspect({ panel, answer, frames, onClose }: { panel: Panel; answer: Answer; frames: ShownFrame[]; onClose: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null), name = (panel.title || 'panel').replace(/[^\w.-]+/g, '-');
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="inspect" aria-label={t('Inspect {0}', panel.title)} onClose={onClose} onClick={(e) => e.target === dialog.current && dialog.current?.close()}>
      <div class="dialog-head"><h2>{panel.title || t('Panel')}</h2><button type="button" onClick={() => download(`${name}.csv`, 'text/csv', framesToCsv(frames))}>CSV</button><button type="button" onClick={() => download(`${name}.json`, 'application/json', JSON.stringify(answer.frames, null, 1))}>JSON</button><button type="button" class="icon" aria-label={t('Close')} onClick={() => dialog.current?.close()}>✕</button></div>
      <div class="inspect-body" tabIndex={0}>
        <p class="muted small">{t('$__interval {0}, $__rate_interval {1}', printStep(answer.steps.step), `${answer.steps.rate / 1000}s`)}</p>
        {answer.asked.map((a) => (
          <section>
            <h3>{a.refId} <span class="muted small">{a.kind} · {t('{0} series', a.series)} · {a.ms.toFixed(0)} ms{a.step ? ` · ${t('step')} ${printStep(a.step * 1000)}` : ''}</span></h3>
            <div class="code-box"><pre class="code">{visible(a.expr)}</pre><CopyButton text={a.expr} label={t('Copy the query')} /></div>
          </section>
        ))}
        {answer.errors.map((e) => <p class="problem">{e.refId} {e.error.message}</p>)}
        {answer.notes.map((n) => <p class="notice">{n}</p>)}
        <details><summary>{t('Panel JSON')}</summary><pre class="code" tabIndex={0}>{visible(JSON.stringify({ ...panel, panels: undefined }, null, 2).slice(0, 60_000))}</pre></details>
      </div>
    </dialog>
  );
}

function State({ answer }: { answer: Answer }): JSX.Element | null {
  const notes = [...new Set(answer.notes)];
  if (!answer.errors.length && !notes.length && !answer.missing.length && !answer.unknown.length) return null;
  return (
    <Menu text={<span aria-hidden="true">{answer.errors.length ? '✕' : '!'}</span>} label={answer.errors.length ? t('Errors') : t('Notes')} align="left">
      {() => (
        <div class="panel-notes">
          {answer.errors.map((e) => <p class="problem"><b>{e.refId}</b> {e.error.message}</p>)}
          {answer.missing.map((m) => <p class="notice">{t('{0} is not here.', m)}</p>)}
          {answer.unknown.map((u) => <p class="notice">{t('The transformation "{0}" is not known here and was passed over.', u)}</p>)}
          {notes.map((n) => <p class="notice">{n}</p>)}
        </div>
      )}
    </Menu>
  );
}

/** An entry of a panel's menu. */
export interface Action { text: string; run: () => void }
export interface FrameProps {
  panel: Panel; view: View; locals: Locals; width: number; height: number; alone?: boolean; onZoom: (a: number, b: number) => void; onZoomOut: () => void; onView: (id: number) => void;
  actions?: Action[]; /** What an editor puts into the head: handles. */ tools?: ComponentChildren; onAnswer?: (a: Answer) => void;
}

const turns = new MessageChannel(), line: (() => void)[] = [];
turns.port1.onmessage = () => { line.shift()?.(); if (line.length) turns.port2.postMessage(0); };
/** A task of its own: those who wait are let on one by one. */
const nextTurn = (): Promise<void> => new Promise((go) => { line.push(go); if (line.length === 1) turns.port2.postMessage(0); });

/** What of a panel its answer depends on. */
const questions = new WeakMap<Panel, string>();
function question(p: Panel): string {
  let q = questions.get(p);
  if (q === undefined) questions.set(p, (q = JSON.stringify([p.targets, p.transformations, p.datasource, p.interval, p.maxDataPoints, p.timeFrom, p.timeShift])));
  return q;
}

export function PanelFrame({ panel, view, locals, width, height, alone, onZoom, onZoomOut, onView, actions = [], tools, onAnswer }: FrameProps): JSX.Element {
  const box = useRef<HTMLElement>(null), [seen, setSeen] = useState(!!alone), [answer, setAnswer] = useState<Answer | null>(null), [error, setError] = useState<ApiError | null>(null), [loading, setLoading] = useState(false), [inspect, setInspect] = useState(false);
  const turn = view.turn.value, isReady = view.ready.value, needsData = !still.has(panel.type) && panel.targets.length > 0;
  useEffect(() => {
    if (alone || !box.current) return;
    const watch = new IntersectionObserver((all) => all.forEach((e) => setSeen(e.isIntersecting)), { rootMargin: '240px' });
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  const asked = useRef('');
  useEffect(() => {
    const key = `${turn}/${panel.id}/${JSON.stringify(locals)}/${question(panel)}`;
    if (!seen || !isReady || !needsData || asked.current === key) return;
    const abort = new AbortController();
    setLoading(true);
    // Answers that come together are drawn one after the other, so that the page stays awake between them.
    view.query(panel, width, locals, abort.signal).then((a) => nextTurn().then(() => a)).then((a) => {
      if (abort.signal.aborted) return;
      asked.current = key;
      view.answers.set(panel.id, a);
      onAnswer?.(a);
      setAnswer(a);
      setError(null);
      setLoading(false);
    }, (e: unknown) => {
      if (abort.signal.aborted) return;
      asked.current = key;
      setError(e instanceof ApiError ? e : new ApiError('internal', String(e), 0));
      setLoading(false);
    });
    return () => abort.abort();
  }, [seen, turn, isReady, panel, JSON.stringify(locals)]);
  const title = visible(view.text(panel.title, locals, words)), mode = theme.value;
  const frames = useMemo(() => (answer ? applyFieldConfig(answer.frames, panel.fieldConfig, mode, view.zone, (text, f, fr) => view.link(text, view.linkScope(f, fr as Frame, undefined, undefined, locals), false)) : []), [answer, mode, panel]);
  const bare: Answer = answer ?? { frames: [], errors: [], notes: [], missing: [], unknown: [], asked: [], span: view.span, steps: { interval: 0, step: 0, rate: 0 } };
  const inner = { width: Math.max(40, width - 18), height: Math.max(24, height - (title || !panel.transparent ? 38 : 12)) }, timeLabel = view.panelSpan(panel).label;
  const first = panel.targets.find((x) => x.expr && !x.hide), links = panel.links.map((l) => linkOf(l, (x, enc) => view.link(x, view.scope(locals), enc))).filter((l) => l !== null);
  const failed = bare.errors.length > 0 && !bare.frames.length, foreign = bare.missing.length > 0 && !bare.frames.length;
  let body: ComponentChildren = null;
  if (!seen && !answer && needsData) body = null;
  else if (error) body = <div class="problem" role="alert">{error.message}</div>;
  else if (needsData && !answer) body = <div class="waiting" role="status" aria-label={t('Loading …')}><div class="skeleton panel-skeleton" /></div>;
  else if (failed) body = <div class="problem" role="alert">{bare.errors.map((e) => <p><b>{e.refId}</b> {e.error.message}</p>)}</div>;
  else if (foreign && drawn.has(panel.type)) body = <div class="missing" data-placeholder={`source:${bare.missing[0]}`}><p class="notice">{t('This panel asks {0}, which is not here.', bare.missing.join(', '))}</p></div>;
  else if (seen || answer) body = <Body panel={panel} view={view} answer={bare} frames={frames} theme={mode} locals={locals} title={title || t('Panel {0}', panel.id)} {...inner} onZoom={onZoom} onZoomOut={onZoomOut} />;
  return (
    <section ref={box} class={`dash-panel ${panel.transparent ? 'transparent' : ''} ${loading && answer ? 'busy' : ''}`} data-panel={panel.id} data-type={panel.type} data-missing={bare.missing[0]} aria-label={title || t('Panel {0}', panel.id)} style={{ width: `${width}px`, height: `${height}px` }}>
      <header class="panel-head">
        {title && <h2 title={title}>{title}</h2>}
        {panel.description && <Menu text={<span aria-hidden="true">i</span>} label={t('About {0}', title)}>{() => <div class="panel-notes text-panel"><Notes text={view.text(panel.description ?? '', locals)} /></div>}</Menu>}
        {timeLabel && <span class="muted small">{t('Last {0}', timeLabel)}</span>}
        {links.map((l) => l && <a class="panel-link" href={l.href} target={l.blank ? '_blank' : undefined} rel="noreferrer noopener" title={l.title}>{l.title || '↗'}</a>)}
        <State answer={bare} />
        <span class="spacer" />
        {tools}
        <Menu text={<span aria-hidden="true">⋮</span>} label={t('Menu of {0}', title || t('Panel {0}', panel.id))} align="right">
          {(close) => (
            <ul class="panel-menu">
              <li><button type="button" onClick={() => { close(); onView(panel.id); }}>{alone ? t('Back to the dashboard') : t('View')}</button></li>
              {actions.map((a) => <li><button type="button" onClick={() => { close(); a.run(); }}>{a.text}</button></li>)}
              {first && <li><a href={href('/query', { 'g0.expr': view.answers.get(panel.id)?.asked[0]?.expr ?? String(first.expr), 'g0.tab': '0' })} data-page>{t('Open in Query')}</a></li>}
              {needsData && <li><button type="button" disabled={!answer} onClick={() => { close(); setInspect(true); }}>{t('Inspect')}</button></li>}
              {needsData && <li><button type="button" disabled={!answer} onClick={() => { close(); download(`${(title || 'panel').replace(/[^\w.-]+/g, '-')}.csv`, 'text/csv', framesToCsv(frames)); }}>{t('Save as CSV')}</button></li>}
              {/^(timeseries|trend|heatmap)$/.test(panel.type) && <li><button type="button" disabled={!answer} onClick={() => { close(); const e = box.current; if (e) void import('./picture').then((m) => m.pictureOf(e, title)).then((b) => b && download(`${(title || 'panel').replace(/[^\w.-]+/g, '-')}.png`, 'image/png', b)); }}>{t('Save as PNG')}</button></li>}
            </ul>
          )}
        </Menu>
      </header>
      <div class="panel-body" style={{ height: `${inner.height}px` }}>{body}</div>
      {inspect && answer && <Inspect panel={panel} answer={answer} frames={frames} onClose={() => setInspect(false)} />}
    </section>
  );
}

