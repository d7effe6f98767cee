// A range's answer read into columns while its text is walked once. A JSON reader makes an array and a text of every point, and most of what a
// dashboard costs is to make and to clear those away; here a point leaves two figures, and series that share their times share one column.
import type { Series } from '../api';

export interface Columns { times: number[]; values: number[] } // milliseconds
export interface ColumnSeries extends Series { columns?: Columns }

/** Columns without NaN and infinities: what draws them need not look. */
export const finite = new WeakSet<number[]>();

const powers = Array.from({ length: 16 }, (_, i) => 10 ** i), mark = '"values":[[';

/** The parsed answer; the points of each series are in `columns`, and `values` is gone. Throws what JSON.parse throws. */
export function parseColumns(text: string): any {
  const all: Columns[] = [];
  let rest = '', last = 0, before: number[] = [];
  // A label's text cannot hold the mark: a quote inside a text has a backslash before it.
  for (let from = text.indexOf(mark); from >= 0; from = text.indexOf(mark, last)) {
    const read = points(text, from + mark.length - 1, before);
    if (!read) return JSON.parse(text);
    rest += `${text.slice(last, from)}"values":${all.length}`;
    last = read.end;
    before = read.times;
    all.push({ times: read.times, values: read.values });
  }
  if (!all.length) return JSON.parse(text);
  const out = JSON.parse(rest + text.slice(last));
  for (const s of Array.isArray(out?.data?.result) ? out.data.result : []) {
    if (typeof s?.values !== 'number') continue;
    s.columns = all[s.values];
    delete s.values;
  }
  return out;
}

/** [time,"value"] after [time,"value"] up to the bracket that ends them; null when something else stands there. */
function points(text: string, from: number, before: number[]): { times: number[]; values: number[]; end: number } | null {
  const values: number[] = [];
  let times = before, isShared = true, at = from, n = 0, isFinite_ = true;
  for (;;) {
    if (text.charCodeAt(at) !== 91) return null;
    let c = text.charCodeAt(++at), seconds = 0, digits = 0;
    for (; c >= 48 && c <= 57; c = text.charCodeAt(++at), digits++) seconds = seconds * 10 + c - 48;
    if (!digits || digits > 12) return null;
    let ms = seconds * 1000;
    if (c === 46) {
      let unit = 100;
      for (c = text.charCodeAt(++at); c >= 48 && c <= 57; c = text.charCodeAt(++at), unit /= 10) {
        if (unit < 1) return null;
        ms += (c - 48) * unit;
      }
    }
    if (c !== 44 || text.charCodeAt(++at) !== 34) return null;
    // Up to fifteen digits and a point are exact as one whole number over a power of ten; anything else is read as a text.
    const start = at + 1, isNegative = text.charCodeAt(start) === 45;
    let v = 0, figures = 0, places = -1;
    at = isNegative ? start + 1 : start;
    for (c = text.charCodeAt(at); (c >= 48 && c <= 57) || (c === 46 && places < 0); c = text.charCodeAt(++at)) {
      if (c === 46) places = 0;
      else {
        v = v * 10 + c - 48;
        figures++;
        if (places >= 0) places++;
      }
    }
    if (c === 34 && figures > 0 && figures < 16) v = places > 0 ? v / powers[places] : v;
    else {
      const end = text.indexOf('"', start);
      if (end < 0 || end - start > 40) return null;
      const word = text.slice(start, end);
      v = word === '+Inf' || word === '-Inf' ? Infinity : Math.abs(Number(word));
      if (!Number.isFinite(v)) isFinite_ = false;
      if (Number.isNaN(v) && word !== 'NaN') return null;
      at = end;
    }
    values.push(isNegative ? -v : v);
    if (isShared && times[n] !== ms) {
      times = times.slice(0, n);
      isShared = false;
    }
    if (!isShared) times.push(ms);
    n++;
    if (text.charCodeAt(++at) !== 93) return null;
    c = text.charCodeAt(++at);
    at++;
    if (c === 44) continue;
    if (c !== 93) return null;
    if (isShared && times.length !== n) times = times.slice(0, n);
    if (isFinite_) finite.add(values);
    return { times, values, end: at };
  }
}
