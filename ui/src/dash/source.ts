// From a panel's queries to frames: which store is asked, what, and how its answer becomes columns.
import type { Series } from '../api';
import type { ColumnSeries } from './columns';
import type { Field, Frame, Labels } from './frames';
import type { Dashboard, DatasourceRef, Target } from './schema';
import { describeSource } from './variables';
import type { Scope } from './vars';

export interface Store { uid: string; name: string; type: string; isDefault?: boolean }
export type Resolved = { kind: 'prometheus' } | { kind: 'expr' } | { kind: 'dashboard' } | { kind: 'none' } | { kind: 'missing'; what: string };

const metricTypes = /^(prometheus|victoriametrics(-metrics)?-datasource|grafana-amazonprometheus-datasource|grafana-azureprometheus-datasource|mimir|thanos|cortex|victoria|vm)$/i;
const otherTypes: Record<string, string> = { loki: 'Loki', tempo: 'Tempo', jaeger: 'Jaeger', zipkin: 'Zipkin', influxdb: 'InfluxDB', elasticsearch: 'Elasticsearch', graphite: 'Graphite', cloudwatch: 'CloudWatch', mysql: 'MySQL', postgres: 'PostgreSQL', 'grafana-postgresql-datasource': 'PostgreSQL', mssql: 'SQL Server', testdata: 'TestData', 'grafana-testdata-datasource': 'TestData', opentsdb: 'OpenTSDB', 'grafana-azure-monitor-datasource': 'Azure Monitor', 'grafana-clickhouse-datasource': 'ClickHouse', 'vertamedia-clickhouse-datasource': 'ClickHouse', stackdriver: 'Google Cloud Monitoring', alertmanager: 'Alertmanager', 'camptocamp-prometheus-alertmanager-datasource': 'Alertmanager', 'grafana-pyroscope-datasource': 'Pyroscope', 'quickwit-quickwit-datasource': 'Quickwit', 'victoriametrics-logs-datasource': 'VictoriaLogs', 'yesoreyeram-infinity-datasource': 'Infinity', 'grafana-opensearch-datasource': 'OpenSearch' };

/** Where a query goes. An unknown name is taken for our metrics when the query is PromQL: that is what it was, elsewhere. */
export function resolveSource(ref: DatasourceRef | undefined, target: Target | undefined, d: Dashboard, scope: Scope, stores: Store[]): Resolved {
  const name = describeSource(d, ref, scope), type = ref?.type;
  if (name === '__expr__' || type === '__expr__') return { kind: 'expr' };
  if (name === '-- Dashboard --' || type === 'dashboard') return { kind: 'dashboard' };
  if (/^(-- Grafana --|grafana|-- Mixed --)$/.test(name) && !target?.expr) return { kind: 'none' };
  const known = stores.find((s) => s.uid === name || s.name === name);
  if (known) return metricTypes.test(known.type) ? { kind: 'prometheus' } : { kind: 'missing', what: otherTypes[known.type] ?? known.type };
  if (type && type !== 'datasource' && !type.startsWith('$')) {
    if (metricTypes.test(type)) return { kind: 'prometheus' };
    return { kind: 'missing', what: otherTypes[type] ?? type };
  }
  const plain = name.toLowerCase();
  if (metricTypes.test(plain)) return { kind: 'prometheus' };
  for (const [id, what] of Object.entries(otherTypes)) if (plain === id || (plain.includes(id) && !plain.includes('prom') && !target?.expr)) return { kind: 'missing', what };
  if (target && typeof target.expr === 'string') return /^\s*\{[^}]*\}\s*(\||$)|\|[=~]|\| *(json|logfmt)\b/.test(target.expr) && /loki|log/i.test(plain) ? { kind: 'missing', what: 'Loki' } : { kind: 'prometheus' };
  if (target && (target.rawSql || target.measurement)) return { kind: 'missing', what: target.rawSql ? 'SQL' : 'InfluxDB' };
  return { kind: 'prometheus' };
}

/** "{{job}} at {{instance}}". */
export function legendText(format: string, metric: Labels): string {
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name: string) => (Object.hasOwn(metric, name) ? metric[name] : ''));
}

