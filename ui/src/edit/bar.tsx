// Above a dashboard while it is edited: what was done and can be undone, what can be added, and how it is kept.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api';
import { listFolders, saveText, type Folder } from '../dash/store';
import { download, Menu, Problem } from '../parts';
import { go, setParams } from '../router';
import { t } from '../strings';
import { diffLines } from './diff';
import { addPanel, addRow, freeId, freshPanel, isSecond, type Json } from './document';
import { Field, TextField } from './fields';
import { kinds } from './options';
import { parseJson, rewrite } from './json';
import type { Session } from './session';
import { Diff } from './versions';

/** A text under another uid and title: a dashboard of its own. */
export function copyOf(text: string, title: string): string {
  const root = parseJson(text), value = structuredClone(root.value) as Json, d = (Array.isArray(value) ? value[0] : value) as Json, board = d.dashboard ?? d.spec ?? d;
  board.title = title;
  for (const o of [board, d]) if (o.uid !== undefined) delete o.uid;
  if (board.id !== undefined) board.id = null;
  if (d.metadata) delete d.metadata.name;
  return rewrite(text, root, value);
}

function SaveDialog({ session, copy, onClose, onCopied }: { session: Session; copy: boolean; onClose: () => void; onCopied: (uid: string) => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null), [message, setMessage] = useState(''), [title, setTitle] = useState(copy ? t('{0} (copy)', session.dashboard.value.title) : ''), [folder, setFolder] = useState(session.source ? '' : session.folder), [folders, setFolders] = useState<Folder[]>([]), [error, setError] = useState<ApiError | null>(null), [busy, setBusy] = useState(false), [show, setShow] = useState(false), [force, setForce] = useState(false);
  useEffect(() => { dialog.current?.showModal(); void listFolders().then(setFolders, () => {}); }, []);
  const save = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      if (copy) onCopied((await saveText(copyOf(session.text, title), { folder, message })).uid);
      else {
        session.stored((await saveText(session.text, { uid: session.uid, folder, message, version: force ? undefined : session.version.value, overwrite: force })).version);
        session.folder = folder;
        session.said.value = t('Saved as version {0}', session.version.value);
        dialog.current?.close();
      }
    } catch (e) {
      setError(e instanceof ApiError ? e : new ApiError('internal', String(e), 0));
      if (e instanceof ApiError && e.status === 412) setForce(true);
    }
    setBusy(false);
  };
  const lines = diffLines(session.savedText, session.text), plus = lines.filter((l) => l.kind === 'new').length, minus = lines.filter((l) => l.kind === 'gone').length;
  return (
    <dialog ref={dialog} class="inspect" aria-label={copy ? t('Save as a copy') : t('Save the dashboard')} onClose={onClose}>
      <form method="dialog" onSubmit={(e) => { e.preventDefault(); void save(); }}>
        <div class="dialog-head"><h2>{copy ? t('Save as a copy') : t('Save the dashboard')}</h2><button type="button" class="icon" aria-label={t('Close')} onClick={() => dialog.current?.close()}>✕</button></div>
        <div class="edit-fields">
          {copy && <TextField label={t('Title')} value={title} wide onChange={setTitle} />}
          <TextField label={t('What was changed')} value={message} wide placeholder={t('A note for the list of versions')} onChange={setMessage} />
          <Field label={t('Folder')}><input type="text" list="save-folders" value={folder} placeholder={t('General')} onInput={(e) => setFolder(e.currentTarget.value)} /></Field><datalist id="save-folders">{folders.filter((f) => f.source === '').map((f) => <option value={f.title} />)}</datalist>
        </div>
        {!copy && <p><button type="button" class="fold" aria-expanded={show} onClick={() => setShow(!show)}>{t('{0} lines new, {1} lines gone', plus, minus)}</button></p>}
        {show && !copy && <Diff lines={lines} />}
        {error && <Problem error={error} />}
        {force && <p class="hint">{t('Somebody saved another version while you edited. Saving now puts yours over it; theirs stays in the list of versions.')}</p>}
        <div class="bar"><button type="submit" class="primary" disabled={busy || (copy && !title.trim())}>{force ? t('Save over it') : t('Save')}</button>{force && <button type="button" onClick={() => download(`${session.dashboard.value.title || 'dashboard'}.json`, 'application/json', session.text)}>{t('Export mine')}</button>}</div>
      </form>
    </dialog>
  );
}

/** Asks before unsaved changes are left behind: inside the page by links and keys, outside by closing it. */
function useGuard(session: Session): void {
  const dirty = session.dirty;
  useEffect(() => {
    if (!dirty) return;
    const here = location.pathname, question = (): boolean => confirm(t('Leave without saving? What was changed is lost.'));
    const unload = (e: BeforeUnloadEvent): void => e.preventDefault();
    const click = (e: MouseEvent): void => {
      const a = (e.target as Element | null)?.closest?.('a');
      if (!a || a.target || !a.dataset.page || e.button || e.metaKey || e.ctrlKey || e.shiftKey || new URL(a.href).pathname === here) return;
      if (!question()) { e.preventDefault(); e.stopImmediatePropagation(); }
    };
    addEventListener('beforeunload', unload);
    document.addEventListener('click', click, true);
    return () => { removeEventListener('beforeunload', unload); document.removeEventListener('click', click, true); };
  }, [dirty]);
}

