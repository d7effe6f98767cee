// A dashboard's variables: where their choices come from, in which order they can be asked, and what is chosen.
import { toRegex } from './display';
import type { Dashboard, DatasourceRef, Option, Variable } from './schema';
import { interpolate, namesIn, type Scope, type Value } from './vars';

export const ALL = '$__all';

/** The query language of variables, as a request to Prometheus's API. */
export type VariableQuery =
  | { kind: 'label_names'; match?: string } | { kind: 'label_values'; label: string; match?: string } | { kind: 'metrics'; pattern: string } | { kind: 'query_result'; expr: string } | { kind: 'series'; match: string };

export function queryText(v: Variable): string {
  const q = v.query;
  if (typeof q === 'string') return q;
  if (!q || typeof q !== 'object') return '';
  if (typeof q.query === 'string') return q.query;
  if (q.qryType === 1 || q.type === 'labelValues') return q.metric ? `label_values(${q.metric},${q.label})` : q.label ? `label_values(${q.label})` : '';
  if (q.qryType === 0) return q.match ? `label_names(${q.match})` : 'label_names()';
  if (q.qryType === 2) return `metrics(${q.metric ?? ''})`;
  if (q.qryType === 3) return `query_result(${q.varQuery ?? ''})`;
  return typeof q.expr === 'string' ? q.expr : '';
}

