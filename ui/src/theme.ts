// Light, dark, or what the system says; kept in this browser.
import { effect, signal } from '@preact/signals';

export type Choice = 'system' | 'light' | 'dark';
const dark = matchMedia('(prefers-color-scheme: dark)');
const stored = localStorage.getItem('pharos.theme');
export const choice = signal<Choice>(stored === 'light' || stored === 'dark' ? stored : 'system');
const system = signal(dark.matches);
dark.addEventListener('change', (e) => {
  system.value = e.matches;
});
export const theme = signal<'light' | 'dark'>('light');
effect(() => {
  theme.value = choice.value === 'system' ? (system.value ? 'dark' : 'light') : choice.value;
  document.documentElement.dataset.theme = theme.value;
  localStorage.setItem('pharos.theme', choice.value);
});
