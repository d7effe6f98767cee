// Every string a person reads goes through t(), so that another language is one table away. The pseudo-locale of the tests
// (localStorage "pharos.locale" = "pseudo") puts what went through t() into brackets: what stands without them did not.
let table: Record<string, string> = {};
const pseudo = (() => {
  try {
    return localStorage.getItem('pharos.locale') === 'pseudo';
  } catch {
    return false;
  }
})();

export function setStrings(next: Record<string, string>): void {
  table = next;
}

export function t(text: string, ...args: (string | number)[]): string {
  const said = (table[text] ?? text).replace(/\{(\d)\}/g, (_, i: string) => String(args[Number(i)] ?? ''));
  return pseudo && said ? `⟦${said}⟧` : said;
}
