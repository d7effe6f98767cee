// A dashboard's text and the list of stores are asked for as soon as the shell runs, beside the code that reads them.
import { root } from './api';

const early = new Map<string, Promise<Response>>();
const uid = /\/d(?:-solo)?\/([^/?#]+)/.exec(location.pathname.slice(root.length))?.[1];
if (uid) {
  for (const path of [`/api/dashboards/uid/${encodeURIComponent(uid)}/json`, '/api/datasources']) {
    const r = fetch(`${root}${path}`);
    r.catch(() => {}); // whoever takes it is told
    early.set(path, r);
  }
}

/** The answer that was asked for early; once. */
export function takeEarly(path: string): Promise<Response> | undefined {
  const r = early.get(path);
  early.delete(path);
  return r;
}
