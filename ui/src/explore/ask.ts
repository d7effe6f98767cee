// Asks the queries of a pane: over its range for the graph, at its end for the table, with the server's own account of both.
import { api, ApiError, type QueryData, type Series } from '../api';
import { aligned, parseTime, printStep, stepsFor, type Span, type Steps } from '../dash/range';
import type { Pane, Query } from './state';

export interface Stats { timings?: Record<string, number>; samples?: Record<string, number> }
export interface Call { path: string; params: Record<string, string>; ms: number; data?: QueryData & { stats?: Stats }; error?: ApiError }
export interface Outcome { query: Query; expr: string; range: Call; instant: Call; warnings: string[]; infos: string[] }
export interface Answers { outcomes: Outcome[]; span: Span; steps: Steps; start: number; end: number; step: number }

export function spanOf(pane: Pane, now: number): Span {
  const from = parseTime(pane.from, now, 'browser') ?? now - 3_600_000, to = parseTime(pane.to, now, 'browser', true) ?? now;
  return to > from ? { from, to } : { from: to - 3_600_000, to };
}

/** Grafana's names for durations that follow the range. */
export function expand(expr: string, span: Span, steps: Steps): string {
  const range = span.to - span.from, names: Record<string, string> = { __rate_interval: printStep(steps.rate), __interval: printStep(steps.step), __range: `${Math.round(range / 1000)}s`, __range_s: String(Math.round(range / 1000)), __range_ms: String(Math.round(range)), __interval_ms: String(steps.step) };
  return expr.replace(/\$(?:\{(__\w+)\}|(__\w+))/g, (all, a?: string, b?: string) => names[a ?? b ?? ''] ?? all);
}

async function call(path: string, params: Record<string, string>, signal: AbortSignal, notes: Outcome): Promise<Call> {
  const from = performance.now();
  try {
    const got = await api<QueryData & { stats?: Stats }>(path, { ...params, stats: 'all' }, signal);
    notes.warnings = [...new Set([...notes.warnings, ...got.warnings])];
    notes.infos = [...new Set([...notes.infos, ...got.infos])];
    return { path, params, ms: performance.now() - from, data: got.data };
  } catch (e) {
    if (signal.aborted) throw e;
    return { path, params, ms: performance.now() - from, error: e instanceof ApiError ? e : new ApiError('internal', String(e), 0) };
  }
}

export async function askPane(pane: Pane, points: number, now: number, signal: AbortSignal): Promise<Answers> {
  const span = spanOf(pane, now), steps = stepsFor(span, points, '1s', undefined, 1, 15_000), ends = aligned(span, steps.step);
  const asked = pane.queries.filter((q) => q.expr.trim() && !q.hide);
  const outcomes = await Promise.all(asked.map(async (query) => {
    const expr = expand(query.expr, span, steps), out: Outcome = { query, expr, range: null as unknown as Call, instant: null as unknown as Call, warnings: [], infos: [] };
    [out.range, out.instant] = await Promise.all([
      call('query_range', { query: expr, start: (ends.from / 1000).toFixed(3), end: (ends.to / 1000).toFixed(3), step: String(steps.step / 1000) }, signal, out),
      call('query', { query: expr, time: (span.to / 1000).toFixed(3) }, signal, out),
    ]);
    return out;
  }));
  return { outcomes, span, steps, start: ends.from / 1000, end: ends.to / 1000, step: steps.step / 1000 };
}

export const seriesOf = (o: Outcome): Series[] => (o.range.data?.resultType === 'matrix' ? (o.range.data.result as Series[]) : []);
