// Loading things: each load cancels the one before, and remembers the last good answer while a new one is under way.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api';

export interface Load<T> { data?: T; error?: ApiError; loading: boolean; reload: () => void }

export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, deps: unknown[], everyMs = 0): Load<T> {
  const [state, setState] = useState<{ data?: T; error?: ApiError; loading: boolean }>({ loading: true });
  const [turn, setTurn] = useState(0);
  const last = useRef(0);
  useEffect(() => {
    const abort = new AbortController();
    setState((s) => ({ ...s, loading: true }));
    load(abort.signal).then(
      (data) => !abort.signal.aborted && setState({ data, loading: false }),
      (e: unknown) => !abort.signal.aborted && setState((s) => ({ data: s.data, error: e instanceof ApiError ? e : new ApiError('internal', String(e), 0), loading: false })),
    );
    last.current = Date.now();
    return () => abort.abort();
  }, [...deps, turn]);
  useEffect(() => {
    if (!everyMs) return;
    // No polling for a page nobody looks at.
    const timer = setInterval(() => document.visibilityState === 'visible' && setTurn((n) => n + 1), everyMs);
    const on = (): void => setTurn((n) => n + 1);
    addEventListener('pharos-refresh', on);
    return () => {
      clearInterval(timer);
      removeEventListener('pharos-refresh', on);
    };
  }, [everyMs]);
  return { ...state, reload: () => setTurn((n) => n + 1) };
}
