// An expression as the builder holds it: a metric, filters, and operations in the order they are applied. Reading goes over the server's own
// tree (parse_query); what the builder has no place for is named, and the text stays as it is.
import { labelText, selector, type Filter } from '../metrics';

export type Param = { name: string; type: 'number' | 'string'; start: string };
export interface Spec { id: string; group: 'range' | 'aggregate' | 'function' | 'arithmetic' | 'compare'; before?: Param[]; after?: Param[]; says: string }
export interface Operation { id: string; args: string[]; range?: string; by?: string[]; without?: boolean; bool?: boolean }
export interface Built { metric: string; filters: Filter[]; ops: Operation[] }

const num = (name: string, start: string): Param => ({ name, type: 'number', start }), str = (name: string, start = ''): Param => ({ name, type: 'string', start });
const spec = (group: Spec['group'], id: string, says: string, before?: Param[], after?: Param[]): Spec => ({ id, group, says, before, after });
export const specs: Spec[] = [
  spec('range', 'rate', 'Increase per second, averaged over the range'), spec('range', 'increase', 'How much it grew over the range'), spec('range', 'irate', 'Increase per second between the last two points'),
  spec('range', 'delta', 'Difference of a gauge over the range'), spec('range', 'idelta', 'Difference of the last two points'), spec('range', 'deriv', 'Slope of a gauge per second'), spec('range', 'changes', 'How often the value changed'), spec('range', 'resets', 'How often a counter began anew'),
  spec('range', 'avg_over_time', 'Mean over the range'), spec('range', 'min_over_time', 'Least over the range'), spec('range', 'max_over_time', 'Greatest over the range'), spec('range', 'sum_over_time', 'Sum over the range'), spec('range', 'count_over_time', 'Number of points in the range'),
  spec('range', 'last_over_time', 'Last point of the range'), spec('range', 'stddev_over_time', 'Deviation over the range'), spec('range', 'quantile_over_time', 'A quantile of the points in the range', [num('quantile', '0.95')]), spec('range', 'present_over_time', '1 where there was a point'), spec('range', 'absent_over_time', '1 where there was none'),
  spec('aggregate', 'sum', 'Sum of the series'), spec('aggregate', 'avg', 'Mean of the series'), spec('aggregate', 'min', 'Least of the series'), spec('aggregate', 'max', 'Greatest of the series'), spec('aggregate', 'count', 'Number of series'), spec('aggregate', 'group', '1 for each group'),
  spec('aggregate', 'topk', 'The greatest few', [num('k', '5')]), spec('aggregate', 'bottomk', 'The least few', [num('k', '5')]), spec('aggregate', 'quantile', 'A quantile across series', [num('quantile', '0.95')]), spec('aggregate', 'stddev', 'Deviation across series'), spec('aggregate', 'stdvar', 'Variance across series'),
  spec('aggregate', 'count_values', 'How many series have each value', [str('label', 'value')]),
  spec('function', 'histogram_quantile', 'A quantile out of the buckets of a histogram', [num('quantile', '0.95')]), spec('function', 'histogram_count', 'Observations of a native histogram'), spec('function', 'histogram_sum', 'Sum of a native histogram'), spec('function', 'histogram_avg', 'Mean of a native histogram'),
  spec('function', 'abs', 'Without the sign'), spec('function', 'ceil', 'Rounded up'), spec('function', 'floor', 'Rounded down'), spec('function', 'round', 'Rounded to a multiple', [], [num('to', '1')]), spec('function', 'clamp_min', 'Not under', [], [num('least', '0')]), spec('function', 'clamp_max', 'Not over', [], [num('most', '1')]), spec('function', 'clamp', 'Between two bounds', [], [num('least', '0'), num('most', '1')]),
  spec('function', 'sqrt', 'Square root'), spec('function', 'exp', 'Power of e'), spec('function', 'ln', 'Natural logarithm'), spec('function', 'log2', 'Logarithm to 2'), spec('function', 'log10', 'Logarithm to 10'), spec('function', 'sgn', 'Sign'), spec('function', 'sort', 'Least first'), spec('function', 'sort_desc', 'Greatest first'),
  spec('function', 'absent', '1 where there is no series'), spec('function', 'timestamp', 'Time of each point'), spec('function', 'label_replace', 'A label out of another by a pattern', [], [str('to', 'new'), str('replacement', '$1'), str('from', 'instance'), str('pattern', '(.*):.*')]),
  ...([['+', 'Add'], ['-', 'Subtract'], ['*', 'Multiply by'], ['/', 'Divide by'], ['%', 'Remainder of'], ['^', 'To the power of']] as const).map(([id, says]) => spec('arithmetic', id, says, undefined, [num('number', id === '*' ? '100' : '1')])),
  ...([['>', 'Greater than'], ['>=', 'At least'], ['<', 'Less than'], ['<=', 'At most'], ['==', 'Equal to'], ['!=', 'Other than']] as const).map(([id, says]) => spec('compare', id, says, undefined, [num('number', '0')])),
];
const byId = new Map(specs.map((s) => [s.id, s]));
export const specOf = (id: string): Spec => byId.get(id) as Spec;
export const fresh = (id: string): Operation => {
  const s = specOf(id);
  return { id, args: [...(s.before ?? []), ...(s.after ?? [])].map((p) => p.start), ...(s.group === 'range' ? { range: '$__rate_interval' } : {}), ...(s.group === 'aggregate' ? { by: [] } : {}) };
};

