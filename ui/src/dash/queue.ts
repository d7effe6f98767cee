// Requests in a line: a few at a time, the same question once however many panels ask it, and none that nobody waits for any more.

interface Job { run: (signal: AbortSignal) => Promise<unknown>; abort: AbortController; waiting: number; promise: Promise<unknown>; resolve: (v: unknown) => void; reject: (e: unknown) => void; started: boolean }

export class RequestQueue {
  private readonly line: string[] = [];
  private readonly jobs = new Map<string, Job>();
  private running = 0;
  asked = 0;

  constructor(private readonly most = 6) {}

  /** Runs or joins the request of this key. The signal takes one who waits away; the last to leave cancels it. */
  ask<T>(key: string, run: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    let job = this.jobs.get(key);
    if (!job) {
      let resolve: (v: unknown) => void = () => {}, reject: (e: unknown) => void = () => {};
      const promise = new Promise<unknown>((a, b) => ((resolve = a), (reject = b)));
      promise.catch(() => {}); // those who wait are told; nobody may be left
      job = { run, abort: new AbortController(), waiting: 0, promise, resolve, reject, started: false };
      this.jobs.set(key, job);
      this.line.push(key);
      this.asked++;
    }
    const mine = job;
    mine.waiting++;
    this.next();
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        if (--mine.waiting === 0) this.drop(key, mine);
        reject(new DOMException('nobody waits', 'AbortError'));
      };
      if (signal?.aborted) return leave();
      signal?.addEventListener('abort', leave, { once: true });
      mine.promise.then((v) => resolve(v as T), reject).finally(() => signal?.removeEventListener('abort', leave));
    });
  }

  private drop(key: string, job: Job): void {
    if (this.jobs.get(key) === job) this.jobs.delete(key);
    if (!job.started) {
      const at = this.line.indexOf(key);
      if (at >= 0) this.line.splice(at, 1);
    }
    job.abort.abort();
  }

  private next(): void {
    while (this.running < this.most && this.line.length) {
      const key = this.line.shift() as string, job = this.jobs.get(key);
      if (!job || job.started) continue;
      job.started = true;
      this.running++;
      job.run(job.abort.signal).then(job.resolve, job.reject).finally(() => {
        this.running--;
        if (this.jobs.get(key) === job) this.jobs.delete(key);
        this.next();
      });
    }
  }
}
