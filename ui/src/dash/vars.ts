// Variables in texts: $name, ${name}, ${name:format}, ${name.path} and the old [[name]].
import { formatMoment, type Zone } from './moment';

/** What a name stands for. `raw` values go in as they are, whatever format the place has (a hand-written "All"). */
export interface Value { value: string | string[]; text?: string | string[]; raw?: boolean; multi?: boolean }
export type Scope = (name: string, path?: string) => Value | undefined;
export type Format = (value: string | string[], v: Value) => string;

const list = (v: string | string[]): string[] => (Array.isArray(v) ? v : [v]);
const escapeRegex = (s: string): string => s.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&');
const lucene = (s: string): string => (s === '' ? '__empty__' : s.replace(/([!*+\-=<>\s&|()[\]{}^~?:\\/"])/g, '\\$1'));
const html = (s: string): string => s.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] as string);
/** Also what encodeURIComponent leaves, so that the text can stand anywhere. */
const strict = (s: string): string => encodeURIComponent(s).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function date(value: string, args: string[], zone: Zone): string {
  const ms = Number(value);
  switch (args[0] ?? 'iso') {
    case '': case 'iso': return Number.isFinite(ms) ? new Date(ms).toISOString() : 'NaN';
    case 'seconds': return String(Math.round(ms / 1000));
  }
  return formatMoment(ms, args.join(':'), zone);
}

export const formats: Record<string, (v: string | string[], args: string[], name: string, value: Value, zone: Zone) => string> = {
  csv: (v) => list(v).join(','), raw: (v) => list(v).join(','), join: (v, args) => list(v).join(args[0] ?? ','),
  glob: (v) => (Array.isArray(v) && v.length !== 1 ? `{${v.join(',')}}` : list(v).join(',')),
  regex: (v) => (Array.isArray(v) && v.length !== 1 ? `(${v.map(escapeRegex).join('|')})` : escapeRegex(list(v)[0] ?? '')),
  pipe: (v) => list(v).join('|'),
  lucene: (v) => (Array.isArray(v) ? (v.length ? `(${v.map((x) => `"${lucene(x)}"`).join(' OR ')})` : '__empty__') : lucene(v)),
  distributed: (v, _a, name) => list(v).map((x, i) => (i ? `${name}=${x}` : x)).join(','),
  html: (v) => html(list(v).join(', ')),
  json: (v) => (Array.isArray(v) ? JSON.stringify(v) : JSON.stringify(v)),
  percentencode: (v) => strict(Array.isArray(v) ? `{${v.join(',')}}` : v), uriencode: (v) => encodeURI(Array.isArray(v) ? `{${v.join(',')}}` : v),
  singlequote: (v) => list(v).map((x) => `'${x.replace(/'/g, "\\'")}'`).join(','), doublequote: (v) => list(v).map((x) => `"${x.replace(/"/g, '\\"')}"`).join(','), sqlstring: (v) => list(v).map((x) => `'${x.replace(/'/g, "''")}'`).join(','),
  text: (_v, _a, _n, value) => { const t = value.text ?? value.value; return Array.isArray(t) ? t.join(' + ') : t; },
  queryparam: (v, _a, name) => list(v).map((x) => `var-${encodeURIComponent(name)}=${strict(x)}`).join('&'),
  customqueryparam: (v, args, name) => list(v).map((x) => `${encodeURIComponent(args[0] || name)}=${args[1] ?? ''}${strict(x)}`).join('&'),
  date: (v, args, _n, _value, zone) => date(list(v)[0] ?? '', args, zone),
};

/** PromQL: several values are an alternation of escaped texts; a single choice is a text inside quotes. */
export const promql: Format = (v, { multi }) => {
  const quoted = (s: string): string => s.replace(/\\/g, '\\\\').replace(/"/g, '\\"');
  if (!multi && !Array.isArray(v)) return quoted(v);
  const special = (s: string): string => quoted(s.replace(/[\\^$*+?.()|[\]{}]/g, '\\$&'));
  const all = list(v);
  return all.length === 1 ? special(all[0]) : `(${all.map(special).join('|')})`;
};
/** What people chose, in words: for texts on the page. */
export const words: Format = (v, { text = v }) => list(text).join(' + ');
export const plain: Format = (v) => (Array.isArray(v) && v.length !== 1 ? `{${v.join(',')}}` : list(v).join(','));
export const urlPart: Format = (v) => list(v).map(strict).join(',');

const pattern = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}/g;

/** Puts values in the place of names; a name nobody knows stays as it is written. */
export function interpolate(text: string, scope: Scope, standard: Format = plain, zone?: Zone, depth = 0): string {
  if (!text.includes('$') && !text.includes('[[')) return text;
  return text.replace(pattern, (whole, bare, old, oldFormat, braced, path, format) => {
    const name: string = bare ?? old ?? braced, found = scope(name, path);
    if (!found) return whole;
    if (found.raw) return depth < 4 ? interpolate(list(found.value).join(','), scope, standard, zone, depth + 1) : list(found.value).join(',');
    const [id, ...args] = String(format ?? oldFormat ?? '').split(':'), f = formats[id];
    return f ? f(found.value, args, name, found, zone) : standard(found.value, found);
  });
}

/** The names of variables a text uses. */
export function namesIn(text: string): string[] {
  return [...text.matchAll(pattern)].map((m) => m[1] ?? m[2] ?? m[4]);
}
