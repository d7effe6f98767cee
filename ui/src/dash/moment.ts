// Dates in the pattern language dashboards use ("YYYY-MM-DD HH:mm"), in a time zone, and "5 minutes ago".

/** "browser" or undefined: this machine's; "utc"; or an IANA name. */
export type Zone = string | undefined;

export interface Clock { year: number; month: number; day: number; hour: number; minute: number; second: number; ms: number; weekday: number; offset: number }

const formats = new Map<string, Intl.DateTimeFormat>();

/** Minutes that a zone is ahead of UTC at a time. */
export function zoneOffset(at: number, zone: Zone): number {
  if (!zone || zone === 'browser') return -new Date(at).getTimezoneOffset();
  if (/^utc$/i.test(zone)) return 0;
  let f = formats.get(zone);
  if (!f) {
    try {
      f = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' });
    } catch {
      return -new Date(at).getTimezoneOffset(); // a zone this machine does not know
    }
    formats.set(zone, f);
  }
  const part: Record<string, number> = {};
  for (const p of f.formatToParts(at)) part[p.type] = Number(p.value);
  const wall = Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second);
  return Math.round((wall - Math.floor(at / 1000) * 1000) / 60000);
}

export function clockOf(at: number, zone: Zone): Clock {
  const offset = zoneOffset(at, zone), d = new Date(at + offset * 60000);
  return { year: d.getUTCFullYear(), month: d.getUTCMonth(), day: d.getUTCDate(), hour: d.getUTCHours(), minute: d.getUTCMinutes(), second: d.getUTCSeconds(), ms: d.getUTCMilliseconds(), weekday: d.getUTCDay(), offset };
}

/** The time at which a wall clock of the zone shows these figures. */
export function fromClock(zone: Zone, year: number, month: number, day = 1, hour = 0, minute = 0, second = 0, ms = 0): number {
  const wall = Date.UTC(year, month, day, hour, minute, second, ms);
  const guess = wall - zoneOffset(wall, zone) * 60000;
  return wall - zoneOffset(guess, zone) * 60000;
}

const monthNames = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];
const dayNames = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const pad = (n: number, width = 2): string => String(n).padStart(width, '0');
const ordinal = (n: number): string => `${n}${n % 100 > 10 && n % 100 < 14 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th')}`;
const longForms: Record<string, string> = { LTS: 'h:mm:ss A', LT: 'h:mm A', LLLL: 'dddd, MMMM D, YYYY h:mm A', LLL: 'MMMM D, YYYY h:mm A', LL: 'MMMM D, YYYY', L: 'MM/DD/YYYY', llll: 'ddd, MMM D, YYYY h:mm A', lll: 'MMM D, YYYY h:mm A', ll: 'MMM D, YYYY', l: 'M/D/YYYY' };

function dayOfYear(c: Clock): number {
  return Math.round((Date.UTC(c.year, c.month, c.day) - Date.UTC(c.year, 0, 1)) / 86400000) + 1;
}

/** ISO 8601 week and the year it belongs to. */
function isoWeek(c: Clock): [number, number] {
  const thursday = Date.UTC(c.year, c.month, c.day + 4 - (c.weekday || 7)), year = new Date(thursday).getUTCFullYear();
  return [Math.floor((thursday - Date.UTC(year, 0, 1)) / 604800000) + 1, year];
}

function shift(c: Clock, colon: string): string {
  const size = Math.abs(c.offset);
  return `${c.offset < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}${colon}${pad(size % 60)}`;
}

