// The PromQL editor: CodeMirror in a shadow root, so that its styles come as constructed sheets, which the strict CSP allows.
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { lintKeymap } from '@codemirror/lint';
import { EditorState, Prec, StateEffect, StateField } from '@codemirror/state';
import { Decoration, drawSelection, EditorView, keymap, placeholder, type DecorationSet } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';

const highlight = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--syntax-keyword)' },
  { tag: tags.function(tags.variableName), color: 'var(--syntax-function)' },
  { tag: tags.variableName, color: 'var(--text)' },
  { tag: tags.labelName, color: 'var(--syntax-label)' },
  { tag: tags.string, color: 'var(--syntax-string)' },
  { tag: tags.number, color: 'var(--syntax-number)' },
  { tag: tags.operator, color: 'var(--muted)' },
  { tag: tags.comment, color: 'var(--muted)', fontStyle: 'italic' },
  { tag: tags.invalid, color: 'var(--bad)' },
]);

const look = EditorView.theme({
  '&': { fontSize: '14px', backgroundColor: 'transparent', color: 'var(--text)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-content': { fontFamily: 'ui-monospace, SFMono-Regular, Menlo, Consolas, monospace', padding: '9px 4px', caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-selectionBackground, &.cm-focused .cm-selectionBackground': { backgroundColor: 'var(--selection) !important' },
  '.cm-placeholder': { color: 'var(--muted)' },
  '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--text)', border: '1px solid var(--line)', borderRadius: '6px', boxShadow: '0 6px 20px rgb(0 0 0 / 25%)' },
  '.cm-line': { lineHeight: '1.5' },
  '.cm-tooltip.cm-tooltip-autocomplete': { marginTop: '5px' },
  '.cm-tooltip-autocomplete ul li': { padding: '3px 8px !important' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent-solid) !important', color: '#fff !important' },
  '.cm-tooltip-autocomplete ul li[aria-selected] .cm-completionDetail': { color: '#fff' },
  // The library's own squiggle is a data: image, which the policy forbids.
  '.cm-lintRange': { backgroundImage: 'none !important', paddingBottom: '0' },
  '.cm-lintRange-error': { textDecoration: 'underline wavy var(--bad) 1px', textUnderlineOffset: '3px' },
  '.cm-lintRange-warning, .cm-lintRange-info, .cm-lintRange-hint': { textDecoration: 'underline wavy var(--warn) 1px', textUnderlineOffset: '3px' },
  '.cm-fault': { textDecoration: 'underline wavy var(--bad) 1.5px', textUnderlineOffset: '3px', backgroundColor: 'var(--bad-bg)' },
  '.cm-diagnostic': { borderLeftColor: 'var(--bad) !important' },
  '.cm-tooltip.cm-completionInfo': { padding: '6px 10px', maxWidth: '360px' },
  '.cm-completionDetail': { color: 'var(--muted)', fontStyle: 'normal', marginLeft: '1em' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-matchingBracket': { backgroundColor: 'var(--selection) !important' },
});

// The range that the server found wrong, until the text changes.
const setFault = StateEffect.define<{ from: number; to: number } | null>();
const fault = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update: (marks, tr) => {
    if (tr.docChanged) marks = Decoration.none;
    for (const e of tr.effects) {
      if (!e.is(setFault)) continue;
      const range = e.value && { from: Math.max(0, e.value.from), to: Math.min(e.value.to, tr.newDoc.length) };
      marks = range && range.from < range.to ? Decoration.set([Decoration.mark({ class: 'cm-fault' }).range(range.from, range.to)]) : Decoration.none;
    }
    return marks;
  },
  provide: (f) => EditorView.decorations.from(f),
});

export interface Editor {
  setText(text: string): void;
  insert(text: string): void;
  markFault(range: { from: number; to: number } | null): void;
  focus(): void;
  destroy(): void;
}

export function createEditor(host: HTMLElement, text: string, url: string, label: string, hint: string, onChange: (text: string) => void, onRun: () => void): Editor {
  const shadow = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  const promql = new PromQLExtension().setComplete({ remote: { url, cache: { maxAge: 60_000 } }, maxMetricsMetadata: 10_000 });
  const view = new EditorView({
    parent: shadow,
    root: shadow,
    state: EditorState.create({
      doc: text,
      extensions: [
        history(), drawSelection(), bracketMatching(), closeBrackets(), autocompletion({ icons: false }), EditorView.lineWrapping,
        syntaxHighlighting(highlight), look, promql.asExtension(), placeholder(hint), fault,
        EditorView.contentAttributes.of({ 'aria-label': label }),
        Prec.highest(keymap.of([
          { key: 'Enter', run: (v) => {
            // A list that has just opened takes no choice for a moment; Enter then does nothing rather than something else.
            if (completionStatus(v.state) === 'active') acceptCompletion(v);
            else onRun();
            return true;
          } },
          { key: 'Shift-Enter', run: insertNewlineAndIndent },
        ])),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
        // Typing over a selection: the browser's own way keeps the old text's look as an inline style, which the policy forbids.
        EditorView.domEventHandlers({
          beforeinput: (e, v) => {
            const { from, to, empty } = v.state.selection.main, typed = e.data;
            if (e.inputType !== 'insertText' || !typed || empty || v.composing) return false;
            e.preventDefault();
            const plain = () => v.state.update({ ...v.state.replaceSelection(typed), userEvent: 'input.type', scrollIntoView: true });
            if (!v.state.facet(EditorView.inputHandler).some((h) => h(v, from, to, typed, plain))) v.dispatch(plain());
            return true;
          },
        }),
        EditorView.updateListener.of((u) => u.docChanged && onChange(u.state.doc.toString())),
      ],
    }),
  });
  return {
    setText: (next) => {
      if (next !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
    },
    insert: (piece) => {
      view.dispatch(view.state.replaceSelection(piece));
      view.focus();
    },
    markFault: (range) => view.dispatch({ effects: setFault.of(range) }),
    focus: () => {
      view.focus();
      view.dispatch({ selection: { anchor: view.state.doc.length } });
    },
    destroy: () => view.destroy(),
  };
}
