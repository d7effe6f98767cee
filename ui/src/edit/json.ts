// JSON as text: where each value stands, and changes that leave every other byte as it was. A number that JavaScript cannot hold, an order,
// a way of indenting: whatever an edit does not touch comes out as it went in.

export interface JsonNode { from: number; to: number; value: unknown; members?: Member[]; items?: JsonNode[] }
export interface Member { key: string; from: number; node: JsonNode } // from: where its key begins

export class JsonError extends Error {
  readonly line: number;
  readonly column: number;
  constructor(what: string, text: string, readonly at: number) {
    const before = text.slice(0, at), line = before.split('\n').length, column = at - before.lastIndexOf('\n');
    super(`line ${line}, column ${column}: ${what}`);
    this.line = line;
    this.column = column;
  }
}

const deepest = 200, space = /[ \t\r\n]*/y, number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y;

/** Reads a whole text; throws a JsonError that says where it goes wrong and what would be right there. */
export function parseJson(text: string): JsonNode {
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0, depth = 0;
  const fail = (what: string): never => { throw new JsonError(what, text, Math.min(at, text.length)); };
  const skip = (): void => { space.lastIndex = at; space.exec(text); at = space.lastIndex; };
  const string = (): string => {
    const from = at++;
    let escaped = false;
    for (;;) {
      const c = text.charCodeAt(at);
      if (Number.isNaN(c)) { at = from; return fail('the string that begins here has no end'); }
      if (c < 0x20) return fail('a string goes on over the end of the line, or has a control character; write it as \\n');
      if (c === 0x22) break;
      if (c === 0x5c) { escaped = true; at++; }
      at++;
    }
    at++;
    if (!escaped) return text.slice(from + 1, at - 1);
    try {
      return JSON.parse(text.slice(from, at)) as string;
    } catch {
      at = from;
      return fail('the string has an escape that JSON does not know');
    }
  };
  const value = (): JsonNode => {
    skip();
    const from = at, c = text[at];
    if (++depth > deepest) fail('it is nested too deeply');
    let node: JsonNode;
    if (c === '{') {
      const members: Member[] = [], object: Record<string, unknown> = {};
      at++;
      skip();
      while (text[at] !== '}') {
        if (members.length) {
          if (text[at] !== ',') fail(at < text.length ? 'expected a comma or }' : 'the object that is open has no end');
          at++;
          skip();
        }
        if (text[at] !== '"') fail(text[at] === '}' ? 'a comma before }' : 'expected a name in double quotes');
        const start = at, key = string();
        skip();
        if (text[at] !== ':') fail('expected a colon after the name');
        at++;
        const inner = value();
        members.push({ key, from: start, node: inner });
        if (key === '__proto__') Object.defineProperty(object, key, { value: inner.value, enumerable: true, configurable: true, writable: true });
        else object[key] = inner.value;
        skip();
      }
      at++;
      node = { from, to: at, value: object, members };
    } else if (c === '[') {
      const items: JsonNode[] = [];
      at++;
      skip();
      while (text[at] !== ']') {
        if (items.length) {
          if (text[at] !== ',') fail(at < text.length ? 'expected a comma or ]' : 'the list that is open has no end');
          at++;
          skip();
          if (text[at] === ']') fail('a comma before ]');
        }
        items.push(value());
        skip();
      }
      at++;
      node = { from, to: at, value: items.map((i) => i.value), items };
    } else if (c === '"') {
      const read = string();
      node = { from, to: at, value: read };
    } else {
      const word = /^(?:true|false|null)\b/.exec(text.slice(at, at + 6))?.[0];
      number.lastIndex = at;
      const figure = word ? null : number.exec(text);
      if (!word && !figure) fail(at < text.length ? 'expected a value' : 'it ends where a value should be');
      at += (word ?? figure?.[0] ?? '').length;
      node = { from, to: at, value: word ? JSON.parse(word) : Number(figure?.[0]) };
    }
    depth--;
    return node;
  };
  const root = value();
  skip();
  if (at < text.length) fail('something follows after the end');
  return root;
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);

/** The same JSON, whatever the order of names; what JSON has no word for (undefined) is not there. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a === 'number' && typeof b === 'number') return Number.isNaN(a) && Number.isNaN(b);
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => same(v, b[i]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a).filter((k) => a[k] !== undefined);
  return keys.length === Object.keys(b).filter((k) => b[k] !== undefined).length && keys.every((k) => Object.hasOwn(b, k) && same(a[k], b[k]));
}

interface Style { indent: string; colon: string; comma: string }

/** How the text indents, and what it puts after colons and commas on one line. */
function styleOf(text: string, root: JsonNode): Style {
  const first = root.members?.[0], start = first ? first.from : (root.items?.[0]?.from ?? 0), line = text.lastIndexOf('\n', start);
  const indent = line >= 0 && line > root.from ? text.slice(line + 1, start) : '';
  const after = first ? text.slice(first.from, first.node.from) : '": ', colon = after.slice(after.lastIndexOf(':'));
  return { indent: /^[ \t]+$/.test(indent) ? indent : '', colon: /^:[ \t]*$/.test(colon) ? colon : ': ', comma: line >= 0 || /,\s/.test(text.slice(0, 200)) ? ', ' : ',' };
}

