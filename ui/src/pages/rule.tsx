// One rule: written with what it would give now beside it, tested over the past, copied as YAML or kept by the server.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Severity, StateMark } from '../alerting/parts';
import { printRule, ruleForm, withRule, type Draft } from '../alerting/rule-text';
import { ApiError, rangeQuery, root, type Labels, type Series } from '../api';
import { Chart, type Range } from '../chart';
import type { Editor } from '../editor';
import { formatDuration, formatNumber, formatTime, parseDuration, visible } from '../format';
import { useLoad } from '../hooks';
import { Badge, CopyButton, Empty, LabelSet, Linked, Problem, Waiting } from '../parts';
import { faultOf, type Fault } from '../promql-error';
import { href, route, setParams } from '../router';
import { t } from '../strings';

interface Threshold { query: string; op: string; value: number | null }
interface Rule { name: string; type: 'alerting' | 'recording'; query: string; duration: number; keepFiringFor: number; threshold?: Threshold }
interface Preview extends Rule { total: number; series: { labels: Labels; annotations: Labels; value: string }[] }
interface Firing { labels: Labels; activeAt: number; startsAt: number; endsAt: number | null; first: string; last: string; peak: string; peakAt: number }
interface Totals { firings: number; firingSeconds: number; pendingOnly: number; longestPending: number; evaluations: number; failed: number; firstFailure?: string; truncated: boolean }
interface Result { rule: Rule & { start: number; end: number; interval: number }; firings: Firing[]; part: number; totals?: Totals }

const mostDrawn = 20;

/** A form to our own endpoints, cancellable. */
async function send(path: string, form: URLSearchParams, signal: AbortSignal): Promise<Response> {
  const response = await fetch(`${root}/api/v1/${path}`, { method: 'POST', body: form, signal }).catch((e: unknown) => {
    if (signal.aborted) throw e;
    throw new ApiError('unavailable', t('The server does not answer.'), 0);
  });
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: string; errorType?: string };
  throw new ApiError(body.errorType ?? 'unavailable', body.error ?? t('The server answered {0}.', response.status), response.status);
}

// ---- the draft and the address ----
function fromParams(p: URLSearchParams): Draft {
  const pairs = (name: string): [string, string][] => p.getAll(name).map((x): [string, string] => [x.slice(0, x.indexOf('=')), x.slice(x.indexOf('=') + 1)]).filter(([k]) => k);
  return {
    kind: p.get('record') !== null ? 'record' : 'alert', name: p.get('record') ?? p.get('name') ?? '', expr: p.get('expr') ?? '', hold: p.get('for') ?? '', keep: p.get('keep') ?? '',
    labels: pairs('label'), annotations: pairs('annotation'), namespace: p.get('namespace') ?? '', group: p.get('group') ?? '', interval: p.get('interval') ?? '',
  };
}

function keepInAddress(d: Draft): void {
  const p = new URLSearchParams(location.search);
  for (const key of ['record', 'name', 'expr', 'for', 'keep', 'label', 'annotation', 'namespace', 'group', 'interval']) p.delete(key);
  p.set(d.kind === 'record' ? 'record' : 'name', d.name);
  for (const [key, value] of [['expr', d.expr], ['for', d.hold], ['keep', d.keep], ['namespace', d.namespace], ['group', d.group], ['interval', d.interval]] as const) if (value) p.set(key, value);
  for (const [k, v] of d.labels) p.append('label', `${k}=${v}`);
  for (const [k, v] of d.annotations) p.append('annotation', `${k}=${v}`);
  history.replaceState(null, '', `${location.pathname}?${p}`);
}

