// The Prometheus HTTP API, as the server beside this page speaks it. Every call can be cancelled; errors carry the server's sentence.

import { RequestQueue } from './dash/queue';
import { visible } from './format';

export type Labels = Record<string, string>;
export type Point = [number, string];
export interface Histogram { count: string; sum: string; buckets?: [number, string, string, string][] }
export interface Series {
  metric: Labels;
  value?: Point;
  values?: Point[];
  histogram?: [number, Histogram];
  histograms?: [number, Histogram][];
}
export type QueryData =
  | { resultType: 'vector' | 'matrix'; result: Series[] }
  | { resultType: 'scalar' | 'string'; result: Point };
export interface Answer<T> { data: T; warnings: string[]; infos: string[] }

export class ApiError extends Error {
  constructor(readonly type: string, message: string, readonly status: number) {
    super(message);
  }
}

/** Where the application lives: pages may be served under a prefix. */
export const root: string = (() => {
  const page = location.pathname;
  const at = page.search(/\/(?:d\/.*|d-solo\/.*|dashboards|explore|query|graph|targets|rules|alerts|alert|silences|routing|deliveries|rule|status|config|flags|tsdb-status|service-discovery)?$/);
  return at > 0 ? page.slice(0, at) : '';
})();

// As many requests at a time as a browser opens connections for; the same question at the same time is asked once, and one that nobody
// waits for any more is taken back.
const line = new RequestQueue(6);

/** `parse` reads the answer's text; answers that are read otherwise are other answers. */
export function api<T>(path: string, params: Record<string, string | string[]> = {}, signal?: AbortSignal, parse: (text: string) => unknown = JSON.parse): Promise<Answer<T>> {
  return line.ask(`${parse.name} ${path}?${JSON.stringify(params)}`, (s) => fetchApi<T>(path, params, s, parse), signal);
}

async function fetchApi<T>(path: string, params: Record<string, string | string[]>, signal: AbortSignal, parse: (text: string) => unknown): Promise<Answer<T>> {
  const form = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) form.append(key, one);
  }
  const long = form.toString().length > 1500; // long queries go as a form
  const url = `${root}/api/v1/${path}`;
  let response: Response;
  try {
    response = await fetch(long ? url : form.size ? `${url}?${form}` : url, long ? { method: 'POST', body: form, signal } : { signal });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new ApiError('unavailable', 'The server does not answer.', 0);
  }
  const text = await response.text();
  let body: { status?: string; data?: T; error?: string; errorType?: string; warnings?: string[]; infos?: string[] };
  try {
    body = parse(text) as typeof body;
  } catch {
    throw new ApiError('unavailable', text.slice(0, 300) || `The server answered ${response.status}.`, response.status);
  }
  if (body.status !== 'success') throw new ApiError(body.errorType ?? 'unknown', body.error ?? `status ${response.status}`, response.status);
  return { data: body.data as T, warnings: body.warnings ?? [], infos: body.infos ?? [] };
}

export function rangeQuery(query: string, start: number, end: number, step: number, signal?: AbortSignal): Promise<Answer<QueryData>> {
  return api<QueryData>('query_range', { query, start: start.toFixed(3), end: end.toFixed(3), step: String(step) }, signal);
}

/** `name{a="b"}` as Prometheus prints it, and as an expression reads it back. */
export function seriesName(metric: Labels): string {
  const { __name__: name, ...rest } = metric;
  const pairs = Object.entries(rest).map(([k, v]) => `${/^[a-zA-Z_]\w*$/.test(k) ? k : JSON.stringify(k)}=${visible(JSON.stringify(v))}`);
  return (name ?? '') + (pairs.length || !name ? `{${pairs.join(', ')}}` : '');
}
