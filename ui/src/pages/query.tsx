// Ask: an expression, a time range, a graph or a table. Parameters are Prometheus's (g0.expr, g0.tab, ...), so its links open here.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { api, rangeQuery, root, seriesName, type Answer, type QueryData, type Series } from '../api';
import { Chart } from '../chart';
import type { Editor } from '../editor';
import { formatDuration, formatTime, parseDuration } from '../format';
import { useLoad } from '../hooks';
import { Empty, LabelSet, Notes, Problem, Tabs } from '../parts';
import { route, setParams } from '../router';
import { t } from '../strings';

const ranges = ['15m', '1h', '3h', '6h', '12h', '1d', '2d', '1w', '2w'];
const examples = ['up', 'rate(node_cpu_seconds_total{mode!="idle"}[5m])', 'node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes', 'sum by (handler) (rate(prometheus_http_requests_total[5m]))'];

function ExpressionField({ value, onRun }: { value: string; onRun: (text: string) => void }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const text = useRef(value);
  const run = useRef(onRun);
  run.current = onRun;
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let gone = false;
    import('../editor').then((m) => {
      if (gone || !host.current) return;
      editor.current = m.createEditor(host.current, text.current, root, t('Expression'), t('Expression (Enter runs, Shift+Enter is a new line)'),
        (next) => (text.current = next), () => run.current(text.current));
      editor.current.focus();
    }, () => setFailed(true));
    return () => {
      gone = true;
      editor.current?.destroy();
    };
  }, []);
  useEffect(() => {
    text.current = value;
    editor.current?.setText(value);
  }, [value]);
  return (
    <form class="expression" onSubmit={(e) => { e.preventDefault(); run.current(text.current); }}>
      {failed
        ? <textarea class="editor" aria-label={t('Expression')} defaultValue={value} onInput={(e) => (text.current = e.currentTarget.value)} />
        : <div class="editor" ref={host} />}
      <button class="primary" type="submit">{t('Run')}</button>
    </form>
  );
}

interface Graph { series: Series[]; start: number; end: number; step: number }

