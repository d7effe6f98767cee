// The list of dashboards, and the way in for those that come as a file or as text.
import type { JSX } from 'preact';
import '../dash.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api';
import { builtIns, presentBuiltIns } from '../builtin';
import { importText, listDashboards, listFolders, removeStored, saveText, type Listed } from '../dash/store';
import { useLoad } from '../hooks';
import { Empty, Problem, Waiting } from '../parts';
import { go, href, route, setParams } from '../router';
import { visible } from '../format';
import { t } from '../strings';

function Import({ onClose, onDone }: { onClose: () => void; onDone: (uid: string) => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null), [text, setText] = useState(''), [error, setError] = useState<ApiError | null>(null), [busy, setBusy] = useState(false), [exists, setExists] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const send = async (body: string, overwrite: boolean): Promise<void> => {
    setError(null);
    try {
      const { isDashboard } = await import('../dash/migrate');
      if (!isDashboard(JSON.parse(body))) throw new ApiError('bad_data', t('This is JSON, but no dashboard: it has no panels.'), 0);
    } catch (e) {
      setError(e instanceof ApiError ? e : new ApiError('bad_data', `${t('This is not JSON')}: ${(e as Error).message}`, 0));
      return;
    }
    setBusy(true);
    try {
      const { uid } = await importText(body, overwrite, '');
      dialog.current?.close();
      onDone(uid);
    } catch (e) {
      setExists(e instanceof ApiError && e.status === 412);
      setError(e instanceof ApiError ? e : new ApiError('internal', String(e), 0));
    }
    setBusy(false);
  };
  const read = async (files: FileList | null): Promise<void> => {
    const file = files?.[0];
    if (!file) return;
    const body = await file.text();
    setText(body);
    await send(body, false);
  };
  return (
    <dialog ref={dialog} class="import" aria-label={t('Import a dashboard')} onClose={onClose} onDragOver={(e) => e.preventDefault()} onDrop={(e) => { e.preventDefault(); void read(e.dataTransfer?.files ?? null); }}>
      <div class="dialog-head"><h2>{t('Import a dashboard')}</h2><button type="button" class="icon" aria-label={t('Close')} onClick={() => dialog.current?.close()}>✕</button></div>
      <p class="muted">{t('A dashboard as Grafana exports it, of any version. It is kept as it is, byte by byte.')}</p>
      <label class="file"><span>{t('File')}</span> <input type="file" accept=".json,application/json" onChange={(e) => void read(e.currentTarget.files)} /></label>
      <label class="paste"><span>{t('or its JSON')}</span><textarea rows={9} spellcheck={false} value={text} placeholder='{"title": …' onInput={(e) => { setText(e.currentTarget.value); setExists(false); }} /></label>
      {error && <Problem error={error} />}
      <div class="bar"><button type="button" class="primary" disabled={busy || !text.trim()} onClick={() => void send(text, false)}>{t('Import')}</button>{exists && <button type="button" disabled={busy} onClick={() => void send(text, true)}>{t('Replace it')}</button>}</div>
    </dialog>
  );
}

const emptyDashboard = (title: string): string => `${JSON.stringify({ title, tags: [], schemaVersion: 41, editable: true, graphTooltip: 1, time: { from: 'now-1h', to: 'now' }, refresh: '', templating: { list: [] }, annotations: { list: [] }, links: [], panels: [] }, null, 2)}\n`;

function New({ onClose, onDone }: { onClose: () => void; onDone: (uid: string) => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null), [title, setTitle] = useState(''), [folder, setFolder] = useState(''), [error, setError] = useState<ApiError | null>(null), folders = useLoad((signal) => listFolders(signal), []);
  useEffect(() => dialog.current?.showModal(), []);
  const make = (): void => void saveText(emptyDashboard(title.trim()), { folder: folder.trim(), message: t('Made here') }).then(({ uid }) => { dialog.current?.close(); onDone(uid); }, (e: unknown) => setError(e instanceof ApiError ? e : new ApiError('internal', String(e), 0)));
  return (
    <dialog ref={dialog} class="import" aria-label={t('New dashboard')} onClose={onClose}>
      <form method="dialog" onSubmit={(e) => { e.preventDefault(); if (title.trim()) make(); }}>
        <div class="dialog-head"><h2>{t('New dashboard')}</h2><button type="button" class="icon" aria-label={t('Close')} onClick={() => dialog.current?.close()}>✕</button></div>
        <label><span>{t('Title')}</span><input type="text" value={title} onInput={(e) => setTitle(e.currentTarget.value)} /></label>
        <label><span>{t('Folder')}</span><input type="text" list="new-folders" value={folder} placeholder={t('General')} onInput={(e) => setFolder(e.currentTarget.value)} /></label><datalist id="new-folders">{(folders.data ?? []).filter((f) => f.source === '').map((f) => <option value={f.title} />)}</datalist>
        {error && <Problem error={error} />}
        <button type="submit" class="primary" disabled={!title.trim()}>{t('Make it')}</button>
      </form>
    </dialog>
  );
}

