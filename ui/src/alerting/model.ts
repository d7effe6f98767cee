// Alertmanager's API and our own beside it, and what the alert pages know about alerts: matchers, severities, episodes.
import { api, ApiError, root, type Labels, type Series } from '../api';
import { visible } from '../format';

export interface Matcher { name: string; value: string; isRegex: boolean; isEqual: boolean }
export interface AmAlert {
  fingerprint: string; labels: Labels; annotations: Labels; startsAt: string; endsAt: string; updatedAt: string; generatorURL?: string;
  receivers: { name: string }[]; status: { state: 'active' | 'suppressed' | 'unprocessed'; silencedBy: string[]; inhibitedBy: string[]; mutedBy: string[] };
}
export interface AmGroup { labels: Labels; receiver: { name: string }; alerts: AmAlert[] }
export interface Silence {
  id: string; status: { state: 'active' | 'pending' | 'expired' }; comment: string; createdBy: string; startsAt: string; endsAt: string; updatedAt: string; matchers: Matcher[];
}
export interface RuleAlert { labels: Labels; annotations: Labels; state: 'pending' | 'firing' | 'inactive'; activeAt: string; value: string; keepFiringSince?: string }
export interface Rule {
  name: string; query: string; labels?: Labels; health: string; lastError?: string; lastEvaluation: string; evaluationTime: number; type: 'alerting' | 'recording';
  state?: 'pending' | 'firing' | 'inactive'; duration?: number; keepFiringFor?: number; annotations?: Labels; alerts?: RuleAlert[] | null;
}
export interface RuleGroup { name: string; file: string; interval: number; rules: Rule[]; lastEvaluation: string; evaluationTime: number; limit?: number }
export interface RouteHead {
  id: string; matchers: string; line: number; receiver: string; continue: boolean; groupBy: string[]; groupWaitMs: number; groupIntervalMs: number; repeatIntervalMs: number; mutedBy: string[];
}
export interface RouteNode extends RouteHead { routes: RouteNode[] }
export interface WalkStep { id: string; verdict: 'taken' | 'passed' | 'refused'; matcher?: string; value?: string }
export interface LedgerEntry { at: string; integration: string; group: string; state: string; id?: string; reason?: string }
export interface PathIntegration {
  integration: string; verdict: string; stopped: boolean; lastNotified?: string; firingThen?: number; knowsThisAlert?: boolean; queued: number; lastError?: string; lastErrorAt?: string; deliveries: LedgerEntry[];
}
export interface PathRoute extends RouteHead { groupKey: string; groupAlerts?: number; lastFlush?: string; nextFlush?: string; integrations: PathIntegration[] }
export interface Path {
  labels: Labels; fingerprint?: string; startsAt?: string; endsAt?: string; updatedAt?: string; state: string;
  inhibitedBy?: { fingerprint: string; labels: Labels; rule?: string }; silencedBy: { id: string; createdBy: string; comment: string; endsAt: string }[]; walk: WalkStep[]; routes: PathRoute[];
}

/** Alertmanager's API; its errors are a string, or an object with a message. */
export async function am<T>(path: string, options: { params?: Record<string, string | string[]>; method?: string; body?: unknown; signal?: AbortSignal } = {}): Promise<T> {
  const query = new URLSearchParams();
  for (const [k, v] of Object.entries(options.params ?? {})) for (const one of Array.isArray(v) ? v : [v]) query.append(k, one);
  let response: Response;
  try {
    response = await fetch(`${root}/api/${path}${query.size ? `?${query}` : ''}`, {
      method: options.method ?? 'GET', signal: options.signal,
      ...(options.body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(options.body) }),
    });
  } catch (e) {
    if (options.signal?.aborted) throw e;
    throw new ApiError('unavailable', 'The server does not answer.', 0);
  }
  const text = await response.text();
  let body: unknown = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new ApiError('unavailable', text.slice(0, 300), response.status);
  }
  if (!response.ok) {
    const said = typeof body === 'string' ? body : ((body as { message?: string; error?: string } | null)?.message ?? (body as { error?: string } | null)?.error);
    throw new ApiError('bad_data', said ?? (text.slice(0, 300) || `The server answered ${response.status}.`), response.status);
  }
  return body as T;
}

