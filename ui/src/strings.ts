// Every string a person reads goes through t(), so that another language (or a test's pseudo-locale) is one table away.
let table: Record<string, string> = {};

export function setStrings(next: Record<string, string>): void {
  table = next;
}

export function t(text: string, ...args: (string | number)[]): string {
  return (table[text] ?? text).replace(/\{(\d)\}/g, (_, i: string) => String(args[Number(i)] ?? ''));
}
