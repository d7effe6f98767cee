// What differs between two texts, line by line.

export interface DiffLine { kind: 'same' | 'gone' | 'new'; text: string; a?: number; b?: number }

const most = 1000; // changed lines; a comparison takes memory in their square

/** The shortest way from one list of lines to the other (Myers); null when they have too little in common to say. */
function script(a: string[], b: string[]): [number, number][] | null {
  const max = Math.min(a.length + b.length, most), v = new Map<number, number>([[1, 0]]), trace: Map<number, number>[] = [];
  for (let d = 0; d <= max; d++) {
    trace.push(new Map(v));
    for (let k = -d; k <= d; k += 2) {
      let x = k === -d || (k !== d && (v.get(k - 1) ?? -1) < (v.get(k + 1) ?? -1)) ? (v.get(k + 1) ?? 0) : (v.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      v.set(k, x);
      if (x >= a.length && x - k >= b.length) {
        const same: [number, number][] = [];
        let i = a.length, j = b.length;
        for (let e = d; e >= 0; e--) {
          const before = trace[e], q = i - j, up = q === -e || (q !== e && (before.get(q - 1) ?? -1) < (before.get(q + 1) ?? -1)), pk = up ? q + 1 : q - 1, px = e === 0 ? 0 : (before.get(pk) ?? 0), py = e === 0 ? 0 : px - pk;
          while (i > px && j > py && i > 0 && j > 0 && a[i - 1] === b[j - 1]) same.push([--i, --j]);
          if (e > 0) [i, j] = [px, py];
        }
        return same.reverse();
      }
    }
  }
  return null;
}

/** Every line of both, those they share once. */
export function diffLines(before: string, after: string): DiffLine[] {
  const a = before.split(/\r?\n/), b = after.split(/\r?\n/);
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const ma = a.slice(head, a.length - tail), mb = b.slice(head, b.length - tail), pairs = script(ma, mb) ?? [], out: DiffLine[] = [];
  const keep = (i: number, j: number): void => void out.push({ kind: 'same', text: a[i], a: i + 1, b: j + 1 });
  for (let i = 0; i < head; i++) keep(i, i);
  let i = 0, j = 0;
  for (const [x, y] of [...pairs, [ma.length, mb.length] as [number, number]]) {
    while (i < x) out.push({ kind: 'gone', text: ma[i], a: head + ++i });
    while (j < y) out.push({ kind: 'new', text: mb[j], b: head + ++j });
    if (x < ma.length && y < mb.length) { keep(head + i, head + j); i++; j++; }
  }
  for (let k = tail; k > 0; k--) keep(a.length - k, b.length - k);
  return out;
}

/** The changed lines with a few around them; `null` stands for lines left out. */
export function hunks(lines: DiffLine[], around = 3): (DiffLine | null)[] {
  const near = new Array<boolean>(lines.length).fill(false);
  lines.forEach((l, i) => { if (l.kind !== 'same') for (let k = Math.max(0, i - around); k <= Math.min(lines.length - 1, i + around); k++) near[k] = true; });
  const out: (DiffLine | null)[] = [];
  lines.forEach((l, i) => { if (near[i]) out.push(l); else if (out.length === 0 || out[out.length - 1] !== null) out.push(null); });
  return out.length === 1 && out[0] === null ? [] : out;
}