/** A form to one of our own endpoints. */
export async function post<T>(path: string, form: Record<string, string>): Promise<T> {
  const response = await fetch(`${root}/api/v1/${path}`, { method: 'POST', body: new URLSearchParams(form) }).catch(() => {
    throw new ApiError('unavailable', 'The server does not answer.', 0);
  });
  const body = (await response.json().catch(() => ({}))) as { status?: string; data?: T; error?: string };
  if (body.status !== 'success') throw new ApiError('execution', body.error ?? `The server answered ${response.status}.`, response.status);
  return body.data as T;
}

export const loadRules = async (signal: AbortSignal, type = 'alert'): Promise<RuleGroup[]> => (await api<{ groups: RuleGroup[] | null }>('rules', type ? { type } : {}, signal)).data.groups ?? [];

/** The alert as `label=name=value` parameters: how our own endpoints are asked about alerts. */
export const asPairs = (labels: Labels): string[] => Object.entries(labels).map(([k, v]) => `${k}=${v}`);

// ---- matchers ----
const operators: [string, boolean, boolean][] = [['=~', true, true], ['!~', true, false], ['!=', false, false], ['=', false, true]];

export const operatorOf = (m: Matcher): string => (m.isRegex ? (m.isEqual ? '=~' : '!~') : m.isEqual ? '=' : '!=');

export function printMatcher(m: Matcher): string {
  return `${/^[a-zA-Z_:][\w:]*$/.test(m.name) ? m.name : JSON.stringify(m.name)}${operatorOf(m)}${JSON.stringify(m.value)}`;
}

/** `name op "value"`, the quotes optional; null when it is none. */
export function parseMatcher(text: string): Matcher | null {
  const m = /^\s*("(?:[^"\\]|\\.)*"|[^\s"{}=!~,][^\s"{}=!~,]*)\s*(=~|!~|!=|=)\s*([\s\S]*?)\s*$/.exec(text);
  if (!m) return null;
  const bare = (s: string): string | null => {
    if (!s.startsWith('"')) return s;
    try {
      return JSON.parse(s) as string;
    } catch {
      return null;
    }
  };
  const name = bare(m[1]), value = bare(m[3]), op = operators.find(([o]) => o === m[2]);
  if (name === null || value === null || !op) return null;
  return { name, value, isRegex: op[1], isEqual: op[2] };
}

/** `{a="b", c=~"d"}`, the braces optional; what is no matcher is left out. */
export function parseMatchers(text: string): Matcher[] {
  const inner = text.trim().replace(/^\{/, '').replace(/\}$/, '');
  const parts = inner.match(/(?:"(?:[^"\\]|\\.)*"|[^",])+/g) ?? [];
  return parts.map(parseMatcher).filter((m): m is Matcher => m !== null);
}

export const printMatchers = (ms: Matcher[]): string => `{${ms.map(printMatcher).join(', ')}}`;

export function matches(ms: Matcher[], labels: Labels): boolean {
  return ms.every((m) => {
    const value = labels[m.name] ?? '';
    if (!m.isRegex) return (value === m.value) === m.isEqual;
    try {
      return new RegExp(`^(?:${m.value})$`, 'su').test(value) === m.isEqual;
    } catch {
      return false;
    }
  });
}

