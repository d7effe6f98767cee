// Parts that load when they are shown. What has loaded once is there at once from then on.
import type { ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Empty, Waiting } from './parts';
import { t } from './strings';

/** A component that stands for one in a chunk of its own; `rows` is how high the place that waits for it is. */
export function later<P extends object>(load: () => Promise<ComponentType<P>>, wrap: (children: JSX.Element) => JSX.Element = (x) => x, rows = 1): (props: P) => JSX.Element {
  let there: ComponentType<P> | null = null;
  return (props: P): JSX.Element => {
    const [state, setState] = useState<'waits' | 'there' | 'failed'>(there ? 'there' : 'waits');
    useEffect(() => {
      let gone = false;
      if (!there) load().then((part) => { there = part; if (!gone) setState('there'); }, () => !gone && setState('failed'));
      return () => { gone = true; };
    }, []);
    const Part = there;
    if (Part && state !== 'failed') return <Part {...props} />;
    return wrap(state === 'failed' ? <Empty><p>{t('A part of this page did not load; the server may be newer than it. Reload the page.')}</p></Empty> : <Waiting rows={rows} />);
  };
}