// ---- parts of the form ----
function Expression({ value, fault, onChange }: { value: string; fault: Fault | null; onChange: (text: string) => void }): JSX.Element {
  const host = useRef<HTMLDivElement>(null), editor = useRef<Editor | null>(null), change = useRef(onChange), first = useRef(value);
  change.current = onChange;
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let gone = false;
    import('../editor').then((m) => {
      if (gone || !host.current) return;
      editor.current = m.createEditor(host.current, first.current, root, t('Expression'), t('The condition: rate(errors_total[5m]) > 5'), (next) => change.current(next), () => undefined);
    }, () => setFailed(true));
    return () => {
      gone = true;
      editor.current?.destroy();
    };
  }, []);
  useEffect(() => editor.current?.markFault(fault), [fault?.from, fault?.to, fault?.message]);
  return failed ? <textarea class="mono" rows={3} aria-label={t('Expression')} value={value} onInput={(e) => onChange(e.currentTarget.value)} /> : <div class="editor" ref={host} />;
}

function Pairs({ of, title, hints, long, onChange }: { of: [string, string][]; title: string; hints: string[]; long?: boolean; onChange: (next: [string, string][]) => void }): JSX.Element {
  const set = (i: number, k: string, v: string): void => onChange(of.map((p, n) => (n === i ? [k, v] : p)));
  return (
    <fieldset class="pairs">
      <legend>{title}</legend>
      {of.map(([k, v], i) => (
        <div class={`pair-row ${long ? 'long' : ''}`} role="group" aria-label={`${title} ${i + 1}`}>
          <input type="text" aria-label={t('Name')} value={k} spellcheck={false} onInput={(e) => set(i, e.currentTarget.value, v)} />
          {long ? <textarea rows={2} aria-label={t('Text')} value={v} onInput={(e) => set(i, k, e.currentTarget.value)} /> : <input type="text" aria-label={t('Value')} value={v} onInput={(e) => set(i, k, e.currentTarget.value)} />}
          <button type="button" class="icon" aria-label={t('Remove {0}', k || title)} onClick={() => onChange(of.filter((_, n) => n !== i))}>✕</button>
        </div>
      ))}
      <span class="lengths">{hints.filter((h) => !of.some(([k]) => k === h)).map((h) => <button type="button" class="small-button" onClick={() => onChange([...of, [h, '']])}>+ {h}</button>)}<button type="button" class="small-button" onClick={() => onChange([...of, ['', '']])}>{t('+ another')}</button></span>
    </fieldset>
  );
}

// ---- what it gives now ----
/** Where the steps of a chart are longer than the rule's, each shows the worst value since the one before. */
async function drawn(query: string, threshold: Threshold | undefined, begin: number, end: number, interval: number, signal: AbortSignal): Promise<Range & { more: number }> {
  // The last step is the end, so that what happens now is seen.
  const step = Math.max(1, Math.ceil((end - begin) / 240)), start = end - Math.floor((end - begin) / step) * step, value = threshold?.query ?? query;
  const worst = interval && step >= 2 * interval && threshold ? `${threshold.op.startsWith('<') ? 'min' : 'max'}_over_time((${value})[${step}s:${interval}s])` : value;
  const { data } = await rangeQuery(worst, start, end, step, signal);
  const all: Series[] = data.resultType === 'matrix' ? data.result : [];
  const series = all.slice(0, mostDrawn), at = threshold?.value;
  if (at !== undefined && at !== null) series.push({ metric: { __name__: `${t('threshold')} ${threshold?.op} ${at}` }, values: Array.from({ length: (end - start) / step + 1 }, (_, i): [number, string] => [start + i * step, String(at)]) });
  return { series, start, end, step, more: Math.max(0, all.length - mostDrawn) };
}

/** Names by the labels in which the series differ. */
function shortNames(series: Series[]): (m: Labels) => string {
  const real = series.filter((s) => !s.metric.__name__?.startsWith(t('threshold')));
  const keys = [...new Set(real.flatMap((s) => Object.keys(s.metric)))].filter((k) => k !== '__name__' && real.some((s) => s.metric[k] !== real[0].metric[k]));
  return (m) => (m.__name__?.startsWith(t('threshold')) ? m.__name__ : keys.length ? keys.map((k) => `${k}=${visible((m[k] ?? '').slice(0, 40))}`).join(' ') : (m.__name__ ?? t('value')));
}