function print(value: unknown, level: number, s: Style): string {
  if (!s.indent) {
    const text = JSON.stringify(value);
    return text === undefined ? 'null' : text;
  }
  const pad = `\n${s.indent.repeat(level + 1)}`, end = `\n${s.indent.repeat(level)}`;
  if (Array.isArray(value)) return value.length ? `[${value.map((v) => pad + print(v, level + 1, s)).join(',')}${end}]` : '[]';
  if (isObject(value)) {
    const keys = Object.keys(value).filter((k) => value[k] !== undefined);
    return keys.length ? `{${keys.map((k) => `${pad}${JSON.stringify(k)}${s.colon}${print(value[k], level + 1, s)}`).join(',')}${end}}` : '{}';
  }
  return JSON.stringify(value) ?? 'null';
}

/** What makes two elements of a list the same one, though they differ: panels by id, queries by refId, variables by name. */
function identity(v: unknown): string | null {
  if (!isObject(v)) return null;
  for (const k of ['id', 'refId', 'uid', 'name']) if (typeof v[k] === 'number' || (typeof v[k] === 'string' && v[k] !== '')) return `${k}:${String(v[k])}`;
  return null;
}

function matched(old: JsonNode[], next: unknown[]): (JsonNode | undefined)[] {
  const free = new Set(old), out: (JsonNode | undefined)[] = new Array(next.length).fill(undefined), ids = new Map<string, JsonNode[]>();
  for (const n of old) {
    const id = identity(n.value);
    if (id) ids.set(id, [...(ids.get(id) ?? []), n]);
  }
  const take = (i: number, n: JsonNode | undefined): void => { if (n && free.delete(n)) out[i] = n; };
  next.forEach((v, i) => { if (old[i] && free.has(old[i]) && same(old[i].value, v)) take(i, old[i]); });
  next.forEach((v, i) => { const id = out[i] ? null : identity(v); if (id) take(i, ids.get(id)?.find((n) => free.has(n) && same(n.value, v)) ?? ids.get(id)?.find((n) => free.has(n))); });
  next.forEach((v, i) => { if (!out[i] && !identity(v)) take(i, [...free].find((n) => same(n.value, v))); });
  next.forEach((v, i) => { if (!out[i] && !identity(v) && old[i] && free.has(old[i]) && !identity(old[i].value)) take(i, old[i]); });
  return out;
}

/** The text with `next` in place of what `root` (of that text) holds. */
export function rewrite(text: string, root: JsonNode, next: unknown): string {
  const style = styleOf(text, root);
  const write = (node: JsonNode, value: unknown, level: number): string => {
    if (same(node.value, value)) return text.slice(node.from, node.to);
    const empty = node.members?.length === 0 || node.items?.length === 0, lines = text.slice(node.from, node.to).includes('\n') || ((level === 0 || (empty && !!node.members)) && style.indent !== '');
    const around = (parts: string[], open: string, close: string): string => {
      if (!parts.length) return open + close;
      return lines && style.indent ? `${open}${parts.map((p) => `\n${style.indent.repeat(level + 1)}${p}`).join(',')}\n${style.indent.repeat(level)}${close}` : `${open}${parts.join(style.comma)}${close}`;
    };
    const splice = (children: { node: JsonNode; value: unknown }[]): string => {
      let out = '', at = node.from;
      for (const c of children) {
        out += text.slice(at, c.node.from) + write(c.node, c.value, level + 1);
        at = c.node.to;
      }
      return out + text.slice(at, node.to);
    };
    if (node.members && isObject(value)) {
      const last = new Map(node.members.map((m) => [m.key, m])), kept = node.members.filter((m) => value[m.key] !== undefined && Object.hasOwn(value, m.key)), added = Object.keys(value).filter((k) => !last.has(k) && value[k] !== undefined);
      const own = (m: Member): unknown => (last.get(m.key) === m ? value[m.key] : m.node.value);
      if (kept.length === node.members.length && !added.length) return splice(kept.map((m) => ({ node: m.node, value: own(m) })));
      const colon = lines ? style.colon : style.comma === ',' ? ':' : style.colon;
      return around([...kept.map((m) => text.slice(m.from, m.node.from) + write(m.node, own(m), level + 1)), ...added.map((k) => `${JSON.stringify(k)}${colon}${print(value[k], level + 1, lines ? style : { ...style, indent: '' })}`)], '{', '}');
    }
    if (node.items && Array.isArray(value)) {
      const from = matched(node.items, value);
      if (value.length === node.items.length && from.every((n, i) => n === node.items?.[i])) return splice(from.map((n, i) => ({ node: n as JsonNode, value: value[i] })));
      // A list that was empty, or on one line, takes objects on lines of their own.
      const open = !lines && style.indent !== '' && value.some((v) => typeof v === 'object' && v !== null), parts = value.map((v, i) => { const n = from[i]; return n ? write(n, v, level + 1) : print(v, level + 1, lines || open ? style : { ...style, indent: '' }); });
      return open && parts.length ? `[${parts.map((p) => `\n${style.indent.repeat(level + 1)}${p}`).join(',')}\n${style.indent.repeat(level)}]` : around(parts, '[', ']');
    }
    return print(value, level, style);
  };
  return text.slice(0, root.from) + write(root, next, 0) + text.slice(root.to);
}
