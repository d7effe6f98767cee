// Light, dark, or what the system says, and more contrast than either; kept in this browser.
import { effect, signal } from '@preact/signals';

export type Choice = 'system' | 'light' | 'dark';
const kept = (key: string): string | null => {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
};
const keep = (key: string, value: string): void => {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is forbidden: it lasts until the page is closed.
  }
};
const dark = matchMedia('(prefers-color-scheme: dark)');
const stored = kept('pharos.theme');
export const choice = signal<Choice>(stored === 'light' || stored === 'dark' ? stored : 'system');
export const contrast = signal(kept('pharos.contrast') === 'more');
const system = signal(dark.matches);
dark.addEventListener('change', (e) => {
  system.value = e.matches;
});
export const theme = signal<'light' | 'dark'>('light');
effect(() => {
  theme.value = choice.value === 'system' ? (system.value ? 'dark' : 'light') : choice.value;
  document.documentElement.dataset.theme = theme.value;
  keep('pharos.theme', choice.value);
});
effect(() => {
  document.documentElement.dataset.contrast = contrast.value ? 'more' : '';
  keep('pharos.contrast', contrast.value ? 'more' : '');
});

export function switchTheme(): void {
  choice.value = theme.value === 'dark' ? 'light' : 'dark';
}
