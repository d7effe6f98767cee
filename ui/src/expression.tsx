// The field for an expression: the PromQL editor once it is there, and where the server found the text wrong.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { root } from './api';
import type { Editor } from './editor';
import type { Fault } from './promql-error';
import { t } from './strings';

interface FieldProps { value: string; fault: Fault | null; focus: boolean; editor: { current: Editor | null }; onRun: (text: string) => void; children?: ComponentChildren }

export function ExpressionField({ value, fault, focus, editor, onRun, children }: FieldProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const text = useRef(value);
  const run = useRef(onRun);
  run.current = onRun;
  const [failed, setFailed] = useState(false);
  const [ready, setReady] = useState(false);
  useEffect(() => {
    let gone = false;
    import('./editor').then((m) => {
      if (gone || !host.current) return;
      editor.current = m.createEditor(host.current, text.current, root, t('Expression'), t('Expression (Enter runs, Shift+Enter is a new line)'),
        (next) => (text.current = next), () => run.current(text.current));
      if (focus) editor.current.focus();
      setReady(true);
    }, () => setFailed(true));
    return () => {
      gone = true;
      editor.current?.destroy();
    };
  }, []);
  useEffect(() => {
    text.current = value;
    editor.current?.setText(value);
  }, [value]);
  useEffect(() => editor.current?.markFault(fault), [fault, ready]);
  return (
    <form class="expression" onSubmit={(e) => { e.preventDefault(); run.current(text.current); }}>
      {failed
        ? <textarea class="editor mono" aria-label={t('Expression')} defaultValue={value} onInput={(e) => (text.current = e.currentTarget.value)} />
        : <div class="editor" ref={host} />}
      {children}
      <button class="primary" type="submit">{t('Run')}</button>
    </form>
  );
}

/** What the expression says and where it goes wrong, as a compiler shows it. */
export function FaultView({ expr, fault }: { expr: string; fault: Fault }): JSX.Element {
  const line = expr.split('\n')[fault.line - 1] ?? '';
  const before = expr.slice(0, fault.from).split('\n').pop() ?? '';
  return (
    <div class="problem fault" role="alert">
      <b>{t('Line {0}, column {1}', fault.line, fault.column)}:</b> <span>{fault.message}</span>
      <pre aria-hidden="true">{line}{'\n'}{' '.repeat(before.length)}{'^'.repeat(Math.max(1, fault.to - fault.from))}</pre>
    </div>
  );
}

/** The same object while its contents stay the same. */
export function useStable<T>(value: T): T {
  const kept = useRef(value);
  if (JSON.stringify(kept.current) !== JSON.stringify(value)) kept.current = value;
  return kept.current;
}