function ValueChart({ rule, start, end, interval = 0 }: { rule: Rule; start: number; end: number; interval?: number }): JSX.Element {
  const load = useLoad((signal) => drawn(rule.query, rule.threshold, start, end, interval, signal), [rule.query, start, end]);
  if (load.error) return <Problem error={load.error} />;
  if (!load.data) return <Waiting />;
  if (!load.data.series.length) return <p class="muted">{t('The expression had no value in this time.')}</p>;
  return (
    <>
      <Chart range={load.data} title={t('Value of the expression')} height={220} name={shortNames(load.data.series)} />
      {load.data.more > 0 && <p class="small muted">{t('and {0} more series, not drawn', load.data.more)}</p>}
    </>
  );
}

function Now({ preview, now }: { preview: Preview; now: number }): JSX.Element {
  const alerting = preview.type === 'alerting';
  return (
    <section class="panel" aria-label={t('What it gives now')}>
      <h2 aria-live="polite">{alerting ? (preview.total ? t('Would be {0} now: {1}', preview.duration ? t('pending') : t('firing'), preview.total === 1 ? t('1 series') : t('{0} series', preview.total)) : t('Would not fire now')) : t('Would record {0} series now', preview.total)}</h2>
      {preview.series.slice(0, 10).map((s) => (
        <article class={`alert-card ${alerting ? 'info' : ''}`} aria-label={t('Preview')}>
          <div class="card-head">{alerting && <Severity labels={s.labels} />}<h3>{s.labels.alertname ?? s.labels.__name__}</h3>{alerting && <StateMark state={preview.duration ? 'pending' : 'firing'} />}<span class="when num">{formatNumber(Number(s.value))}</span></div>
          <LabelSet labels={s.labels} skip={['alertname', '__name__', 'severity']} />
          <dl class="annotations">{Object.entries(s.annotations).map(([k, v]) => <><dt>{k}</dt><dd class={v.includes('<error expanding template') ? 'bad-text' : ''}><Linked text={v} /></dd></>)}</dl>
        </article>
      ))}
      {preview.total > 10 && <p class="small muted">{t('and {0} more', preview.total - 10)}</p>}
      <ValueChart rule={preview} start={now - 3600} end={now} />
    </section>
  );
}

// ---- what it would have done ----
async function test(form: URLSearchParams, signal: AbortSignal, onChange: (r: Result) => void): Promise<void> {
  const response = await send('rules/backtest', form, signal);
  const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = '', result: Result | null = null;
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? '';
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const said = JSON.parse(line) as { rule?: Result['rule']; firing?: Firing; progress?: { part: number }; done?: Totals; error?: { message: string } };
      if (said.rule) result = { rule: said.rule, firings: [], part: 0 };
      if (!result) continue;
      if (said.firing) result.firings.push(said.firing);
      if (said.progress) result.part = said.progress.part;
      if (said.done) result = { ...result, part: 1, totals: said.done };
      if (said.error) throw new ApiError('execution', said.error.message, 200);
    }
    if (result) onChange({ ...result });
    if (done) break;
  }
  if (!result?.totals) throw new ApiError('unavailable', t('The answer ended before the test did.'), 0);
}

function Strip({ r }: { r: Result }): JSX.Element {
  const { start, end } = r.rule, x = (at: number): number => ((at - start) / (end - start)) * 1000;
  return (
    <>
      <svg class="strip" viewBox="0 0 1000 26" preserveAspectRatio="none" role="img" aria-label={t('When it would have fired: {0} times', r.firings.length)}>
        <rect x="0" y="0" width="1000" height="26" class="none" />
        {r.firings.slice(0, 2000).map((f) => <><rect x={x(f.activeAt)} width={Math.max(0, x(f.startsAt) - x(f.activeAt))} y="13" height="13" class="pending" /><rect x={Math.min(997, x(f.startsAt))} width={Math.max(3, x(f.endsAt ?? end) - x(f.startsAt))} y="0" height="26" class="firing"><title>{`${formatTime(f.startsAt)} – ${f.endsAt ? formatTime(f.endsAt) : t('the end')}`}</title></rect></>)}
      </svg>
      <div class="strip-ends muted small"><span>{formatTime(start).slice(0, -3)}</span><span>{formatTime(end).slice(0, -3)}</span></div>
    </>
  );
}

