// What this browser keeps: the queries that were run. A browser that refuses storage keeps them until the page is closed.
import { computed, signal } from '@preact/signals';

const key = 'pharos.queries', most = 200;

export interface Kept { text: string; at: number; star: boolean }

function load(): Kept[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? '[]');
    // At first they were texts alone.
    return (Array.isArray(kept) ? kept : []).map((x: unknown): Kept => (typeof x === 'string' ? { text: x, at: 0, star: false } : { text: String((x as Kept)?.text ?? ''), at: Number((x as Kept)?.at) || 0, star: (x as Kept)?.star === true })).filter((x) => x.text).slice(0, most);
  } catch {
    return [];
  }
}

export const history = signal<Kept[]>(load());
export const queries = computed(() => history.value.slice(0, 50).map((x) => x.text));

function keep(next: Kept[]): void {
  // The oldest that nobody has marked goes first.
  while (next.length > most) next.splice(Math.max(next.findLastIndex((x) => !x.star), 0) || next.length - 1, 1);
  history.value = next;
  try {
    localStorage.setItem(key, JSON.stringify(next));
  } catch {
    // Storage is full or forbidden.
  }
}

export function rememberQuery(text: string): void {
  const one = text.trim();
  if (!one || one.length >= 10_000 || history.value[0]?.text === one) return;
  const before = history.value.find((x) => x.text === one);
  keep([{ text: one, at: Date.now(), star: before?.star ?? false }, ...history.value.filter((x) => x.text !== one)]);
}

export function starQuery(text: string, star: boolean): void {
  keep(history.value.map((x) => (x.text === text ? { ...x, star } : x)));
}

export function forgetQuery(text: string): void {
  keep(history.value.filter((x) => x.text !== text));
}

export function forgetQueries(): void {
  keep(history.value.filter((x) => x.star));
}