function token(t: string, c: Clock, at: number, zone: Zone): string {
  const h12 = c.hour % 12 || 12;
  switch (t) {
    case 'YYYY': return pad(c.year, 4);
    case 'YY': return pad(c.year % 100);
    case 'Y': return String(c.year);
    case 'Q': return String(Math.floor(c.month / 3) + 1);
    case 'MMMM': return monthNames[c.month];
    case 'MMM': return monthNames[c.month].slice(0, 3);
    case 'MM': return pad(c.month + 1);
    case 'M': return String(c.month + 1);
    case 'Mo': return ordinal(c.month + 1);
    case 'DDDD': return pad(dayOfYear(c), 3);
    case 'DDD': return String(dayOfYear(c));
    case 'DD': return pad(c.day);
    case 'D': return String(c.day);
    case 'Do': return ordinal(c.day);
    case 'dddd': return dayNames[c.weekday];
    case 'ddd': return dayNames[c.weekday].slice(0, 3);
    case 'dd': return dayNames[c.weekday].slice(0, 2);
    case 'd': case 'e': return String(c.weekday);
    case 'E': return String(c.weekday || 7);
    case 'WW': return pad(isoWeek(c)[0]);
    case 'W': return String(isoWeek(c)[0]);
    case 'GGGG': return String(isoWeek(c)[1]);
    case 'HH': return pad(c.hour);
    case 'H': return String(c.hour);
    case 'hh': return pad(h12);
    case 'h': return String(h12);
    case 'kk': return pad(c.hour || 24);
    case 'k': return String(c.hour || 24);
    case 'mm': return pad(c.minute);
    case 'm': return String(c.minute);
    case 'ss': return pad(c.second);
    case 's': return String(c.second);
    case 'SSS': return pad(c.ms, 3);
    case 'SS': return pad(Math.floor(c.ms / 10));
    case 'S': return String(Math.floor(c.ms / 100));
    case 'A': return c.hour < 12 ? 'AM' : 'PM';
    case 'a': return c.hour < 12 ? 'am' : 'pm';
    case 'X': return String(Math.floor(at / 1000));
    case 'x': return String(at);
    case 'Z': return shift(c, ':');
    case 'ZZ': return shift(c, '');
    case 'z': case 'zz': return /^utc$/i.test(zone ?? '') ? 'UTC' : '';
  }
  return t;
}

const tokens = /\[[^\]]*\]|\\.|LTS|LT|LLLL|LLL|LL|L|llll|lll|ll|l|YYYY|YY|Y|Q|MMMM|MMM|MM|Mo|M|DDDD|DDD|DD|Do|D|dddd|ddd|dd|d|e|E|WW|W|GGGG|HH|H|hh|h|kk|k|mm|m|ss|s|SSS|SS|S|A|a|X|x|ZZ|Z|zz|z/g;

export function formatMoment(at: number, pattern: string, zone?: Zone): string {
  if (at === null || !Number.isFinite(at)) return 'Invalid date';
  const whole = Math.trunc(at);
  if (Math.abs(whole) > 8.64e15) return 'Invalid date';
  const c = clockOf(whole, zone);
  const open = pattern.replace(/\[[^\]]*\]|LTS|LT|LLLL|LLL|LL|L|llll|lll|ll|l/g, (t) => longForms[t] ?? t);
  return open.replace(tokens, (t) => (t[0] === '[' ? t.slice(1, -1) : t[0] === '\\' ? t[1] : token(t, c, whole, zone)));
}


/** "3 hours ago", "in a day", in the words and roundings people know. */
export function fromNow(at: number, now: number): string {
  if (!Number.isFinite(at)) return 'Invalid date';
  const ms = Math.abs(at - now), seconds = Math.round(ms / 1000);
  const mins = Math.round(ms / 60000), hours = Math.round(ms / 3600000), days = Math.round(ms / 86400000);
  const months = Math.round(days / 30.436875), years = Math.round(days / 365.2425);
  const text = seconds <= 44 ? 'a few seconds' : mins <= 1 ? 'a minute' : mins < 45 ? `${mins} minutes` : hours <= 1 ? 'an hour' : hours < 22 ? `${hours} hours`
    : days <= 1 ? 'a day' : days < 26 ? `${days} days` : months <= 1 ? 'a month' : months < 11 ? `${months} months` : years <= 1 ? 'a year' : `${years} years`;
  return at > now ? `in ${text}` : `${text} ago`;
}