function Verdict({ r, range }: { r: Result; range: string }): JSX.Element {
  const d = r.totals;
  if (!d) return <p class="answer wait" role="status">{t('{0} % looked at, {1} firings so far', Math.floor(r.part * 100), r.firings.length)}</p>;
  const times = d.firings === 1 ? t('once') : t('{0} times', d.firings);
  return (
    <>
      <p class={`answer ${d.firings ? 'stop' : 'pass'}`} role="status">{d.firings ? t('Would have fired {0} in the last {1}', times, range) : t('Would not have fired in the last {0}', range)}{d.firings ? <span class="small"> {t('{0} in all', formatDuration(d.firingSeconds))}</span> : null}</p>
      <p class="small muted">
        {d.pendingOnly > 0 && t('{0} times it was pending and did not fire, {1} at most. ', d.pendingOnly, formatDuration(d.longestPending))}
        {t('{0} evaluations, every {1}.', d.evaluations, formatDuration(r.rule.interval))}
        {d.truncated && ` ${t('Only the first 10,000 firings are listed.')}`}
      </p>
      {d.failed > 0 && <p class="bad-text small">{t('{0} evaluations would have failed: {1}', d.failed, visible(d.firstFailure ?? ''))}</p>}
    </>
  );
}

const ranges = ['6h', '1d', '1w', '4w'];

