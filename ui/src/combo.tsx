// A text field with a list of what it may be: typed words narrow it, arrows and Enter choose, and any other text is taken as well.
import type { JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { visible } from './format';
import { t } from './strings';

export interface ComboOption { value: string; note?: string; about?: string }
interface Props { value: string; label: string; placeholder?: string; options: () => Promise<ComboOption[]>; onChange: (v: string) => void; wide?: boolean; autoFocus?: boolean; adds?: boolean }
const most = 100;

export function Combo({ value, label, placeholder, options, onChange, wide, autoFocus, adds }: Props): JSX.Element {
  const [text, setText] = useState(value), [open, setOpen] = useState(false), [all, setAll] = useState<ComboOption[] | null>(null), [at, setAt] = useState(-1), [typed, setTyped] = useState(false), [failed, setFailed] = useState(false);
  const id = useId(), box = useRef<HTMLDivElement>(null), input = useRef<HTMLInputElement>(null);
  useEffect(() => setText(value), [value]);
  useEffect(() => { if (autoFocus) input.current?.focus(); }, []);
  const words = typed ? text.toLowerCase().split(/\s+/).filter(Boolean) : [];
  const found = (all ?? []).filter((o) => words.every((w) => o.value.toLowerCase().includes(w) || o.about?.toLowerCase().includes(w)));
  // What begins with the text comes first.
  const shown = (words.length ? [...found].sort((a, b) => Number(!a.value.toLowerCase().startsWith(words[0])) - Number(!b.value.toLowerCase().startsWith(words[0]))) : found).slice(0, most);
  const show = (): void => {
    if (open) return;
    setOpen(true);
    setTyped(false);
    setAt(-1);
    setFailed(false);
    options().then(setAll, () => setFailed(true));
  };
  const choose = (v: string): void => {
    setOpen(false);
    setText(adds ? '' : v);
    if (v !== value) onChange(v);
  };
  const onKey = (e: KeyboardEvent): void => {
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault();
      if (!open) return show();
      setAt((n) => Math.max(-1, Math.min(shown.length - 1, n + (e.key === 'ArrowDown' ? 1 : -1))));
    } else if (e.key === 'Enter') {
      e.preventDefault();
      choose(open && at >= 0 && shown[at] ? shown[at].value : open && typed && shown.length === 1 ? shown[0].value : text.trim());
    } else if (e.key === 'Escape' && open) {
      e.stopPropagation();
      setOpen(false);
      setText(value);
    }
  };
  useEffect(() => { if (at >= 0) document.getElementById(`${id}-${at}`)?.scrollIntoView({ block: 'nearest' }); }, [at]);
  return (
    <div class={`combo ${wide ? 'wide' : ''}`} ref={box}>
      <input ref={input} type="text" role="combobox" aria-label={label} aria-expanded={open} aria-controls={open ? `${id}-list` : undefined} aria-autocomplete="list" aria-activedescendant={open && at >= 0 ? `${id}-${at}` : undefined} placeholder={placeholder} spellcheck={false} autocomplete="off" value={visible(text)}
        onFocus={show} onClick={show} onInput={(e) => { setText(e.currentTarget.value); setTyped(true); setOpen(true); setAt(-1); }} onKeyDown={onKey}
        onBlur={() => { if (open) { setOpen(false); if (typed && text.trim() !== value) choose(text.trim()); } }} />
      {open && (
        <ul class="combo-list" role="listbox" id={`${id}-list`} aria-label={label}>
          {shown.map((o, i) => (
            <li role="option" id={`${id}-${i}`} aria-selected={i === at} class={o.value === value ? 'now' : ''} onPointerDown={(e) => { e.preventDefault(); choose(o.value); }}>
              <span class="mono">{visible(o.value) || '""'}</span>{o.note && <span class="type">{o.note}</span>}{o.about && <span class="about">{visible(o.about)}</span>}
            </li>
          ))}
          {failed ? <li class="hint bad" role="option" aria-selected="false" aria-disabled="true">{t('The list did not load.')}</li> : !all ? <li class="hint" role="option" aria-selected="false" aria-disabled="true">{t('Loading …')}</li> : !shown.length ? <li class="hint" role="option" aria-selected="false" aria-disabled="true">{t('Nothing matches.')}</li> : found.length > most ? <li class="hint" role="option" aria-selected="false" aria-disabled="true">{t('The first {0} of {1}; type to narrow.', most, found.length)}</li> : null}
        </ul>
      )}
    </div>
  );
}