function QueryTable({ data }: { data: QueryData }): JSX.Element {
  const [all, setAll] = useState(false);
  if (data.resultType === 'scalar' || data.resultType === 'string') {
    return <table class="data"><tbody><tr><th scope="row">{data.resultType}</th><td class="num">{data.result[1]}</td></tr></tbody></table>;
  }
  const rows: Series[] = data.result as Series[];
  if (!rows.length) return <Empty>{t('No series match at this time.')}</Empty>;
  const shown = all ? rows : rows.slice(0, 500);
  return (
    <>
      <table class="data">
        <thead><tr><th>{t('Series')}</th><th class="num">{t('Value')}</th></tr></thead>
        <tbody>
          {shown.map((s) => (
            <tr>
              <td><span class="metric">{s.metric.__name__}</span> <LabelSet labels={s.metric} skip={['__name__']} />{!Object.keys(s.metric).length && '{}'}</td>
              <td class="num">
                {s.value?.[1]}
                {s.values?.map(([at, v]) => <div>{v} <span class="muted">@ {at}</span></div>)}
                {s.histogram && t('{0} observations, sum {1}', s.histogram[1].count, s.histogram[1].sum)}
                {s.histograms?.map(([at, h]) => <div>{t('{0} observations, sum {1}', h.count, h.sum)} <span class="muted">@ {at}</span></div>)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shown.length && <button type="button" onClick={() => setAll(true)}>{t('Show all {0} series', rows.length)}</button>}
    </>
  );
}

export function QueryPage(): JSX.Element {
  const params = route.value.params;
  const expr = params.get('g0.expr') ?? '';
  const tab = params.get('g0.tab') === '0' || params.get('g0.tab') === 'graph' || !params.has('g0.tab') ? 'graph' : 'table';
  const rangeText = params.get('g0.range_input') ?? '1h';
  const range = parseDuration(rangeText) ?? 3600;
  const endText = params.get('g0.end_input');
  const stacked = params.get('g0.stacked') === '1';
  const stepText = params.get('g0.step_input');
  const [now, setNow] = useState(() => Date.now() / 1000);
  const end = endText ? Date.parse(`${endText.replace(' ', 'T')}Z`) / 1000 || now : now;
  const step = (stepText && parseDuration(stepText)) || Math.max(1, Math.ceil(range / 400));
  const [took, setTook] = useState<number | null>(null);

  const load = useLoad<Answer<QueryData> | null>(async (signal) => {
    if (!expr.trim()) return null;
    const from = performance.now();
    const answer = tab === 'graph'
      ? await rangeQuery(expr, Math.floor((end - range) / step) * step, Math.floor(end / step) * step, step, signal)
      : await api<QueryData>('query', { query: expr, time: end.toFixed(3) }, signal);
    setTook(performance.now() - from);
    return answer;
  }, [expr, tab, range, end, step]);

  const graph = useMemo<Graph | null>(() => {
    const data = load.data?.data;
    if (!data || data.resultType !== 'matrix') return null;
    return { series: data.result, start: Math.floor((end - range) / step) * step, end: Math.floor(end / step) * step, step };
  }, [load.data]);

  const run = (text: string): void => {
    setNow(Date.now() / 1000);
    setParams({ 'g0.expr': text }, true);
    load.reload();
  };
  const setEnd = (seconds: number | null): void => {
    setParams({ 'g0.end_input': seconds === null ? null : new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ') });
    if (seconds === null) setNow(Date.now() / 1000);
  };
  const count = load.data?.data && 'length' in load.data.data.result && (load.data.data.resultType === 'vector' || load.data.data.resultType === 'matrix') ? load.data.data.result.length : null;

  return (
    <div class="page">
      <h1 class="sr-only">{t('Query')}</h1>
      <ExpressionField value={expr} onRun={run} />
      <div class="bar">
        <Tabs value={tab} label={t('View')} tabs={[['graph', t('Graph')], ['table', t('Table')]]} onChange={(v) => setParams({ 'g0.tab': v === 'graph' ? '0' : '1' })} />
        <span class="group" role="group" aria-label={t('Time range')}>
          <button type="button" aria-label={t('Earlier')} onClick={() => setEnd(end - range / 2)}>‹</button>
          <select aria-label={t('Range')} value={ranges.includes(rangeText) ? rangeText : ''} onChange={(e) => e.currentTarget.value && setParams({ 'g0.range_input': e.currentTarget.value })}>
            {!ranges.includes(rangeText) && <option value="">{formatDuration(range)}</option>}
            {ranges.map((r) => <option value={r}>{r}</option>)}
          </select>
          <button type="button" aria-label={t('Later')} disabled={!endText} onClick={() => setEnd(end + range / 2)}>›</button>
          <button type="button" onClick={() => setEnd(null)}>{endText ? formatTime(end) : t('now')}</button>
        </span>
        {tab === 'graph' && (
          <label class="check"><input type="checkbox" checked={stacked} onChange={(e) => setParams({ 'g0.stacked': e.currentTarget.checked ? '1' : null })} /> {t('Stacked')}</label>
        )}
        <span class="muted spacer" aria-live="polite">
          {load.loading && expr ? t('Loading …') : count !== null && took !== null ? t('{0} series, {1} ms', count, Math.round(took)) : ''}
        </span>
      </div>
      {load.error && <Problem error={load.error} />}
      {load.data && <Notes warnings={load.data.warnings} infos={load.data.infos} />}
      {!expr.trim() && (
        <Empty>
          <p>{t('Type a PromQL expression, or try one:')}</p>
          <ul class="examples">{examples.map((e) => <li><button type="button" class="link mono" onClick={() => run(e)}>{e}</button></li>)}</ul>
        </Empty>
      )}
      {!load.error && tab === 'graph' && graph && (graph.series.length
        ? <Chart {...graph} stacked={stacked} title={expr} height={380} name={seriesName}
            onZoom={(from, to) => setParams({ 'g0.range_input': `${Math.max(1, Math.round(to - from))}s`, 'g0.end_input': new Date(to * 1000).toISOString().slice(0, 19).replace('T', ' ') }, true)} />
        : <Empty>{t('No series match in this range.')}</Empty>)}
      {!load.error && tab === 'table' && load.data && <QueryTable data={load.data.data} />}
    </div>
  );
}
