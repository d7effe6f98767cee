// Dashboards on the server: list, read, import, remove. Their text is kept byte by byte, so it is sent and fetched as text.
import { ApiError, root } from '../api';
import { takeEarly } from '../early';

export interface Listed { uid: string; title: string; folderTitle: string; folderUid: string; tags: string[]; source: string; updated: string; version: number }
export interface Meta { version: number; folderTitle: string; source: string; updated: string }

async function call(path: string, init?: RequestInit): Promise<Response> {
  let r: Response;
  try {
    r = await ((!init?.method && takeEarly(path)) || fetch(`${root}${path}`, init));
  } catch (e) {
    if (init?.signal?.aborted) throw e;
    throw new ApiError('unavailable', 'The server does not answer.', 0);
  }
  if (r.ok) return r;
  const text = await r.text();
  let message = text.slice(0, 300);
  try {
    message = (JSON.parse(text) as { message?: string }).message ?? message;
  } catch { /* a plain sentence */ }
  throw new ApiError(r.status === 404 ? 'not found' : r.status === 412 ? 'exists' : 'bad_data', message || `The server answered ${r.status}.`, r.status);
}

export const listDashboards = async (query: string, signal?: AbortSignal): Promise<Listed[]> => (await call(`/api/search?${new URLSearchParams({ query, type: 'dash-db', limit: '5000' })}`, { signal })).json();
export const readStored = async (uid: string, signal?: AbortSignal): Promise<{ text: string; meta: Meta }> => {
  const r = await call(`/api/dashboards/uid/${encodeURIComponent(uid)}/json`, { signal });
  return { text: await r.text(), meta: { version: Number(r.headers.get('X-Pharos-Version') ?? 0), folderTitle: decodeURIComponent(r.headers.get('X-Pharos-Folder') ?? ''), source: r.headers.get('X-Pharos-Source') ?? '', updated: '' } };
};
export interface Saved { uid: string; url: string; version: number }
/** Stores a text under a uid. `version` is the one that was edited: an ApiError of status 412 when there is a newer one. */
export const saveText = async (text: string, p: { uid?: string; folder: string; message: string; version?: number; overwrite?: boolean }): Promise<Saved> =>
  (await call(`/api/dashboards/import?${new URLSearchParams({ folder: p.folder, message: p.message, overwrite: String(!!p.overwrite), ...(p.uid ? { uid: p.uid } : {}), ...(p.version ? { version: String(p.version) } : {}) })}`, { method: 'POST', body: text, headers: { 'Content-Type': 'application/json' } })).json();
export const versionText = async (uid: string, version: number): Promise<string> => {
  const text = await (await call(`/api/dashboards/uid/${encodeURIComponent(uid)}/versions/${version}`)).text(), { parseJson } = await import('../edit/json');
  const data = parseJson(text).members?.find((m) => m.key === 'data')?.node;
  return data ? text.slice(data.from, data.to) : '';
};
export const restoreVersion = async (uid: string, version: number): Promise<Saved> => (await call(`/api/dashboards/uid/${encodeURIComponent(uid)}/restore`, { method: 'POST', body: JSON.stringify({ version }), headers: { 'Content-Type': 'application/json' } })).json();
export interface Folder { uid: string; title: string; source: string }
export const listFolders = async (signal?: AbortSignal): Promise<Folder[]> => (await call('/api/folders', { signal })).json();
export const importText = async (text: string, overwrite: boolean, folder: string): Promise<{ uid: string; url: string; version: number }> => (await call(`/api/dashboards/import?${new URLSearchParams({ overwrite: String(overwrite), folder })}`, { method: 'POST', body: text, headers: { 'Content-Type': 'application/json' } })).json();
export const removeStored = async (uid: string): Promise<void> => void (await call(`/api/dashboards/uid/${encodeURIComponent(uid)}`, { method: 'DELETE' }));
export const listStores = async (signal?: AbortSignal): Promise<{ uid: string; name: string; type: string; isDefault: boolean }[]> => (await call('/api/datasources', { signal })).json();
export const versionsOf = async (uid: string): Promise<{ version: number; created: string; message: string }[]> => (await call(`/api/dashboards/uid/${encodeURIComponent(uid)}/versions`)).json();