function metricText({ __name__: name, ...rest }: Labels): string {
  const pairs = Object.keys(rest).sort().map((k) => `${k}=${JSON.stringify(rest[k])}`);
  return (name ?? '') + (pairs.length ? `{${pairs.join(', ')}}` : name ? '' : '{}');
}

function nameOf(metric: Labels, legend: string | undefined, expr: string): string {
  if (legend === '__auto') return Object.keys(metric).length ? '' : expr;
  return legend ? legendText(legend, metric) || expr : metricText(metric);
}

const time = (values: number[]): Field => ({ name: 'Time', type: 'time', config: {}, values });

/** Each series as a frame of times and values. */
export function seriesFrames(result: ColumnSeries[], refId: string, legend: string | undefined, expr: string, stepMs: number): Frame[] {
  return result.map((s): Frame => {
    const points = s.values ?? (s.value ? [s.value] : []), histograms = s.histograms ?? (s.histogram ? [s.histogram] : []), name = nameOf(s.metric, legend, expr);
    const times = s.columns?.times ?? new Array<number>(points.length), values = s.columns?.values ?? new Array<number>(points.length);
    for (let i = 0; i < points.length; i++) {
      times[i] = points[i][0] * 1000;
      const text = points[i][1];
      values[i] = text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
    }
    for (const [at, h] of points.length || s.columns ? [] : histograms) {
      times.push(at * 1000);
      values.push(Number(h.count));
    }
    const value: Field = { name: 'Value', type: 'number', labels: s.metric, values, config: { interval: stepMs, ...(name ? { displayNameFromDS: name } : {}) } };
    return { refId, name: name || undefined, fields: [time(times), value], length: times.length, meta: { type: 'timeseries-multi', histograms: histograms.length ? histograms : undefined } };
  });
}

/** One table of a query: time, a column per label, the value. */
export function tableFrame(result: Series[], refId: string, isOnly: boolean): Frame {
  const labels = [...new Set(result.flatMap((s) => Object.keys(s.metric)))].sort(), times: number[] = [], values: number[] = [], columns = labels.map((): unknown[] => []);
  for (const s of result) {
    const points: [number, string][] = s.values ?? (s.value ? [s.value] : (s.histograms ?? (s.histogram ? [s.histogram] : [])).map(([at, h]) => [at, h.count]));
    for (const [at, v] of points) {
      times.push(at * 1000);
      values.push(v === '+Inf' ? Infinity : v === '-Inf' ? -Infinity : Number(v));
      labels.forEach((l, i) => columns[i].push(l === 'le' ? (s.metric.le === '+Inf' ? Infinity : Number(s.metric.le)) : (s.metric[l] ?? '')));
    }
  }
  return {
    refId, length: times.length, meta: { preferredVisualisationType: 'table' },
    fields: [time(times), ...labels.map((l, i): Field => ({ name: l, type: l === 'le' ? 'number' : 'string', config: { filterable: true }, values: columns[i] })), { name: isOnly ? 'Value' : `Value #${refId}`, type: 'number', config: {}, values }],
  };
}

const limitOf = (f: Frame): number => {
  const le = f.fields[1].labels?.le ?? f.name ?? '';
  return /^\+?inf/i.test(le) ? Infinity : parseFloat(le);
};

/** Cumulative buckets (le) as counts per bucket, in the order of their limits. */
export function bucketFrames(frames: Frame[]): Frame[] {
  const sorted = [...frames].sort((a, b) => limitOf(a) - limitOf(b));
  let below = new Map<number, number>();
  return sorted.map((frame) => {
    const [t, v] = frame.fields, here = new Map<number, number>();
    const values = v.values.map((n: number, i: number) => {
      here.set(t.values[i], n);
      return Math.max(0, n - (below.get(t.values[i]) ?? 0));
    });
    below = here;
    return { ...frame, meta: { ...frame.meta, type: 'heatmap-rows', le: limitOf(frame) }, fields: [t, { ...v, values, config: { ...v.config } }] };
  });
}
