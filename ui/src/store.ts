// What this browser keeps: the last queries. A browser that refuses storage keeps them until the page is closed.
import { signal } from '@preact/signals';

const key = 'pharos.queries', most = 50;

function load(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? '[]');
    return Array.isArray(kept) ? kept.filter((x): x is string => typeof x === 'string').slice(0, most) : [];
  } catch {
    return [];
  }
}

export const queries = signal<string[]>(load());

function keep(next: string[]): void {
  queries.value = next;
  try {
    localStorage.setItem(key, JSON.stringify(next));
  } catch {
    // Storage is full or forbidden.
  }
}

export function rememberQuery(text: string): void {
  const one = text.trim();
  if (one && queries.value[0] !== one && one.length < 10_000) keep([one, ...queries.value.filter((q) => q !== one)].slice(0, most));
}

export function forgetQueries(): void {
  keep([]);
}
