// A list of every metric with its type and help; choosing one puts it into the expression.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from './api';
import { useLoad } from './hooks';
import { Empty, Problem, Waiting } from './parts';
import { t } from './strings';

interface Meta { type: string; help: string; unit: string }
const most = 200;

export function Explorer({ onChoose, onClose }: { onChoose: (name: string) => void; onClose: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [filter, setFilter] = useState('');
  const load = useLoad(async (signal) => {
    const [names, meta] = await Promise.all([
      api<string[]>('label/__name__/values', {}, signal).then((x) => x.data),
      api<Record<string, Meta[]>>('metadata', {}, signal).then((x) => x.data, () => ({} as Record<string, Meta[]>)),
    ]);
    // Parts of a histogram or summary are described under its name.
    return names.map((name) => ({ name, meta: (meta[name] ?? meta[name.replace(/_(bucket|count|sum|total)$/, '')])?.[0] }));
  }, []);
  useEffect(() => dialog.current?.showModal(), []);
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const found = (load.data ?? []).filter(({ name, meta }) => words.every((w) => name.toLowerCase().includes(w) || meta?.help.toLowerCase().includes(w)));
  return (
    <dialog ref={dialog} class="explorer" aria-label={t('Metrics')} onClose={onClose} onClick={(e) => e.target === dialog.current && dialog.current?.close()}>
      <div class="dialog-head">
        <h2>{t('Metrics')}</h2>
        <input type="search" autofocus placeholder={t('Words of the name or the help')} aria-label={t('Filter metrics')} value={filter} onKeyDown={(e) => e.key === 'Escape' && dialog.current?.close()} onInput={(e) => setFilter(e.currentTarget.value)} />
        <button type="button" class="icon" aria-label={t('Close')} onClick={() => dialog.current?.close()}>✕</button>
      </div>
      {load.error ? <Problem error={load.error} /> : !load.data ? <Waiting /> : !found.length ? <Empty>{filter ? t('No metric matches.') : t('There are no metrics yet.')}</Empty> : (
        <ul class="metrics" tabIndex={-1}>
          {found.slice(0, most).map(({ name, meta }) => (
            <li>
              <button type="button" onClick={() => { dialog.current?.close(); onChoose(name); }}>
                <span class="mono">{name}</span> {meta && <span class="type">{meta.type}</span>}
                {meta?.help && <span class="help">{meta.help}</span>}
              </button>
            </li>
          ))}
        </ul>
      )}
      <p class="muted small foot" role="status">{load.data && (found.length > most ? t('The first {0} of {1}; type to narrow.', most, found.length) : t('{0} metrics', found.length))}</p>
    </dialog>
  );
}