const sources: Record<string, string> = { builtin: 'built in', file: 'from a file' };

export function DashboardsPage(): JSX.Element {
  const [importing, setImporting] = useState(false), [making, setMaking] = useState(false), filter = route.value.params.get('query') ?? '', load = useLoad((signal) => listDashboards('', signal), []), present = useLoad(presentBuiltIns, [], 30_000);
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean), wait = present.data ? builtIns.filter((b) => !present.data?.has(b.uid)) : [], all = (load.data ?? []).filter((d) => !(d.source === 'builtin' && wait.some((b) => b.uid === d.uid))).filter((d) => words.every((w) => `${d.title} ${d.folderTitle} ${d.tags.join(' ')}`.toLowerCase().includes(w)));
  const folders = new Map<string, Listed[]>();
  for (const d of all) folders.set(d.folderTitle, [...(folders.get(d.folderTitle) ?? []), d]);
  return (
    <div class="page">
      <div class="bar head">
        <h1>{t('Dashboards')}</h1><span class="spacer" />
        <input type="search" placeholder={t('Words of the title, folder or tags')} aria-label={t('Filter dashboards')} value={filter} onInput={(e) => setParams({ query: e.currentTarget.value || null })} />
        <button type="button" onClick={() => setImporting(true)}>{t('Import')}</button>
        <button type="button" class="primary" onClick={() => setMaking(true)}>{t('New dashboard')}</button>
      </div>
      {load.error ? <Problem error={load.error} /> : !load.data ? <Waiting /> : !all.length ? <Empty><p>{filter ? t('No dashboard matches.') : t('There are no dashboards yet.')}</p>{!filter && <button type="button" class="primary" onClick={() => setImporting(true)}>{t('Import a dashboard')}</button>}</Empty> : (
        [...folders].sort(([a], [b]) => (a === '' ? -1 : b === '' ? 1 : a.localeCompare(b))).map(([folder, list]) => (
          <section class="panel dash-list">
            <h2>{folder ? visible(folder) : t('General')}</h2>
            <ul>
              {list.map((d) => (
                <li>
                  <a href={href(`/d/${d.uid}`)} data-page>{visible(d.title)}</a>
                  <span class="labels">{d.tags.map((x) => <span class="label">{visible(x)}</span>)}</span>
                  <span class="muted small">{sources[d.source] ? t(sources[d.source]) : ''}</span>
                  {d.source === '' && <button type="button" class="icon" aria-label={t('Remove {0}', d.title)} title={t('Remove')} onClick={() => { if (confirm(t('Remove "{0}"?', d.title))) void removeStored(d.uid).then(load.reload, load.reload); }}>✕</button>}
                </li>
              ))}
            </ul>
          </section>
        ))
      )}
      {making && <New onClose={() => setMaking(false)} onDone={(uid) => go(`/d/${uid}`, { edit: '' })} />}
      {!filter && wait.length > 0 && (
        <section class="panel dash-list waiting-boards" aria-label={t('Built-in dashboards that wait for their metrics')}>
          <h2>{t('Built in, and waiting for their metrics')}</h2>
          <ul>{wait.map((b) => <li><span>{t(b.title)}</span> <span class="muted small">{t('appears when there is')} <span class="mono">{b.needs}</span></span></li>)}</ul>
        </section>
      )}
      {importing && <Import onClose={() => setImporting(false)} onDone={(uid) => go(`/d/${uid}`)} />}
    </div>
  );
}
