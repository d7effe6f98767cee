// What this server says of itself: its own /metrics, read directly, so that it is known at once and without a scrape of itself.
import { ApiError, root } from './api';

export class Own {
  constructor(readonly at: number, private readonly rows: [string, string, number][]) {}

  /** The sum of the samples of a name whose labels hold all of these texts; null when there is none. */
  sum(name: string, ...holds: string[]): number | null {
    let sum = 0, n = 0;
    for (const [k, labels, v] of this.rows) if (k === name && holds.every((h) => labels.includes(h))) { sum += v; n++; }
    return n ? sum : null;
  }
}

export async function readOwn(signal?: AbortSignal): Promise<Own> {
  let r: Response;
  try {
    r = await fetch(`${root}/metrics`, { signal });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new ApiError('unavailable', 'The server does not answer.', 0);
  }
  if (!r.ok) throw new ApiError('unavailable', `The server answered ${r.status}.`, r.status);
  const rows: [string, string, number][] = [];
  for (const line of (await r.text()).split('\n')) {
    const m = /^(?!#)([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)/.exec(line);
    if (m && !m[1].endsWith('_bucket')) rows.push([m[1], m[2] ?? '', Number(m[3])]);
  }
  return new Own(Date.now(), rows);
}

/** Increase per second between two readings; null until there are two, or when the server began anew in between. */
export function rateOf(a: Own | undefined, b: Own | undefined, name: string): number | null {
  const x = a?.sum(name), y = b?.sum(name);
  return a && b && x != null && y != null && y >= x && b.at > a.at ? ((y - x) / (b.at - a.at)) * 1000 : null;
}
