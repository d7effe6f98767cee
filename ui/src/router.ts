// The URL is the state. A page reads `path` and `params`; go() and setParams() change the address, never the other way round.
import { signal } from '@preact/signals';
import { root } from './api';

const aliases: Record<string, string> = { '': '/', '/graph': '/query', '/service-discovery': '/targets', '/config': '/status', '/flags': '/status', '/tsdb-status': '/status' };

function read(): { path: string; raw: string; params: URLSearchParams } {
  const raw = location.pathname.slice(root.length).replace(/\/+$/, '');
  return { path: aliases[raw] ?? raw, raw, params: new URLSearchParams(location.search) };
}

export const route = signal(read());

export function href(path: string, params?: Record<string, string>): string {
  const query = params ? `?${new URLSearchParams(params)}` : '';
  return `${root}${path === '/' ? '/' : path}${query}`;
}

export function go(path: string, params?: Record<string, string>): void {
  history.pushState(null, '', href(path, params));
  route.value = read();
}

/** Changes some parameters of the current page; null removes. Replaces the history entry unless push. */
export function setParams(change: Record<string, string | null>, push = false): void {
  const params = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(change)) {
    if (value === null) params.delete(key);
    else params.set(key, value);
  }
  const text = params.toString();
  const url = location.pathname + (text ? `?${text}` : '');
  if (url === location.pathname + location.search) return;
  if (push) history.pushState(null, '', url);
  else history.replaceState(null, '', url);
  route.value = read();
}

addEventListener('popstate', () => {
  route.value = read();
});

// Links inside the application do not reload it; modified clicks keep the browser's meaning.
document.addEventListener('click', (e) => {
  const a = (e.target as Element | null)?.closest?.('a');
  if (!a || a.target || a.hasAttribute('download') || a.origin !== location.origin || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  if (!a.dataset.page) return;
  e.preventDefault();
  history.pushState(null, '', a.href);
  route.value = read();
  scrollTo(0, 0);
});