/** A range function sits on the selector itself: it goes first, in the place of the one before. */
export function withOperation(b: Built, op: Operation): Built {
  if (specOf(op.id).group !== 'range') return { ...b, ops: [...b.ops, op] };
  const rest = b.ops.filter((o) => specOf(o.id).group !== 'range');
  return { ...b, ops: [op, ...rest] };
}

// ---- writing ----

const literal = (p: Param, v: string): string => (p.type === 'string' ? JSON.stringify(v) : v.trim() === '' ? p.start : v.trim());

export function print(b: Built): string {
  let text = selector(b.metric, b.filters), isBinary = false;
  if (!b.metric && !b.filters.some((f) => !f.draft && f.name)) return '';
  for (const op of b.ops) {
    const s = specOf(op.id), before = (s.before ?? []).map((p, i) => literal(p, op.args[i] ?? '')), after = (s.after ?? []).map((p, i) => literal(p, op.args[before.length + i] ?? ''));
    if (s.group === 'range') text = `${op.id}(${[...before, `${text}[${op.range || '$__rate_interval'}]`, ...after].join(', ')})`;
    else if (s.group === 'aggregate') {
      const labels = (op.by ?? []).map(labelText).join(', ');
      text = `${op.id}${op.without ? ` without (${labels}) ` : labels ? ` by (${labels}) ` : ''}(${[...before, text].join(', ')})`;
    } else if (s.group === 'function') text = `${op.id}(${[...before, text, ...after].join(', ')})`;
    else text = `${isBinary ? `(${text})` : text} ${op.id}${op.bool ? ' bool' : ''} ${after[0]}`;
    isBinary = s.group === 'arithmetic' || s.group === 'compare';
  }
  return text;
}

// ---- reading ----

// Names that stand for durations; the server is asked with lengths nobody would write, and they are turned back.
const stand: [string, number][] = [['$__rate_interval', 299_321], ['$__interval', 299_322], ['$__range', 299_323]];
export const standIn = (expr: string): string => stand.reduce((e, [name, ms]) => e.split(`[${name}]`).join(`[${ms}ms]`), expr.replace(/\[\$\{(__\w+)\}\]/g, '[$$$1]'));

export function durationText(ms: number): string {
  const known = stand.find(([, v]) => v === ms);
  if (known) return known[0];
  let rest = ms, text = '';
  for (const [size, name] of [[604_800_000, 'w'], [86_400_000, 'd'], [3_600_000, 'h'], [60_000, 'm'], [1000, 's'], [1, 'ms']] as const) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n) text += `${n}${name}`;
  }
  return text || '0s';
}

export interface Node { type: string; [key: string]: any }
class Cannot extends Error {}