/** Reads an interpolated query; null when it is empty. */
export function parseVariableQuery(text: string): VariableQuery | null {
  const q = text.trim();
  if (!q) return null;
  let m = /^label_names\(\s*(.*?)\s*\)$/s.exec(q);
  if (m) return { kind: 'label_names', match: m[1] || undefined };
  m = /^label_values\(\s*(?:(.+?)\s*,\s*)?([\p{L}_$][\p{L}\p{N}_$]*|"[^"]+")\s*\)$/su.exec(q);
  if (m) return { kind: 'label_values', label: m[2].replace(/^"|"$/g, ''), match: m[1]?.trim() };
  m = /^metrics\(\s*(.*?)\s*\)$/s.exec(q);
  if (m) return { kind: 'metrics', pattern: m[1] };
  m = /^query_result\(\s*(.+)\s*\)\s*$/s.exec(q);
  if (m) return { kind: 'query_result', expr: m[1] };
  return { kind: 'series', match: q };
}

function sortOptions(options: Option[], sort: number): Option[] {
  if (!sort) return options;
  const kind = Math.ceil(sort / 2), down = sort % 2 === 0 ? -1 : 1, out = [...options];
  const figure = (o: Option): number => { const m = /.*?(\d+).*/.exec(o.text); return m ? parseInt(m[1], 10) : -1; };
  const natural = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
  out.sort((a, b) => down * (kind === 1 ? (a.text < b.text ? -1 : a.text > b.text ? 1 : 0) : kind === 2 ? figure(a) - figure(b) : kind === 3 ? (a.text.toLowerCase() < b.text.toLowerCase() ? -1 : a.text.toLowerCase() > b.text.toLowerCase() ? 1 : 0) : natural.compare(a.text, b.text)));
  return out;
}

/** Through the regular expression (whole match, first group, or the groups "text" and "value"), each value once, in order. */
export function optionsFrom(found: { text: string; value: string }[], regex: string | undefined, sort: number): Option[] {
  const re = regex ? (regex[0] === '/' ? toRegex(regex) : toRegex(`/${regex}/`)) : null;
  const out = new Map<string, Option>();
  for (const one of found) {
    let { text, value } = one;
    if (re) {
      re.lastIndex = 0;
      const all = re.global ? [...value.matchAll(re)] : [re.exec(value)].filter((m) => m !== null);
      if (!all.length) continue;
      const m = all[0] as RegExpExecArray, named = m.groups;
      if (named && (named.value !== undefined || named.text !== undefined)) {
        value = all.map((x) => x?.groups?.value).find((x) => x !== undefined) ?? named.text ?? value;
        text = all.map((x) => x?.groups?.text).find((x) => x !== undefined) ?? value;
      } else if (m.length > 1) text = value = m.slice(1).find((x) => x !== undefined) ?? '';
      else text = value = m[0];
    }
    if (!out.has(value)) out.set(value, { text, value });
  }
  return sortOptions([...out.values()], sort);
}

/** Choices written in the dashboard: "a, b : c", with \, for a comma. */
export function customOptions(query: unknown): Option[] {
  if (typeof query !== 'string') return [];
  if (query.trim().startsWith('[')) {
    try {
      const all: unknown = JSON.parse(query);
      if (Array.isArray(all)) return all.map((o: any) => (typeof o === 'object' && o ? { text: String(o.text ?? o.value ?? ''), value: String(o.value ?? o.text ?? '') } : { text: String(o), value: String(o) }));
    } catch { /* it is a list of words that begins with a bracket */ }
  }
  return (query.match(/(?:\\,|[^,])+/g) ?? []).map((part) => {
    const text = part.replace(/\\,/g, ',').trim(), pair = /^\s*(.+)\s:\s(.+)$/.exec(text);
    return pair ? { text: pair[1].trim(), value: pair[2].trim() } : { text, value: text };
  });
}

export const intervalOptions = (query: unknown): Option[] => (String(query ?? '').match(/(["'])(.*?)\1|\w+/g) ?? []).map((x) => x.replace(/["']/g, '').trim()).map((x) => ({ text: x, value: x }));

/** The variables that this one needs first: those its query, regex or datasource name. */
export function needs(v: Variable, all: Variable[]): string[] {
  const text = [queryText(v), v.regex ?? '', v.datasource?.uid ?? '', v.datasource?.name ?? '', typeof v.query === 'string' ? v.query : ''].join(' '), names = new Set(namesIn(text));
  return all.filter((o) => o !== v && names.has(o.name)).map((o) => o.name);
}

/** Waves of variables that can be asked together. Circles are broken where they close. */
export function waves(all: Variable[]): Variable[][] {
  const done = new Set<string>(), out: Variable[][] = [];
  let left = [...all];
  while (left.length) {
    const ready = left.filter((v) => needs(v, all).every((n) => done.has(n)));
    const wave = ready.length ? ready : [left[0]];
    for (const v of wave) done.add(v.name);
    left = left.filter((v) => !wave.includes(v));
    out.push(wave);
  }
  return out;
}

/** Keeps what is chosen while it is among the choices; otherwise the first, or All. Free texts stay. */
export function validated(v: Variable): string[] {
  const { value } = v.current, known = new Set(v.options.map((o) => o.value));
  if (v.type === 'textbox' || v.type === 'constant' || v.type === 'adhoc') return value;
  if (value.includes(ALL) && v.includeAll) return [ALL];
  const kept = value.filter((x) => known.has(x));
  if (kept.length) return v.multi ? kept : kept.slice(0, 1);
  // An option's text was kept by older versions where the value is meant.
  const byText = v.options.filter((o) => value.includes(o.text)).map((o) => o.value);
  if (byText.length) return v.multi ? byText : byText.slice(0, 1);
  if (v.type === 'interval' && value[0]?.startsWith('$__auto')) return v.auto ? [value[0]] : v.options.slice(0, 1).map((o) => o.value);
  const marked = v.options.find((o) => o.selected);
  return v.includeAll ? [ALL] : marked ? [marked.value] : v.options.length ? [v.options[0].value] : [];
}

const textsOf = (v: Variable, values: string[]): string[] => values.map((x) => (x === ALL ? 'All' : (v.options.find((o) => o.value === x)?.text ?? x)));

/** Chooses values and keeps their texts. */
export function choose(v: Variable, value: string[]): Variable {
  return { ...v, current: { value, text: textsOf(v, value) } };
}

/** What a variable stands for in a text. */
export function valueOf(v: Variable): Value | undefined {
  const { value, text } = v.current, multi = v.multi || v.includeAll;
  if (v.type === 'adhoc') return { value: (v.filters ?? []).map((f) => `${f.key}${f.operator}"${f.value}"`).join(',') };
  if (value.includes(ALL)) {
    if (v.allValue) return { value: v.allValue, text: 'All', raw: true };
    const all = v.options.map((o) => o.value);
    return { value: all.length ? all : '.*', text: 'All', multi, ...(all.length ? {} : { raw: true }) };
  }
  if (v.multi && value.length !== 1) return { value: value.length ? value : [], text: text.length ? text : value, multi };
  return { value: v.multi ? [value[0] ?? ''] : (value[0] ?? ''), text: text[0] ?? value[0] ?? '', multi };
}

export function scopeOf(variables: Variable[], more?: Scope): Scope {
  const by = new Map(variables.map((v) => [v.name, v]));
  return (name, path) => more?.(name, path) ?? (by.has(name) ? valueOf(by.get(name) as Variable) : undefined);
}

/** var-name=… of an address onto the variables. */
export function fromUrl(variables: Variable[], params: URLSearchParams): Variable[] {
  return variables.map((v) => {
    if (v.type === 'adhoc') {
      const given = params.getAll(`var-${v.name}`).filter(Boolean);
      return params.has(`var-${v.name}`) ? { ...v, filters: given.map((x) => { const [key, operator, value] = x.split('|'); return { key: key ?? '', operator: operator ?? '=', value: value ?? '' }; }) } : v;
    }
    if (!params.has(`var-${v.name}`)) return v;
    const given = params.getAll(`var-${v.name}`).map((x) => (x === 'All' && v.includeAll && !v.options.some((o) => o.value === 'All') ? ALL : x));
    return choose(v, v.multi ? given : given.slice(0, 1));
  });
}

export function toUrl(v: Variable): string[] {
  return v.type === 'adhoc' ? (v.filters ?? []).map((f) => `${f.key}|${f.operator}|${f.value}`) : v.current.value.map((x) => (x === ALL ? 'All' : x));
}

/** Adds filters to every selector of an expression. Braces inside quotes are no selectors; names without braces get them. */
export function withFilters(expr: string, filters: { key: string; operator: string; value: string }[], isMetric: (word: string, at: number, text: string) => boolean): string {
  const extra = filters.filter((f) => f.key).map((f) => `${f.key}${f.operator === '=|' ? '=~' : f.operator === '!=|' ? '!~' : f.operator}"${f.value.replace(/\\/g, '\\\\').replace(/"/g, '\\"')}"`).join(',');
  if (!extra) return expr;
  let out = '', at = 0;
  const token = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|#[^\n]*|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\{|\[[^\]]*\]|[a-zA-Z_:][a-zA-Z0-9_:]*/g;
  for (let m = token.exec(expr); m; m = token.exec(expr)) {
    const end = m.index + m[0].length;
    if (m[0] === '{') {
      const empty = /^\s*\}/.test(expr.slice(end));
      out += `${expr.slice(at, end)}${extra}${empty ? '' : ','}`;
      at = end;
      token.lastIndex = closing(expr, end);
    } else if (/^[a-zA-Z_:]/.test(m[0]) && m[1] === undefined && !/^\s*[({]/.test(expr.slice(end)) && isMetric(m[0], m.index, expr)) {
      out += `${expr.slice(at, end)}{${extra}}`;
      at = end;
    }
  }
  return out + expr.slice(at);
}

function closing(text: string, from: number): number {
  const token = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\}/g;
  token.lastIndex = from;
  for (let m = token.exec(text); m; m = token.exec(text)) if (m[0] === '}') return m.index + 1;
  return text.length;
}

const words = new Set('and or unless by without on ignoring group_left group_right offset bool atan2 inf nan start end'.split(' '));
/** Words of an expression that are no keywords, aggregations, numbers or functions are metrics. */
export const looksLikeMetric = (word: string, at: number, text: string): boolean => {
  if (words.has(word.toLowerCase()) || /^(sum|avg|min|max|count|stddev|stdvar|topk|bottomk|quantile|count_values|group|limitk|limit_ratio)$/.test(word)) return false;
  return !/[0-9.]$/.test(text.slice(0, at));
};

/** Reads datasource variables' kinds: which of the stores there are fit. */
export function datasourceOptions(v: Variable, stores: { uid: string; name: string; type: string }[]): Option[] {
  const type = String(v.query ?? ''), re = v.regex ? toRegex(v.regex[0] === '/' ? v.regex : `/${v.regex}/`) : null;
  const fit = stores.filter((s) => s.type === type || (type && /prom|victoria|mimir|thanos|cortex/i.test(type) && s.type === 'prometheus'));
  const kept = fit.filter((s) => !re || re.test(s.name));
  return (kept.length ? kept : fit).map((s) => ({ text: s.name, value: s.uid }));
}

export function describeSource(d: Dashboard, ref: DatasourceRef | undefined, scope: Scope): string {
  const name = ref?.uid ?? ref?.name ?? '', input = d.inputs.find((i) => name === `\${${i.name}}` || name === i.name);
  return input ? (input.pluginId ?? input.type) : interpolate(name, scope);
}
