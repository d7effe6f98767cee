// One editing of a dashboard: a stack of documents, each with the name of what was done. The text is made of the one that was opened, so
// that it differs from it only where something was changed.
import { batch, signal } from '@preact/signals';
import type { Dashboard } from '../dash/schema';
import type { View } from '../dash/view';
import { t } from '../strings';
import { classic, inner, modernise, panelOf, read, type Json } from './document';
import { parseJson, rewrite, same, type JsonNode } from './json';

interface Base { text: string; root: JsonNode }
interface Step { base: Base; json: unknown; label: string; key: string; text?: string }

const mostSteps = 300;

export class Session {
  readonly at = signal(0);
  readonly steps = signal<Step[]>([]);
  readonly saved = signal<Step | null>(null);
  readonly dashboard = signal<Dashboard>(null as unknown as Dashboard);
  readonly version = signal(0);
  /** What the page says to people who cannot see it change. */
  readonly said = signal('');
  /** Where panels stand while one is dragged. */
  readonly preview = signal<Map<number, { x: number; y: number; w: number; h: number }> | null>(null);
  folder = '';

  constructor(readonly view: View, readonly uid: string, text: string, version: number, readonly source: string, folder: string) {
    const root = parseJson(text), first: Step = { base: { text, root }, json: root.value, label: '', key: '', text };
    this.steps.value = [first];
    this.saved.value = first;
    this.version.value = version;
    this.folder = folder;
    this.dashboard.value = view.dashboard;
  }

  private get step(): Step { return this.steps.value[this.at.value]; }
  get json(): any { return this.step.json; }
  get dash(): Json { return inner(this.step.json); }
  get text(): string { return (this.step.text ??= rewrite(this.step.base.text, this.step.base.root, this.step.json)); }
  get savedText(): string { const s = this.saved.value as Step; return (s.text ??= rewrite(s.base.text, s.base.root, s.json)); }
  get dirty(): boolean { return this.step !== this.saved.value && (this.saved.value === null || this.step.base !== this.saved.value.base || !same(this.step.json, this.saved.value.json)); }
  get undoLabel(): string { return this.at.value > 0 ? this.step.label : ''; }
  get redoLabel(): string { return this.steps.value[this.at.value + 1]?.label ?? ''; }

  private push(step: Step): void {
    const last = this.step, merge = step.key !== '' && last.key === step.key && this.at.value === this.steps.value.length - 1 && last !== this.saved.value;
    const kept = this.steps.value.slice(0, merge ? this.at.value : this.at.value + 1).slice(-mostSteps);
    batch(() => {
      this.steps.value = [...kept, step];
      this.at.value = kept.length;
      this.adopt();
    });
  }

  private adopt(): void {
    this.dashboard.value = this.view.adopt({ ...read(this.step.json), uid: this.uid });
  }

  /** Changes the document. Changes in a row that have the same key are one step of the history. */
  change(label: string, edit: (d: Json) => void, key = ''): void {
    const { json } = this.step, next = classic(json);
    edit(inner(next));
    if (!same(next, json)) this.push({ base: this.step.base, json: next, label, key });
  }

  /** Changes a panel, which is brought to today's shape first. */
  changePanel(id: number, label: string, edit: (p: Json, d: Json) => void, key = ''): void {
    this.change(label, (d) => {
      const raw = panelOf(d, id), seen = this.dashboard.value.panels.flatMap((p) => [p, ...(p.panels ?? [])]).find((p) => p.id === id);
      if (!raw) return;
      if (seen) modernise(raw, seen);
      edit(raw, d);
    }, key && `${id}/${key}`);
  }

  /** Takes a text somebody wrote; throws a JsonError when it is none. */
  setText(text: string, label: string): void {
    const root = parseJson(text);
    this.push({ base: { text, root }, json: root.value, label, key: '', text });
  }

  /** What comes next is a step of its own. */
  seal(): void {
    const { steps, at } = this;
    if (steps.value[at.value].key) steps.value[at.value].key = '';
  }

  private go(to: number, said: string): void {
    if (to < 0 || to >= this.steps.value.length) return;
    batch(() => {
      this.at.value = to;
      this.preview.value = null;
      this.said.value = said;
      this.adopt();
    });
  }
  undo(): void { if (this.at.value > 0) this.go(this.at.value - 1, t('Undone: {0}', this.undoLabel)); }
  redo(): void { if (this.redoLabel) this.go(this.at.value + 1, t('Done again: {0}', this.redoLabel)); }

  /** Back to what is stored. That, too, can be undone. */
  discard(label: string): void {
    const s = this.saved.value;
    if (s && s !== this.step) this.push({ ...s, label, key: '' });
  }

  /** This is what the server has now. */
  stored(version: number): void {
    batch(() => {
      this.seal();
      this.saved.value = this.step;
      this.version.value = version;
    });
  }
}
