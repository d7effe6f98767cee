// Grafana's 273 units: how a number of each is printed, digit for digit. tests/oracle compares this file with @grafana/data.
//
// A unit is one of a few shapes (a fixed suffix, SI or binary prefixes, a currency, a rate of counts, durations, dates), so the table
// below is names and symbols; an id that is not in it may still be of the forms "prefix:", "suffix:", "time:", "si:", "count:",
// "currency:" and "bool:", and anything else is a suffix of its own.
import { formatMoment, fromNow, type Zone } from './moment';

/** What is printed: the parts are apart because panels draw the unit smaller than the number. */
export interface Text { text: string; prefix?: string; suffix?: string }
export type Decimals = number | null | undefined;
export type Formatter = (value: number | null, decimals?: Decimals, zone?: Zone, showMs?: boolean) => Text;

export const join = (t: Text): string => `${t.prefix ?? ''}${t.text}${t.suffix ?? ''}`;

/** As many places as show two to three significant digits. */
function placesFor(value: number): number {
  if (value % 1 === 0) return 0;
  const size = Math.abs(value);
  const places = 1 - Math.floor(Math.log(size) / Math.LN10);
  return Math.max(0, size / 10 ** -places > 2.25 ? places + 1 : places);
}

export function toFixed(value: number | null, decimals?: Decimals): string {
  if (value === null) return '';
  if (value === Infinity || value === -Infinity) return value.toLocaleString();
  const places = decimals ?? placesFor(value);
  if (value === 0) return value.toFixed(places);
  const factor = places ? 10 ** Math.max(0, places) : 1;
  const text = String(Math.round(value * factor) / factor);
  if (text.includes('e')) return text;
  const dot = text.indexOf('.'), has = dot < 0 ? 0 : text.length - dot - 1;
  if (!(has < places)) return text;
  return (has ? text : `${text}.`) + String(factor).slice(1, places - has + 1);
}

const nothing: Text = { text: '' };

export function fixed(unit: string, before = false): Formatter {
  return (v, d) => {
    if (v === null) return nothing;
    const text = toFixed(v, d);
    return !unit ? { text } : before ? { text, prefix: unit } : { text, suffix: ` ${unit}` };
  };
}

/** Divides by powers of `factor` so far as there are names; names[at] is that of the number itself. */
function scaled(factor: number, names: string[], at = 0): Formatter {
  const base = Math.log10(factor), last = names.length - 1;
  const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);
  return (v, d) => {
    if (v == null) return nothing;
    if (!Number.isFinite(v)) return { text: v.toLocaleString() };
    const power = v === 0 ? 0 : Math.floor(Math.log10(Math.abs(v)) / base);
    return { text: toFixed(v / factor ** clamp(power, -at, last - at), d), suffix: names[clamp(at + power, 0, last)] };
  };
}