function selectorOf(n: Node): { metric: string; filters: Filter[] } {
  if (n.offset || n.timestamp !== null && n.timestamp !== undefined || n.startOrEnd) throw new Cannot(n.offset ? 'offset' : '@');
  const all = (n.matchers ?? []) as { name: string; type: string; value: string }[], named = all.find((m) => m.name === '__name__' && m.type === '=');
  return { metric: named?.value ?? n.name ?? '', filters: all.filter((m) => m !== named).map((m) => ({ name: m.name, op: m.type, value: m.value })) };
}

const bare = (n: Node): Node => (n.type === 'parenExpr' ? bare(n.expr) : n);

function value(n: Node, p: Param): string {
  const x = bare(n);
  if (p.type === 'string' && x.type === 'stringLiteral') return x.val;
  if (p.type === 'number' && x.type === 'numberLiteral') return x.val;
  if (p.type === 'number' && x.type === 'unaryExpr' && bare(x.expr).type === 'numberLiteral') return `${x.op}${bare(x.expr).val}`;
  throw new Cannot(p.name);
}

function read(given: Node): Built {
  const n = bare(given);
  switch (n.type) {
    case 'vectorSelector': return { ...selectorOf(n), ops: [] };
    case 'aggregation': {
      const s = byId.get(n.op);
      if (!s || s.group !== 'aggregate') throw new Cannot(n.op);
      const inner = read(n.expr);
      return { ...inner, ops: [...inner.ops, { id: n.op, args: (s.before ?? []).map((p) => value(n.param, p)), by: n.grouping ?? [], ...(n.without ? { without: true } : {}) }] };
    }
    case 'call': {
      const name = n.func.name as string, s = byId.get(name), args = n.args as Node[];
      if (!s || (s.group !== 'range' && s.group !== 'function')) throw new Cannot(`${name}()`);
      const lead = s.before?.length ?? 0, params = [...(s.before ?? []), ...(s.after ?? [])], inner = bare(args[lead] ?? { type: 'nothing' }), others = args.filter((_, i) => i !== lead);
      if (others.length > params.length) throw new Cannot(`${name}()`);
      const given = params.map((p, i) => (others[i] ? value(others[i], p) : p.start));
      if (s.group === 'function') {
        const b = read(inner);
        return { ...b, ops: [...b.ops, { id: name, args: given }] };
      }
      if (inner.type !== 'matrixSelector') throw new Cannot(inner.type === 'subquery' ? 'subquery' : `${name}()`);
      return { ...selectorOf(inner), ops: [{ id: name, args: given, range: durationText(inner.range) }] };
    }
    case 'binaryExpr': {
      const s = byId.get(n.op);
      if (!s?.after) throw new Cannot(n.op);
      let right: string;
      try {
        right = value(n.rhs, s.after[0]);
      } catch {
        throw new Cannot(n.op);
      }
      const b = read(n.lhs);
      return { ...b, ops: [...b.ops, { id: n.op, args: [right], ...(n.bool ? { bool: true } : {}) }] };
    }
    case 'subquery': throw new Cannot('subquery');
  }
  throw new Cannot(n.type);
}

/** The tree of an expression as the builder's; null and what it has no place for otherwise. */
export function fromTree(tree: Node): { built: Built | null; why: string } {
  try {
    return { built: read(tree), why: '' };
  } catch (e) {
    if (e instanceof Cannot) return { built: null, why: e.message };
    throw e;
  }
}

// ---- what fits a metric ----

export interface Hint { text: string; ops: Operation[] }
export function hints(b: Built, kind: string): Hint[] {
  const has = (id: string): boolean => b.ops.some((o) => o.id === id), ranged = b.ops.some((o) => specOf(o.id).group === 'range');
  const out: Hint[] = [];
  if (!b.metric) return out;
  if ((kind === 'histogram' || kind === 'native') && !has('histogram_quantile')) out.push({ text: 'histogram: 95th percentile', ops: [fresh('rate'), { ...fresh('sum'), by: kind === 'histogram' ? ['le'] : [] }, fresh('histogram_quantile')] });
  if (kind === 'counter' && !ranged) out.push({ text: 'counter: rate per second', ops: [fresh('rate')] }, { text: 'counter: increase', ops: [fresh('increase')] });
  if (!b.ops.some((o) => specOf(o.id).group === 'aggregate') && (ranged || kind === 'gauge')) out.push({ text: 'sum of the series', ops: [fresh('sum')] });
  return out;
}