export const equalities = (labels: Labels): Matcher[] => Object.entries(labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
export const selectorOf = (metric: string, labels: Labels): string => `${metric}{${Object.entries(labels).map(([k, v]) => `${/^[a-zA-Z_]\w*$/.test(k) ? k : JSON.stringify(k)}=${JSON.stringify(v)}`).join(',')}}`;

// ---- severities ----
export type Level = 'critical' | 'warning' | 'info' | 'none';

/** The words people use, in four levels; the word itself is always shown too. */
export function levelOf(labels: Labels): Level {
  const word = (labels.severity ?? labels.priority ?? '').toLowerCase();
  if (/^(crit|critical|page|fatal|emerg|emergency|disaster|high|error|p1|p0|sev1|major)$/.test(word)) return 'critical';
  if (/^(warn|warning|medium|average|minor|ticket|p2|p3|sev2)$/.test(word)) return 'warning';
  return word && word !== 'none' ? 'info' : 'none';
}

export const levelOrder: Record<Level, number> = { critical: 0, warning: 1, info: 2, none: 3 };

/** What the alert is about: its summary, or the next best annotation. */
export function headline(annotations: Labels): string {
  return annotations.summary ?? annotations.title ?? annotations.description ?? annotations.message ?? '';
}

/** The expression behind a generator's link, if it is one of Prometheus's. */
export function expressionOf(url: string | undefined): string | null {
  if (!url) return null;
  try {
    return new URL(url, location.href).searchParams.get('g0.expr');
  } catch {
    return null;
  }
}

export const isWeb = (url: string | undefined): url is string => !!url && /^https?:\/\//i.test(url);

/** The rule that makes alerts like this one: by name, and by the alert's own labels. */
export function ruleOf(groups: RuleGroup[], labels: Labels): { rule: Rule; group: RuleGroup; alert?: RuleAlert } | null {
  let best: { rule: Rule; group: RuleGroup; alert?: RuleAlert } | null = null;
  for (const group of groups) {
    for (const rule of group.rules) {
      if (rule.name !== labels.alertname || rule.type !== 'alerting') continue;
      const alert = rule.alerts?.find((a) => Object.entries(a.labels).every(([k, v]) => labels[k] === v));
      if (alert) return { rule, group, alert };
      best ??= { rule, group };
    }
  }
  return best;
}

// ---- history ----
/** One time an alert was there: pending from `from`, firing from `fired` (null = it never did), until `to` (null = it still is). */
export interface Episode { from: number; fired: number | null; to: number | null }

/** From ALERTS over windows a step long, and ALERTS_FOR_STATE, whose value is when the episode began. Ends are known to a step. */
export function episodesOf(alerts: Series[], since: Series[], start: number, end: number, step: number): Episode[] {
  const at = new Map<number, { firing: boolean; began?: number }>();
  const slot = (time: number): number => Math.round((time - start) / step);
  for (const s of alerts) {
    for (const [time] of s.values ?? []) {
      const firing = s.metric.alertstate === 'firing', k = slot(time);
      at.set(k, { firing: firing || (at.get(k)?.firing ?? false) });
    }
  }
  for (const s of since) {
    for (const [time, v] of s.values ?? []) {
      const one = at.get(slot(time));
      if (one) one.began = Number(v);
    }
  }
  const out: Episode[] = [];
  let open: Episode | null = null, began: number | undefined, last = -2;
  for (const k of [...at.keys()].sort((a, b) => a - b)) {
    const one = at.get(k) as { firing: boolean; began?: number }, time = start + k * step;
    if (open && (k !== last + 1 || (one.began !== undefined && began !== undefined && one.began !== began))) {
      open.to = start + last * step;
      open = null;
    }
    const opened = !open;
    if (!open) {
      open = { from: one.began ?? time, fired: null, to: null };
      out.push(open);
    }
    // Firing when first seen: since it began, unless it must have been pending before.
    if (one.firing && open.fired === null) open.fired = opened && (k === 0 || open.from > time - step) ? open.from : time;
    began = one.began ?? began;
    last = k;
  }
  if (open && start + last * step < end - step) open.to = start + last * step;
  return out;
}

export const plain = (text: string): string => visible(text);
