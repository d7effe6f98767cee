// What Explore shows, as its address holds it: Grafana's `panes` (written), and its older `left` and `right` (read).
export interface Query { refId: string; expr: string; mode: 'builder' | 'code'; hide?: boolean; legend?: string }
export interface Pane { queries: Query[]; from: string; to: string }

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
export const freeRef = (taken: Query[]): string => [...letters].find((l) => !taken.some((q) => q.refId === l)) ?? `Q${taken.length}`;
const time = (v: unknown, standard: string): string => (typeof v === 'number' ? String(v) : typeof v === 'string' && v ? v : standard);
const isObject = (v: unknown): v is Record<string, any> => typeof v === 'object' && v !== null && !Array.isArray(v);

function queryOf(v: unknown, before: Query[]): Query[] {
  if (!isObject(v)) return [];
  const asked = typeof v.refId === 'string' && v.refId && !before.some((q) => q.refId === v.refId) ? v.refId.slice(0, 20) : freeRef(before);
  return [{ refId: asked, expr: typeof v.expr === 'string' ? v.expr : '', mode: v.editorMode === 'code' ? 'code' : 'builder', ...(v.hide ? { hide: true } : {}), ...(typeof v.legendFormat === 'string' && v.legendFormat && v.legendFormat !== '__auto' ? { legend: v.legendFormat } : {}) }];
}

function paneOf(v: unknown): Pane | null {
  // ["now-1h","now","prometheus",{"expr":"up"},…]: the oldest form.
  const list = Array.isArray(v) ? v : null;
  if (!list && !isObject(v)) return null;
  const given: unknown[] = list ? list.slice(3) : Array.isArray((v as any).queries) ? (v as any).queries : [], range = list ? { from: list[0], to: list[1] } : (v as any).range ?? {};
  const queries: Query[] = [];
  for (const q of given.slice(0, 26)) if (!list || (isObject(q) && 'expr' in q)) queries.push(...queryOf(q, queries));
  return { queries: queries.length ? queries : [{ refId: 'A', expr: '', mode: 'builder' }], from: time(range.from, 'now-1h'), to: time(range.to, 'now') };
}

const parse = (text: string | null): unknown => {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
};

/** The panes of an address; one that is empty when it has none that can be read. */
export function readPanes(params: URLSearchParams): Pane[] {
  const panes = parse(params.get('panes')), given = isObject(panes) ? Object.values(panes) : [parse(params.get('left')), parse(params.get('right'))];
  const read = given.map(paneOf).filter((p): p is Pane => p !== null).slice(0, 2);
  // A plain ?expr= is what people write by hand.
  return read.length ? read : [{ queries: [{ refId: 'A', expr: params.get('expr') ?? '', mode: 'builder' }], from: params.get('from') ?? 'now-1h', to: params.get('to') ?? 'now' }];
}

export function printPanes(panes: Pane[]): string {
  return JSON.stringify(Object.fromEntries(panes.map((p, i) => [i ? 'right' : 'left', { datasource: 'prometheus', queries: p.queries.map((q) => ({ refId: q.refId, expr: q.expr, editorMode: q.mode, ...(q.hide ? { hide: true } : {}), ...(q.legend ? { legendFormat: q.legend } : {}) })), range: { from: p.from, to: p.to } }])));
}

/** Where a link to an expression leads. */
export const exploreLink = (expr: string, from = 'now-1h', to = 'now'): Record<string, string> => ({ panes: printPanes([{ queries: [{ refId: 'A', expr, mode: 'builder' }], from, to }]) });
