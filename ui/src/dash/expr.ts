// Expressions over the answers of other queries: reduce, math, resample and threshold.
import type { Field, Frame } from './frames';
import { reduceAll, reducerId } from './reduce';
import type { Target } from './schema';

const numbersOf = (frames: Frame[]): { frame: Frame; field: Field }[] => frames.flatMap((frame) => frame.fields.filter((f) => f.type === 'number').map((field) => ({ frame, field })));

type Operand = number | { at: Map<number, number> | null; value: number | null };

/** A tiny language: numbers, $A or ${A}, + - * / % ** comparisons, && || !, and functions of one argument. */
export function parseMath(text: string): { refs: string[]; run: (get: (ref: string) => number | null) => number | null } {
  const tokens = text.match(/\$\{[^}]+\}|\$\w+|\d+(?:\.\d+)?(?:e[-+]?\d+)?|\*\*|&&|\|\||[<>=!]=|[-+*/%()<>!,]|[a-z_]\w*/gi) ?? [];
  let at = 0;
  const refs = new Set<string>();
  type Node = (get: (ref: string) => number | null) => number | null;
  const two = (a: Node, b: Node, f: (x: number, y: number) => number): Node => (g) => {
    const x = a(g), y = b(g);
    return x === null || y === null ? null : f(x, y);
  };
  const levels: Record<string, (x: number, y: number) => number>[] = [
    { '||': (x, y) => Number(x !== 0 || y !== 0) }, { '&&': (x, y) => Number(x !== 0 && y !== 0) },
    { '==': (x, y) => Number(x === y), '!=': (x, y) => Number(x !== y), '<': (x, y) => Number(x < y), '>': (x, y) => Number(x > y), '<=': (x, y) => Number(x <= y), '>=': (x, y) => Number(x >= y) },
    { '+': (x, y) => x + y, '-': (x, y) => x - y }, { '*': (x, y) => x * y, '/': (x, y) => x / y, '%': (x, y) => x % y }, { '**': (x, y) => x ** y },
  ];
  const functions: Record<string, (x: number) => number> = { abs: Math.abs, log: Math.log, round: Math.round, ceil: Math.ceil, floor: Math.floor, is_nan: (x) => Number(Number.isNaN(x)), is_inf: (x) => Number(Math.abs(x) === Infinity), is_number: (x) => Number(Number.isFinite(x)), is_null: () => 0 };
  const level = (n: number): Node => {
    if (n === levels.length) return unary();
    let left = level(n + 1);
    for (let op = levels[n][tokens[at]]; op; op = levels[n][tokens[at]]) {
      at++;
      left = two(left, level(n + 1), op);
    }
    return left;
  };
  const unary = (): Node => {
    const t = tokens[at++];
    if (t === undefined) throw new Error('the expression ends too early');
    if (at > 500) throw new Error('the expression is too long');
    if (t === '-' || t === '!') {
      const inner = unary();
      return (g) => { const x = inner(g); return x === null ? null : t === '-' ? -x : Number(x === 0); };
    }
    if (t === '(') {
      const inner = level(0);
      if (tokens[at++] !== ')') throw new Error('a parenthesis is not closed');
      return inner;
    }
    if (t[0] === '$') {
      const ref = t.replace(/[${}]/g, '');
      refs.add(ref);
      return (g) => g(ref);
    }
    if (/^\d/.test(t)) return () => Number(t);
    const f = functions[t.toLowerCase()];
    if (f && tokens[at] === '(') {
      const inner = unary();
      return (g) => { const x = inner(g); return x === null ? (t.toLowerCase() === 'is_null' ? 1 : null) : f(x); };
    }
    throw new Error(`"${t}" is not known`);
  };
  const run = level(0);
  if (at < tokens.length) throw new Error(`"${tokens[at]}" is not expected`);
  return { refs: [...refs], run };
}