const siNames = ['f', 'p', 'n', 'µ', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'], siBase = 5;
const si = (unit: string, offset = 0): Formatter => scaled(1000, siNames.map((p) => ` ${p}${unit}`), siBase + offset);
const binary = (unit: string, offset = 0): Formatter => scaled(1024, ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei', 'Zi', 'Yi'].map((p) => ` ${p}${unit}`), offset);
const countNames = ['', 'K', 'M', 'B', 'T'];

function count(unit: string): Formatter {
  const inner = scaled(1000, countNames);
  return (v, d) => {
    if (v === null) return nothing;
    const t = inner(v, d);
    return { ...t, suffix: `${t.suffix} ${unit}` };
  };
}

function currency(symbol: string, after = false): Formatter {
  const inner = scaled(1000, countNames);
  return (v, d) => {
    if (v == null) return nothing;
    const t = { ...inner(Math.abs(v), d) };
    if (!after) t.prefix = symbol;
    else if (t.suffix !== undefined) t.suffix += symbol;
    if (v < 0) t.prefix = `-${t.prefix ?? ''}`;
    return t;
  };
}

/** "currency:financial:SYMBOL[:suffix]": every digit, grouped. */
function ledger(symbol: string, after: boolean): Formatter {
  return (v, d) => {
    if (v === null) return nothing;
    const text = new Intl.NumberFormat(undefined, { minimumFractionDigits: d ?? 0, maximumFractionDigits: d ?? 1 }).format(v);
    return after ? { prefix: '', suffix: symbol, text } : { prefix: symbol, suffix: '', text };
  };
}

const yesNo = (yes: string, no: string): Formatter => (v) => ({ text: v ? yes : no });

// ---- durations ----

/** The first row whose limit the size is under; the number is divided by `by`. Words are put in the plural over one. */
type Ladder = [limit: number, by: number, name: string, words?: boolean][];
const s = 1, min = 60, hour = 3600, day = 86400, week = 604800, year = 31536000;

function ladder(rows: Ladder): Formatter {
  return (v, d) => {
    if (v === null) return nothing;
    const size = Math.abs(v);
    const [, by, name, words] = rows.find(([limit]) => size < limit) ?? rows[rows.length - 1];
    const n = v / by;
    return { text: toFixed(n, d), suffix: ` ${name}${words && Math.abs(n) > 1 ? 's' : ''}` };
  };
}

const nanoseconds = ladder([[1e3, 1, 'ns'], [1e6, 1e3, 'µs'], [1e9, 1e6, 'ms'], [6e10, 1e9, 's'], [36e11, 6e10, 'min', true], [864e11, 36e11, 'hour', true], [Infinity, 864e11, 'day', true]]);
const microseconds = ladder([[1e3, 1, 'µs'], [1e6, 1e3, 'ms'], [Infinity, 1e6, 's']]);
const milliseconds = ladder([[1e3, 1, 'ms'], [6e4, 1e3, 's'], [36e5, 6e4, 'min', true], [864e5, 36e5, 'hour', true], [31536e6, 864e5, 'day', true], [Infinity, 31536e6, 'year', true]]);
const secondsUp = ladder([[min, s, 's'], [hour, min, 'min', true], [day, hour, 'hour', true], [week, day, 'day', true], [year, week, 'week', true], [Infinity, 31556900, 'year', true]]);
const seconds: Formatter = (v, d) => {
  if (v === null) return nothing;
  if (v === 0) return { text: '0', suffix: ' s' };
  const size = Math.abs(v);
  // Below a second it is the product that is rounded, so these rows multiply.
  if (size < 1e-6) return { text: toFixed(v * 1e9, d), suffix: ' ns' };
  if (size < 1e-3) return { text: toFixed(v * 1e6, d), suffix: ' µs' };
  if (size < 1) return { text: toFixed(v * 1e3, d), suffix: ' ms' };
  return secondsUp(v, d);
};
const minutes = ladder([[60, 1, 'min'], [1440, 60, 'hour', true], [10080, 1440, 'day', true], [604800, 10080, 'week', true], [Infinity, 525948, 'year', true]]);
const hours = ladder([[24, 1, 'hour'], [168, 24, 'day', true], [8760, 168, 'week', true], [Infinity, 8760, 'year', true]]);
const days = ladder([[7, 1, 'day', true], [365, 7, 'week', true], [Infinity, 365, 'year', true]]);

const spans: [number, string][] = [[year, 'year'], [2592000, 'month'], [week, 'week'], [day, 'day'], [hour, 'hour'], [min, 'minute'], [s, 'second'], [0.001, 'millisecond']];

/** "1 hour, 2 minutes": as many parts as decimals say, and one more. */
function duration(unitSeconds: number, unitName: string): Formatter {
  const print: Formatter = (v, d) => {
    if (v === null) return nothing;
    if (v === 0) return { text: '0', suffix: ` ${unitName}s` };
    if (v < 0) {
      const t = print(-v, d);
      return { ...t, suffix: `${t.suffix ?? ''} ago` };
    }
    let rest = v * (unitSeconds * 1000), left = d ?? 0;
    const parts: string[] = [];
    for (const [size, name] of spans) {
      if (left < 0) break;
      const n = rest / (size * 1000);
      if (n < 1 && !parts.length) continue;
      const whole = Math.floor(n);
      parts.push(`${whole} ${name}${whole === 1 ? '' : 's'}`);
      rest %= size * 1000;
      left--;
    }
    return { text: parts.join(', ') };
  };
  return print;
}

const two = (n: number): string => (n > 9 ? `${n}` : `0${n}`);
const hms: Formatter = (v) => {
  const at = v as number;
  if (at < 0) {
    const t = hms(-at);
    return { ...t, suffix: `${t.suffix ?? ''} ago` };
  }
  return { text: [Math.floor(at / hour), Math.floor((at % hour) / 60), Math.floor((at % hour) % 60)].map(two).join(':') };
};
const dhms: Formatter = (v) => {
  const at = v as number;
  if (at < 0) {
    const t = dhms(-at);
    return { ...t, suffix: `${t.suffix ?? ''} ago` };
  }
  const whole = Math.floor(at / day);
  return { text: `${whole > 0 ? `${whole} d ` : ''}${hms(at - whole * 24 * 3600).text}` };
};

/** Milliseconds as "01h:02m:03s:004ms", cut after as many parts as decimals say. */
const clock: Formatter = (v, d) => {
  if (v === null) return nothing;
  if (!(Math.abs(v) <= 8.64e15)) return { text: v < 0 ? 'Invalid date' : `${Math.floor(v / 3600000)}h${d === 0 ? '' : ':Invalid date'}` };
  const at = Math.trunc(v), of = (size: number, by: number): number => Math.floor(at / size) - Math.floor(at / (size * by)) * by;
  const ms = `${String(of(1, 1000)).padStart(3, '0')}ms`, sec = `${two(of(1000, 60))}s`, mins = `${two(of(60000, 60))}m`;
  if (v < 1000) return { text: ms };
  if (v < 60000) return { text: d === 0 ? sec : `${sec}:${ms}` };
  const parts = v < 3600000 ? [mins, sec, ms] : [`${Math.floor(v / 3600000)}h`, mins, sec, ms];
  const most = d == null || d < 0 || d >= parts.length ? parts.length : d + 1;
  return { text: parts.slice(0, most).join(':') };
};

// ---- dates ----

const date = (pattern: string, today?: string): Formatter => (v, _d, zone) => {
  const isToday = today !== undefined && formatMoment(v as number, 'YYYY-MM-DD') === formatMoment(Date.now(), 'YYYY-MM-DD');
  return { text: formatMoment(v as number, isToday ? (today as string) : pattern, zone) };
};

/** The pattern in which this browser's language writes a date. */
function localPattern(options: Intl.DateTimeFormatOptions): string {
  const languages = typeof navigator === 'undefined' ? undefined : [...navigator.languages];
  const f = new Intl.DateTimeFormat(languages, options), h12 = f.resolvedOptions().hour12;
  const tokens: Record<string, string> = { year: 'YYYY', month: 'MM', day: 'DD', hour: h12 ? 'hh' : 'HH', minute: 'mm', second: 'ss', weekday: 'ddd', era: 'N', dayPeriod: 'A', timeZoneName: 'Z' };
  return f.formatToParts(new Date()).map((p) => tokens[p.type] || p.value).join('');
}
const clockParts = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const, dateParts = { year: 'numeric', month: '2-digit', day: '2-digit', ...clockParts } as const;

// ---- the table ----

const table = new Map<string, Formatter>();

/** "id symbol[ offset]" per entry; an underscore in a symbol is a space. */
function fill(make: (unit: string, offset: number) => Formatter, text: string): void {
  for (const entry of text.trim().split(/\s*\|\s*/)) {
    const [id, unit, offset] = entry.split(' ');
    table.set(id, make(unit ?? '', Number(offset ?? 0)));
  }
}

fill((u) => fixed(u), `none|humidity %H|dB dB|pixel px|accMS2 m/sec²|accFS2 f/sec²|accG g|degree °|radian rad|grad grad|arcmin arcmin|arcsec arcsec|areaM2 m²|areaF2 ft²|
  areaMI2 mi²|acres ac|hectares ha|ppm ppm|conppb ppb|conngm3 ng/m³|conngNm3 ng/Nm³|conμgm3 μg/m³|conμgNm3 μg/Nm³|conmgm3 mg/m³|conmgNm3 mg/Nm³|congm3 g/m³|
  congNm3 g/Nm³|conmgdL mg/dL|conmmolL mmol/L|dBm dbm|flowgpm gpm|flowcms cms|flowcfs cfs|flowcfm cfm|litreh L/h|flowlpm L/min|flowmlpm mL/min|lux lux|masslb lb|
  masst t|lengthcm cm|lengthin in|lengthft ft|lengthmi mi|pressurehpa hPa|pressurekpa kPa|pressurehg "Hg|rotrpm rpm|rotrads rad/s|rotdegs °/s|celsius °C|fahrenheit °F|farenheit °F|
  kelvin K|velocityms m/s|velocitykmh km/h|velocitymph mph|velocityknot kn|m3 m³|Nm3 Nm³|dm3 dm³|gallons gal`);
fill(si, `sishort|candela cd|flops FLOPS|mflops FLOPS 2|gflops FLOPS 3|tflops FLOPS 4|pflops FLOPS 5|eflops FLOPS 6|zflops FLOPS 7|yflops FLOPS 8|decbytes B|decbits b|deckbytes B 1|
  decmbytes B 2|decgbytes B 3|dectbytes B 4|decpbytes B 5|pps p/s|Bps B/s|bps b/s|KBs B/s 1|Kbits b/s 1|MBs B/s 2|Mbits b/s 2|GBs B/s 3|Gbits b/s 3|TBs B/s 4|Tbits b/s 4|
  PBs B/s 5|Pbits b/s 5|watt W|kwatt W 1|megwatt W 2|gwatt W 3|mwatt W -1|Wm2 W/m²|voltamp VA|kvoltamp VA 1|voltampreact VAr|kvoltampreact VAr 1|watth Wh|watthperkg Wh/kg|
  kwatth Wh 1|kwattm W-Min 1|mwatth Wh 2|amph Ah|kamph Ah 1|mamph Ah -1|joule J|ev eV|amp A|kamp A 1|mamp A -1|volt V|kvolt V 1|mvolt V -1|mohm Ω -1|ohm Ω|kohm Ω 1|Mohm Ω 2|
  farad F|µfarad F -2|nfarad F -3|pfarad F -4|ffarad F -5|henry H|mhenry H -1|µhenry H -2|lumens Lm|forceNm Nm|forcekNm Nm 1|forceN N|forcekN N 1|Hs H/s|KHs H/s 1|MHs H/s 2|
  GHs H/s 3|THs H/s 4|PHs H/s 5|EHs H/s 6|massmg g -1|massg g|masskg g 1|lengthmm m -1|lengthm m|lengthkm m 1|pressurembar bar -1|pressurebar bar|pressurekbar bar 1|pressurepa Pa|
  radbq Bq|radci Ci|radgy Gy|radrad rad|radsv Sv|radmsv Sv -1|radusv Sv -2|radrem rem|radexpckg C/kg|radr R|radsvh Sv/h|radmsvh Sv/h -1|radusvh Sv/h -2|rothz Hz|rotkhz Hz 1|
  rotmhz Hz 2|rotghz Hz 3|hertz Hz|mlitre L -1|litre L`);
fill(binary, `bytes B|bits b|kbytes B 1|mbytes B 2|gbytes B 3|tbytes B 4|pbytes B 5|binBps B/s|binbps b/s|KiBs B/s 1|Kibits b/s 1|MiBs B/s 2|Mibits b/s 2|GiBs B/s 3|Gibits b/s 3|
  TiBs B/s 4|Tibits b/s 4|PiBs B/s 5|Pibits b/s 5`);
fill(count, `cps c/s|ops ops/s|reqps req/s|rps rd/s|wps wr/s|iops io/s|eps evt/s|mps msg/s|recps rec/s|rowsps rows/s|cpm c/m|opm ops/m|reqpm req/m|rpm rd/m|wpm wr/m|epm evts/m|
  mpm msgs/m|recpm rec/m|rowspm rows/m`);
fill((u) => currency(u), `currencyUSD $|currencyGBP £|currencyEUR €|currencyJPY ¥|currencyRUB ₽|currencyUAH ₴|currencyBRL R$|currencyCZK czk|currencyCHF CHF|currencyPLN PLN|currencyBTC ฿|
  currencymBTC mBTC|currencyμBTC μBTC|currencyZAR R|currencyINR ₹|currencyKRW ₩|currencyIDR Rp|currencyPHP PHP|currencyMYR RM|currencyXPF XPF|currencyBGN BGN|currencyPYG ₲|currencyUYU UYU|currencyILS ₪`);
fill((u) => currency(u, true), 'currencyDKK kr|currencyISK kr|currencyNOK kr|currencySEK kr|currencyVND đ|currencyTRY ₺');

const hex: Formatter = (v, d) => (v == null ? nothing : { text: parseFloat(toFixed(v, d)).toString(16).toUpperCase() });
const singles: Record<string, Formatter> = {
  string: (v) => ({ text: `${v}` }),
  short: scaled(1000, ['', ' K', ' Mil', ' Bil', ' Tri', ' Quadr', ' Quint', ' Sext', ' Sept']),
  pressurepsi: scaled(1000, ['psi', 'ksi', 'Mpsi']),
  percent: (v, d) => (v === null ? nothing : { text: toFixed(v, d), suffix: '%' }),
  percentunit: (v, d) => (v === null ? nothing : { text: toFixed(100 * v, d), suffix: '%' }),
  hex,
  hex0x: (v, d) => (v == null ? nothing : { text: hex(v, d).text.replace(/^(-?)/, '$10x') }),
  sci: (v, d) => (v == null ? nothing : { text: v.toExponential(d ?? undefined) }),
  locale: (v, d) => (v == null ? nothing : { text: v.toLocaleString(undefined, { maximumFractionDigits: d ?? undefined }) }),
  bool: yesNo('True', 'False'), bool_yes_no: yesNo('Yes', 'No'), bool_on_off: yesNo('On', 'Off'),
  ns: nanoseconds, 'µs': microseconds, ms: milliseconds, s: seconds, m: minutes, h: hours, d: days,
  dtdurationms: duration(0.001, 'millisecond'), dtdurations: duration(1, 'second'), dthms: hms, dtdhms: dhms,
  timeticks: (v, d) => seconds((v as number) / 100, d), clockms: clock, clocks: (v, d) => clock((v as number) * 1000, d),
  dateTimeAsIso: date('YYYY-MM-DD HH:mm:ss'), dateTimeAsIsoNoDateIfToday: date('YYYY-MM-DD HH:mm:ss', 'HH:mm:ss'),
  dateTimeAsUS: date('MM/DD/YYYY h:mm:ss a'), dateTimeAsUSNoDateIfToday: date('MM/DD/YYYY h:mm:ss a', 'h:mm:ss a'),
  dateTimeAsLocal: (v, d, z) => date(localPattern(dateParts))(v, d, z), dateTimeAsLocalNoDateIfToday: (v, d, z) => date(localPattern(dateParts), localPattern(clockParts))(v, d, z),
  dateTimeAsSystem: (v, _d, z, showMs) => ({ text: formatMoment(v as number, showMs ? 'YYYY-MM-DD HH:mm:ss.SSS' : 'YYYY-MM-DD HH:mm:ss', z) }),
  dateTimeFromNow: (v) => ({ text: fromNow(v as number, Date.now()) }),
};
for (const [id, f] of Object.entries(singles)) table.set(id, f);

export const unitIds = (): string[] => [...table.keys()].filter((id) => id !== 'farenheit');

function custom(id: string): Formatter {
  const at = id.indexOf(':'), kind = at > 0 ? id.slice(0, at) : '', rest = id.slice(at + 1);
  switch (kind) {
    case 'prefix': return fixed(rest, true);
    case 'suffix': return fixed(rest);
    case 'time': return date(rest);
    case 'count': return count(rest);
    case 'si': {
      const offset = siNames.findIndex((p) => p.normalize('NFKD') === rest.charAt(0).normalize('NFKD')) - siBase;
      return offset > -siBase - 1 && offset !== 0 ? si(rest.slice(1), offset) : si(rest);
    }
    case 'currency': {
      const [form, symbol, place] = rest.split(':');
      if (form === 'financial' && symbol !== undefined) return symbol ? ledger(symbol, place === 'suffix') : fixed('');
      return currency(rest);
    }
    case 'bool': {
      const slash = rest.indexOf('/');
      return slash >= 0 ? yesNo(rest.slice(0, slash), rest.slice(slash + 1)) : yesNo(rest, '-');
    }
  }
  return fixed(id);
}

const made = new Map<string, Formatter>();

/** How numbers of a unit are printed; an unknown id is a suffix. */
export function unitFormat(id: string | null | undefined): Formatter {
  if (!id) return fixed('');
  const known = table.get(id) ?? made.get(id);
  if (known) return known;
  const f = custom(id);
  if (made.size < 1000) made.set(id, f);
  return f;
}

export const isBooleanUnit = (unit: string | undefined): boolean => !!unit?.startsWith('bool');
export const isDateUnit = (unit: string | undefined): boolean => !!unit && (unit.startsWith('time:') || (unit.startsWith('dateTime') && unit !== 'dateTimeAsSystem'));