const inText = (e: KeyboardEvent): boolean => e.composedPath().some((x) => x instanceof HTMLElement && (x.isContentEditable || /^(TEXTAREA|DIALOG)$/.test(x.tagName) || (x instanceof HTMLInputElement && /^(text|search|number)$/.test(x.type))));

export function EditBar({ session, onEnd, tools, onClose }: { session: Session; onEnd: (reload: boolean) => void; tools: ComponentChildren; onClose?: () => void }): JSX.Element {
  const [saving, setSaving] = useState<'' | 'save' | 'copy'>(''), opened = useRef(session.version.value), { dirty } = session, fixed = session.source !== '', undo = session.undoLabel, redo = session.redoLabel;
  useGuard(session);
  useEffect(() => {
    const key = (e: KeyboardEvent): void => {
      const mod = e.ctrlKey || e.metaKey;
      if (mod && e.key.toLowerCase() === 's') { e.preventDefault(); setSaving(fixed ? 'copy' : 'save'); } else if (mod && !e.altKey && !inText(e) && (e.key.toLowerCase() === 'z' || e.key.toLowerCase() === 'y')) {
        e.preventDefault();
        if (e.key.toLowerCase() === 'y' || e.shiftKey) session.redo(); else session.undo();
      } else if (e.key === 'Escape' && onClose && !inText(e) && !document.querySelector('dialog[open], .menu')) onClose();
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  });
  const add = (type: string): void => {
    const id = freeId(session.dash);
    session.change(t('Add a panel'), (d) => addPanel(d, freshPanel(d, type)));
    setParams({ editPanel: String(id) }, true);
  };
  const end = (): void => {
    if (dirty && !confirm(t('Leave without saving? What was changed is lost.'))) return;
    if (dirty) session.discard(t('Discard'));
    onEnd(session.version.value !== opened.current);
  };
  return (
    <div class="bar edit-bar" role="toolbar" aria-label={t('Editing')}>
      {onClose ? <button type="button" onClick={onClose}>‹ {t('Back to the dashboard')}</button> : (
        <>
          <Menu text={<>+ {t('Add')}</>}>{(close) => <ul class="panel-menu pick-list">{kinds.map(([id, name, what]) => <li><button type="button" onClick={() => { close(); add(id); }}><b>{t(name)}</b> <span class="muted small">{t(what)}</span></button></li>)}<li><button type="button" onClick={() => { close(); session.change(t('Add a row'), (d) => void addRow(d)); requestAnimationFrame(() => scrollTo(0, document.body.scrollHeight)); }}><b>{t('Row')}</b> <span class="muted small">{t('A title over the panels that follow')}</span></button></li></ul>}</Menu>
          <button type="button" onClick={() => setParams({ editview: 'settings' }, true)}>{t('Settings')}</button>
        </>
      )}
      <span class="group" role="group" aria-label={t('History')}>
        <button type="button" disabled={!undo} aria-label={undo ? t('Undo: {0}', undo) : t('Undo')} title={undo ? t('Undo: {0} (Ctrl+Z)', undo) : t('Nothing to undo')} onClick={() => session.undo()}>↶</button>
        <button type="button" disabled={!redo} aria-label={redo ? t('Redo: {0}', redo) : t('Redo')} title={redo ? t('Redo: {0} (Ctrl+Shift+Z)', redo) : t('Nothing to redo')} onClick={() => session.redo()}>↷</button>
      </span>
      {isSecond(session.json) && <span class="hint">{t('A file of the second schema: the first change writes it in the first one.')}</span>}
      <span class="spacer" />
      {tools}
      {fixed && <span class="badge neutral" title={t('It comes from a file or with the program; a copy can be kept.')}>{t('read-only')}</span>}
      <span class="edit-state muted small" role="status">{dirty ? t('Unsaved changes') : session.said.value}<span class="sr-only">{dirty ? ` ${session.said.value}` : ''}</span></span>
      {dirty && <button type="button" onClick={() => session.discard(t('Discard all changes'))}>{t('Discard')}</button>}
      <span class="group">{!fixed && <button type="button" class="primary" disabled={!dirty} onClick={() => setSaving('save')}>{t('Save')}</button>}<button type="button" class={fixed ? 'primary' : ''} onClick={() => setSaving('copy')}>{t('Save as')}</button></span>
      {!onClose && <button type="button" onClick={end}>{t('Done')}</button>}
      {saving && <SaveDialog session={session} copy={saving === 'copy'} onClose={() => setSaving('')} onCopied={(uid) => { session.stored(session.version.value); go(`/d/${uid}`); }} />}
    </div>
  );
}
