// The metrics there are, with their type and help; asked once a minute however many parts of a page want them.
import { api } from './api';

export type Kind = 'counter' | 'gauge' | 'histogram' | 'native' | 'summary' | 'info' | 'unknown';
export interface Metric { name: string; type: string; help: string; kind: Kind }
interface Meta { type: string; help: string; unit: string }

/** What a metric is, by its type and, where that is not known, by its name. */
export function kindOf(name: string, type: string): Kind {
  if (/_bucket$/.test(name) && type !== 'gauge') return 'histogram';
  if (type === 'histogram' || type === 'gaugehistogram') return /_(count|sum)$/.test(name) ? 'counter' : 'native';
  if (type === 'summary') return /_(count|sum)$/.test(name) ? 'counter' : 'summary';
  if (type === 'info' || /_info$/.test(name)) return 'info';
  if (type === 'counter' || (!type || type === 'unknown') && /_(total|count|sum)$/.test(name)) return 'counter';
  return type === 'gauge' || type === 'stateset' ? 'gauge' : 'unknown';
}

let kept: { at: number; all: Promise<Metric[]> } | null = null;

export function listMetrics(): Promise<Metric[]> {
  if (kept && Date.now() - kept.at < 60_000) return kept.all;
  const all = Promise.all([
    api<string[]>('label/__name__/values').then((x) => x.data),
    api<Record<string, Meta[]>>('metadata').then((x) => x.data, () => ({} as Record<string, Meta[]>)),
  ]).then(([names, meta]) => names.map((name): Metric => {
    // Parts of a histogram or summary are described under its name.
    const m = (meta[name] ?? meta[name.replace(/_(bucket|count|sum|total)$/, '')])?.[0], type = m?.type ?? '';
    return { name, type, help: m?.help ?? '', kind: kindOf(name, type) };
  }));
  kept = { at: Date.now(), all };
  all.catch(() => (kept = null));
  return all;
}

const word = /^[a-zA-Z_]\w*$/;
const quoted = (s: string): string => `"${s.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
export const labelText = (name: string): string => (word.test(name) ? name : quoted(name));
/** A draft has no value yet, and filters nothing. */
export interface Filter { name: string; op: string; value: string; draft?: boolean }

/** name{a="b"}, with the name inside where it is no word. */
export function selector(metric: string, filters: Filter[]): string {
  const plain = /^[a-zA-Z_:][\w:]*$/.test(metric), inside = [...(metric && !plain ? [quoted(metric)] : []), ...filters.filter((f) => !f.draft && f.name).map((f) => `${labelText(f.name)}${f.op}${quoted(f.value)}`)];
  return (plain ? metric : '') + (inside.length || !plain ? `{${inside.join(', ')}}` : '');
}

export const labelNames = async (match: string, signal?: AbortSignal): Promise<string[]> => (await api<string[]>('labels', match ? { 'match[]': match } : {}, signal)).data.filter((x) => x !== '__name__');
export const labelValues = async (name: string, match: string, signal?: AbortSignal): Promise<string[]> => (await api<string[]>(`label/${encodeURIComponent(name)}/values`, match ? { 'match[]': match } : {}, signal)).data;

/** How a number of this metric is read: by the unit in its name, and per second where it is a rate. */
export function unitOf(name: string, isRate: boolean): 'bytes' | 'bytes/s' | 'seconds' | 'short' | 'percent' {
  const base = name.replace(/_(total|sum|count|bucket)$/, '');
  if (/_bytes$/.test(base) && !/_count$/.test(name)) return isRate ? 'bytes/s' : 'bytes';
  if (/_seconds$/.test(base) && !isRate && !/_count$/.test(name) && !/timestamp|time_seconds$/.test(base)) return 'seconds';
  return 'short';
}

