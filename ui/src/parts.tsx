// Small parts that several pages use.
import type { ComponentChildren, JSX } from 'preact';
import type { ApiError } from './api';
import { t } from './strings';

export function Problem({ error }: { error: ApiError }): JSX.Element {
  return (
    <div class="problem" role="alert">
      <b>{error.type === 'unavailable' ? t('Not available') : error.type}</b> {error.message}
    </div>
  );
}

export function Notes({ warnings, infos }: { warnings: string[]; infos: string[] }): JSX.Element | null {
  if (!warnings.length && !infos.length) return null;
  return (
    <ul class="notes">
      {warnings.map((w) => <li class="warning">{w}</li>)}
      {infos.map((w) => <li class="info">{w}</li>)}
    </ul>
  );
}

export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <div class="empty">{children}</div>;
}

export function Badge({ kind, children }: { kind: 'ok' | 'bad' | 'warn' | 'neutral'; children: ComponentChildren }): JSX.Element {
  return <span class={`badge ${kind}`}>{children}</span>;
}

export function LabelSet({ labels, skip = [] }: { labels: Record<string, string>; skip?: string[] }): JSX.Element {
  return (
    <span class="labels">
      {Object.entries(labels).filter(([k]) => !skip.includes(k)).map(([k, v]) => (
        <span class="label"><span class="key">{k}</span>=<span class="val">"{v}"</span></span>
      ))}
    </span>
  );
}

export function Tabs<T extends string>({ value, tabs, onChange, label }: { value: T; tabs: [T, string][]; onChange: (v: T) => void; label: string }): JSX.Element {
  return (
    <div class="tabs" role="tablist" aria-label={label}>
      {tabs.map(([id, text]) => (
        <button role="tab" type="button" aria-selected={id === value} tabIndex={id === value ? 0 : -1} onClick={() => onChange(id)}
          onKeyDown={(e) => {
            const step = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
            if (!step) return;
            const at = tabs.findIndex(([x]) => x === value);
            onChange(tabs[(at + step + tabs.length) % tabs.length][0]);
            const all = (e.currentTarget.parentElement as HTMLElement).children;
            (all[(at + step + tabs.length) % tabs.length] as HTMLElement).focus();
          }}>{text}</button>
      ))}
    </div>
  );
}