function reduced(frames: Frame[], t: Target): Frame[] {
  const id = reducerId(t.reducer === 'avg' ? 'mean' : (t.reducer ?? 'mean')) ?? 'mean', mode = t.settings?.mode;
  return numbersOf(frames).map(({ frame, field }) => {
    const values = mode === 'dropNN' ? field.values.filter((v) => Number.isFinite(v)) : mode === 'replaceNN' ? field.values.map((v) => (Number.isFinite(v) ? v : (t.settings?.replaceWithValue ?? 0))) : field.values;
    const v = reduceAll({ ...field, values }, [id])[id];
    return { refId: t.refId, name: frame.name, length: 1, fields: [{ ...field, config: { displayNameFromDS: field.config.displayNameFromDS }, values: [v ?? null], state: undefined, name: t.refId }] };
  });
}

const sameLabels = (a: Field, b: Field): boolean => JSON.stringify(Object.entries(a.labels ?? {}).sort()) === JSON.stringify(Object.entries(b.labels ?? {}).sort());
const within = (a: Field, b: Field): boolean => Object.entries(b.labels ?? {}).every(([k, v]) => a.labels?.[k] === v);

function math(t: Target, answers: Map<string, Frame[]>): Frame[] {
  const { refs, run } = parseMath(String(t.expression ?? '')), lists = refs.map((r) => numbersOf(answers.get(r) ?? []));
  if (lists.some((l) => !l.length)) return [];
  const widest = lists.reduce((a, b) => (b.length > a.length ? b : a), lists[0] ?? []);
  return widest.flatMap((base): Frame[] => {
    const parts = lists.map((l) => (l.length === 1 ? l[0] : (l.find((o) => sameLabels(o.field, base.field)) ?? l.find((o) => within(base.field, o.field) || within(o.field, base.field)))));
    if (parts.some((p) => !p)) return [];
    const withTime = parts.find((p) => p?.frame.fields.some((f) => f.type === 'time')), operand = parts.map((p): Operand => {
      const times = p?.frame.fields.find((f) => f.type === 'time'), values = p?.field.values ?? [];
      return times ? { at: new Map(times.values.map((x: number, i: number) => [x, values[i]])), value: null } : { at: null, value: values[0] ?? null };
    });
    const get = (x: number) => (ref: string): number | null => {
      const o = operand[refs.indexOf(ref)];
      return typeof o === 'number' ? o : o.at ? (o.at.get(x) ?? null) : o.value;
    };
    const times = withTime?.frame.fields.find((f) => f.type === 'time'), values = times ? times.values.map((x: number) => run(get(x))) : [run(get(0))];
    const field: Field = { name: t.refId, type: 'number', labels: base.field.labels, config: { displayNameFromDS: base.field.config.displayNameFromDS, interval: base.field.config.interval }, values };
    return [{ refId: t.refId, name: base.frame.name, length: values.length, fields: times ? [times, field] : [field] }];
  });
}

function threshold(frames: Frame[], t: Target): Frame[] {
  const e = t.conditions?.[0]?.evaluator ?? { type: 'gt', params: [0] }, [a = 0, b = 0] = e.params ?? [];
  const test: Record<string, (v: number) => boolean> = { gt: (v) => v > a, lt: (v) => v < a, eq: (v) => v === a, ne: (v) => v !== a, gte: (v) => v >= a, lte: (v) => v <= a, within_range: (v) => v > a && v < b, outside_range: (v) => v < a || v > b };
  return frames.map((f) => ({ ...f, refId: t.refId, fields: f.fields.map((x) => (x.type === 'number' ? { ...x, values: x.values.map((v) => Number((test[e.type] ?? test.gt)(v))) } : x)) }));
}

/** Answers an expression from the answers there are; throws a sentence when it cannot. */
export function evaluate(t: Target, answers: Map<string, Frame[]>): Frame[] {
  const from = String(t.expression ?? '').replace(/[${}\s]/g, '');
  switch (t.type) {
    case 'reduce': return reduced(answers.get(from) ?? [], t);
    case 'math': return math(t, answers);
    case 'threshold': return threshold(answers.get(from) ?? [], t);
    case 'resample': return (answers.get(from) ?? []).map((f) => ({ ...f, refId: t.refId }));
  }
  throw new Error(`expressions of the kind "${t.type}" are not known here`);
}
