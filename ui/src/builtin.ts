// The dashboards that come with the binary, and the series each is about: one without them is not shown, and appears when they do.
import { api, type QueryData, type Series } from './api';

const files = import.meta.glob<string>('../dashboards/*.json', { eager: true, import: 'pharosNeeds' }), titles = import.meta.glob<string>('../dashboards/*.json', { eager: true, import: 'title' });
const uidOf = (path: string): string => path.replace(/^.*\/|\.json$/g, '');
export interface BuiltIn { uid: string; title: string; needs: string }
export const builtIns: BuiltIn[] = Object.entries(files).map(([path, needs]) => ({ uid: uidOf(path), title: titles[path], needs }));

/** The uids whose series exist now. */
export async function presentBuiltIns(signal?: AbortSignal): Promise<Set<string>> {
  const query = builtIns.map((b) => `label_replace(group(${b.needs}), "uid", "${b.uid}", "", "")`).join(' or ');
  const { data } = await api<QueryData>('query', { query }, signal);
  return new Set(data.resultType === 'vector' ? (data.result as Series[]).map((s) => s.metric.uid) : []);
}
