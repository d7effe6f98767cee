// Small parts that several pages use.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApiError } from './api';
import { visible } from './format';
import { t } from './strings';

export function Problem({ error }: { error: ApiError }): JSX.Element {
  const title: Record<string, string> = { unavailable: t('Not available'), bad_data: t('The question is wrong'), execution: t('The query failed'), timeout: t('The query took too long') };
  return (
    <div class="problem" role="alert">
      <b>{title[error.type] ?? error.type}</b> <span>{error.message}</span>
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

export function Waiting({ rows = 1 }: { rows?: number }): JSX.Element {
  return <div class="waiting" role="status" aria-label={t('Loading …')}>{Array.from({ length: rows }, () => <div class="skeleton" />)}</div>;
}

export function Badge({ kind, children }: { kind: 'ok' | 'bad' | 'warn' | 'neutral'; children: ComponentChildren }): JSX.Element {
  return <span class={`badge ${kind}`}>{children}</span>;
}

export function LabelSet({ labels, skip = [] }: { labels: Record<string, string>; skip?: string[] }): JSX.Element {
  return (
    <span class="labels">
      {Object.entries(labels).filter(([k]) => !skip.includes(k)).map(([k, v]) => (
        <span class="label"><span class="key">{k}</span>=<span class="val">"{visible(v)}"</span></span>
      ))}
    </span>
  );
}

/** A tab list; the panel it rules has id `${id}-panel`. */
export function Tabs<T extends string>({ value, tabs, onChange, label, id }: { value: T; tabs: [T, string][]; onChange: (v: T) => void; label: string; id: string }): JSX.Element {
  return (
    <div class="tabs" role="tablist" aria-label={label}>
      {tabs.map(([key, text], at) => (
        <button role="tab" type="button" id={`${id}-${key}`} aria-selected={key === value} aria-controls={key === value ? `${id}-panel` : undefined} tabIndex={key === value ? 0 : -1} onClick={() => onChange(key)}
          onKeyDown={(e) => {
            const to = e.key === 'ArrowRight' ? at + 1 : e.key === 'ArrowLeft' ? at - 1 : e.key === 'Home' ? 0 : e.key === 'End' ? tabs.length - 1 : null;
            if (to === null) return;
            e.preventDefault();
            const next = (to + tabs.length) % tabs.length;
            onChange(tabs[next][0]);
            ((e.currentTarget.parentElement as HTMLElement).children[next] as HTMLElement).focus();
          }}>{text}</button>
      ))}
    </div>
  );
}

export function TabPanel({ id, value, children }: { id: string; value: string; children: ComponentChildren }): JSX.Element {
  return <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${value}`}>{children}</div>;
}

/** A button that opens a panel under itself; Escape, a click elsewhere or leaving it by Tab close it. */
export function Menu({ text, label, title, align = 'left', children }: { text: ComponentChildren; label?: string; title?: string; align?: 'left' | 'right'; children: (close: () => void) => ComponentChildren }): JSX.Element {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const outside = (e: Event): void => {
      if (!box.current?.contains(e.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('focusin', outside);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('focusin', outside);
    };
  }, [open]);
  return (
    <div class="menu-box" ref={box} onKeyDown={(e) => e.key === 'Escape' && open && (e.stopPropagation(), close())}>
      <button type="button" ref={button} aria-expanded={open} aria-label={label} title={title} onClick={() => setOpen(!open)}>{text}</button>
      {open && <div class={`menu ${align}`}>{children(close)}</div>}
    </div>
  );
}

/** Copies even where the page is not a secure context and has no clipboard. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'sr-only';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

export function CopyButton({ text, label }: { text: string; label: string }): JSX.Element {
  const [done, setDone] = useState(false);
  return (
    <button type="button" class="icon copy" aria-label={done ? t('Copied') : label} title={done ? t('Copied') : t('Copy')}
      onClick={() => copyText(text).then((ok) => ok && (setDone(true), setTimeout(() => setDone(false), 1500)))}>
      <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.4">
        {done ? <path d="m2.500 7.500 3 3 6-7" /> : <><rect x="4.500" y="4.500" width="7.500" height="7.500" rx="1.500" /><path d="M9.500 2H3.500A1.500 1.500 0 0 0 2 3.500v6" /></>}
      </svg>
    </button>
  );
}

/** Hands the browser a file. */
export function download(name: string, type: string, text: string | Blob): void {
  const a = document.createElement('a');
  a.href = URL.createObjectURL(text instanceof Blob ? text : new Blob([text], { type }));
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

/** Only web addresses become links; anything else in an annotation is text. */
export function Linked({ text }: { text: string }): JSX.Element {
  const parts = visible(text).split(/(https?:\/\/[^\s"'<>]+)/);
  return <>{parts.map((p, i) => (i % 2 ? <a href={p} target="_blank" rel="noreferrer noopener">{p}</a> : p))}</>;
}