function BackTest({ draft, start: begin }: { draft: Draft; start: boolean }): JSX.Element {
  const [range, setRange] = useState(route.value.params.get('range') ?? '1w');
  const [result, setResult] = useState<Result | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [most, setMost] = useState(20);
  const running = useRef<AbortController | null>(null);
  const [busy, setBusy] = useState(false);
  const run = (): void => {
    running.current?.abort();
    const abort = (running.current = new AbortController());
    const seconds = parseDuration(range) ?? 604800, end = Math.floor(Date.now() / 1000), form = ruleForm(draft);
    const interval = parseDuration(draft.interval) ?? Math.max(15, Math.ceil(seconds / 40_000 / 15) * 15);
    form.set('start', String(Math.ceil((end - seconds) / interval) * interval));
    form.set('end', String(end));
    form.set('interval', `${interval}s`);
    setParams({ range, test: '1' });
    setError(null);
    setResult(null);
    setBusy(true);
    test(form, abort.signal, (r) => !abort.signal.aborted && setResult(r)).then(() => setBusy(false), (e: unknown) => {
      if (abort.signal.aborted) return;
      setBusy(false);
      setError(e instanceof ApiError ? e : new ApiError('internal', String(e), 0));
    });
  };
  useEffect(() => {
    if (begin) run();
    return () => running.current?.abort(); // the server stops when nobody listens
  }, []);
  return (
    <section class="panel" aria-label={t('Test over the past')}>
      <div class="bar tight">
        <h2>{t('What would it have done?')}</h2>
        <span class="spacer" />
        <span class="group" role="group" aria-label={t('Range of the test')}>{ranges.map((x) => <button type="button" class="small-button" aria-pressed={x === range} onClick={() => setRange(x)}>{x}</button>)}</span>
        {busy ? <button type="button" class="small-button" onClick={() => (running.current?.abort(), setBusy(false))}>{t('Stop')}</button> : <button type="button" class="primary small-button" disabled={!draft.expr.trim()} onClick={run}>{t('Test')}</button>}
      </div>
      {error && <Problem error={error} />}
      {busy && !result && <Waiting />}
      {result && (
        <>
          <Verdict r={result} range={range} />
          <Strip r={result} />
          {result.totals && <ValueChart rule={result.rule} start={result.rule.start} end={result.rule.end} interval={result.rule.interval} />}
          {result.firings.length > 0 && (
            <table class="data firings">
              <thead><tr><th>{t('Fired')}</th><th class="num">{t('For')}</th><th class="num">{t('Peak')}</th><th>{t('Labels')}</th></tr></thead>
              <tbody>
                {[...result.firings].sort((a, b) => b.startsAt - a.startsAt).slice(0, most).map((f) => (
                  <tr>
                    <td data-label={t('Fired')}><time dateTime={new Date(f.startsAt * 1000).toISOString()}>{formatTime(f.startsAt)}</time></td>
                    <td data-label={t('For')} class="num">{formatDuration((f.endsAt ?? result.rule.end) - f.startsAt)}{f.endsAt === null ? ` ${t('(still)')}` : ''}</td>
                    <td data-label={t('Peak')} class="num">{formatNumber(Number(f.peak))}</td>
                    <td data-label={t('Labels')}><LabelSet labels={f.labels} skip={['alertname']} /></td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
          {result.firings.length > most && <button type="button" class="link" onClick={() => setMost(most + 100)}>{t('Show more of {0}', result.firings.length)}</button>}
        </>
      )}
    </section>
  );
}

// ---- keeping it ----
function Keep({ draft, yaml, onChange }: { draft: Draft; yaml: string; onChange: (d: Partial<Draft>) => void }): JSX.Element {
  const [said, setSaid] = useState<string | ApiError>('');
  const where = `${root}/prometheus/config/v1/rules/${encodeURIComponent(draft.namespace)}`;
  const save = async (): Promise<void> => {
    setSaid('');
    const old = await fetch(`${where}/${encodeURIComponent(draft.group)}`);
    const text = old.ok ? await old.text() : '';
    if (!old.ok && old.status !== 404) throw new ApiError('execution', (await old.text()).trim(), old.status);
    const answer = await fetch(where, { method: 'POST', headers: { 'Content-Type': 'application/yaml' }, body: withRule(text, draft) });
    if (!answer.ok) throw new ApiError('bad_data', (await answer.text()).trim(), answer.status);
    setSaid(t('Kept, and evaluated from now on.'));
  };
  const ready = draft.namespace && draft.group && draft.name && draft.expr.trim();
  return (
    <section class="panel" aria-label={t('Keep it')}>
      <h2>{t('As YAML')}</h2>
      <div class="code-box"><pre class="code small-code" tabIndex={0}>{yaml}</pre><CopyButton text={yaml} label={t('Copy the YAML')} /></div>
      <h2 class="next">{t('Or let the server keep it')}</h2>
      <form class="pair" onSubmit={(e) => {
        e.preventDefault();
        save().catch((x: unknown) => setSaid(x instanceof ApiError ? x : new ApiError('unavailable', String(x), 0)));
      }}>
        <label>{t('Namespace')} <input type="text" value={draft.namespace} spellcheck={false} onInput={(e) => onChange({ namespace: e.currentTarget.value })} /></label>
        <label>{t('Group')} <input type="text" value={draft.group} spellcheck={false} onInput={(e) => onChange({ group: e.currentTarget.value })} /></label>
        <button type="submit" class="primary" disabled={!ready}>{t('Save')}</button>
      </form>
      {said instanceof ApiError ? <Problem error={said} /> : said && <p role="status" class="done">{said} <a href={href('/rules', { search: draft.name })} data-page>{t('See it among the rules')}</a></p>}
      <p class="small muted">{t('A rule of the same name in the group is replaced; the others stay. Rules of files are changed in the files.')}</p>
    </section>
  );
}

export function RulePage(): JSX.Element {
  const [draft, setDraft] = useState(() => fromParams(route.value.params));
  const [settled, setSettled] = useState(draft);
  const [now, setNow] = useState(Math.floor(Date.now() / 1000));
  const begin = useRef(route.value.params.get('test') === '1');
  useEffect(() => {
    const timer = setTimeout(() => {
      setSettled(draft);
      setNow(Math.floor(Date.now() / 1000));
      keepInAddress(draft);
    }, 400);
    return () => clearTimeout(timer);
  }, [draft]);
  const key = ruleForm(settled).toString();
  const preview = useLoad<Preview | null>(async (signal) => (settled.expr.trim() ? ((await (await send('rules/preview', ruleForm(settled), signal)).json()) as { data: Preview }).data : null), [key], 15_000);
  const fault = preview.error ? faultOf(settled.expr, preview.error.message) : null;
  const set = (change: Partial<Draft>): void => setDraft((d) => ({ ...d, ...change }));
  const wrong = (text: string): boolean => text !== '' && parseDuration(text) === null && text !== '0' && text !== '0s';
  return (
    <div class="page alerting">
      <div class="bar head">
        <h1>{draft.kind === 'alert' ? t('Alerting rule') : t('Recording rule')}</h1>
        <span class="group" role="group" aria-label={t('Kind')}>{(['alert', 'record'] as const).map((k) => <button type="button" class="small-button" aria-pressed={k === draft.kind} onClick={() => set({ kind: k })}>{k === 'alert' ? t('Alert') : t('Record')}</button>)}</span>
        {preview.data && !preview.error && <Badge kind="ok">{t('valid')}</Badge>}
        {preview.error && <Badge kind="bad">{t('not valid')}</Badge>}
        <span class="spacer" />
        <a href={href('/rules')} data-page>{t('All rules')}</a>
      </div>
      <div class="two-columns rule-columns">
        <div>
          <section class="panel rule-form" aria-label={t('The rule')}>
            <label>{t('Name')} <input type="text" value={draft.name} spellcheck={false} placeholder={draft.kind === 'alert' ? 'HighErrorRate' : 'job:errors:rate5m'} onInput={(e) => set({ name: e.currentTarget.value })} /></label>
            <div class="field"><span class="small muted">{t('Expression')}</span><Expression value={draft.expr} fault={fault} onChange={(expr) => set({ expr })} /></div>
            {preview.error && <Problem error={fault ? new ApiError('bad_data', fault.message, 400) : preview.error} />}
            {draft.kind === 'alert' && (
              <div class="pair">
                <label>{t('Fires after holding for')} <input type="text" value={draft.hold} placeholder="5m" aria-invalid={wrong(draft.hold)} onInput={(e) => set({ hold: e.currentTarget.value.trim() })} /></label>
                <label>{t('Keeps firing for')} <input type="text" value={draft.keep} placeholder="0s" aria-invalid={wrong(draft.keep)} onInput={(e) => set({ keep: e.currentTarget.value.trim() })} /></label>
                <label>{t('Evaluated every')} <input type="text" value={draft.interval} placeholder={t('as configured')} aria-invalid={wrong(draft.interval)} onInput={(e) => set({ interval: e.currentTarget.value.trim() })} /></label>
              </div>
            )}
            <Pairs title={t('Labels')} of={draft.labels} hints={draft.kind === 'alert' ? ['severity', 'team'] : []} onChange={(labels) => set({ labels })} />
            {draft.kind === 'alert' && <Pairs title={t('Annotations')} long of={draft.annotations} hints={['summary', 'description', 'runbook_url']} onChange={(annotations) => set({ annotations })} />}
          </section>
          {draft.kind === 'alert' && <BackTest draft={settled} start={begin.current && !!settled.expr.trim()} />}
        </div>
        <div>
          {preview.data ? <Now preview={preview.data} now={now} /> : preview.loading && settled.expr.trim() ? <Waiting /> : !preview.error && <Empty><p>{t('Write an expression to see what it gives now.')}</p></Empty>}
          <Keep draft={draft} yaml={printRule(draft)} onChange={set} />
        </div>
      </div>
    </div>
  );
}
