// Colours by the names dashboards use, schemes that follow a value, and palettes for series.

export type Theme = 'light' | 'dark';

const shadeNames = ['super-light-', 'light-', '', 'semi-dark-', 'dark-'];
const hues: Record<Theme, Record<string, string>> = {
  dark: {
    red: 'FFA6B0 FF7383 F2495C E02F44 C4162A', orange: 'FFCB7D FFB357 FF9830 FF780A FA6400', yellow: 'FFF899 FFEE52 FADE2A F2CC0C E0B400',
    green: 'C8F2C2 96D98D 73BF69 56A64B 37872D', blue: 'C0D8FF 8AB8FF 5794F2 3274D9 1F60C4', purple: 'DEB6F2 CA95E5 B877D9 A352CC 8F3BB8',
  },
  light: {
    red: 'FF7383 F2495C E02F44 C4162A AD0317', orange: 'FFB357 FF9830 FF780A FA6400 E55400', yellow: 'FFEE52 FADE2A F2CC0C E0B400 CC9D00',
    green: '96D98D 73BF69 56A64B 37872D 19730E', blue: '8AB8FF 5794F2 3274D9 1F60C4 1250B0', purple: 'CA95E5 B877D9 A352CC 8F3BB8 7C2EA3',
  },
};
const named: Record<Theme, Map<string, string>> = { dark: new Map(), light: new Map() };
for (const theme of ['dark', 'light'] as const) {
  for (const [hue, list] of Object.entries(hues[theme])) list.split(' ').forEach((hex, i) => named[theme].set(shadeNames[i] + hue, `#${hex}`));
}
named.dark.set('transparent', 'rgba(0,0,0,0)').set('panel-bg', '#181f28').set('text', '#e4e9ef');
named.light.set('transparent', 'rgba(255, 255, 255, 0)').set('panel-bg', '#ffffff').set('text', '#18222d');

// CSS names that charts blend; every other word is left to the browser.
const css: Record<string, string> = {
  white: '#ffffff', black: '#000000', gray: '#808080', grey: '#808080', silver: '#c0c0c0', maroon: '#800000', navy: '#000080', teal: '#008080', olive: '#808000', lime: '#00ff00', aqua: '#00ffff',
  cyan: '#00ffff', fuchsia: '#ff00ff', magenta: '#ff00ff', pink: '#ffc0cb', brown: '#a52a2a', gold: '#ffd700', indigo: '#4b0082', violet: '#ee82ee', coral: '#ff7f50', salmon: '#fa8072', crimson: '#dc143c',
  darkgreen: '#006400', darkred: '#8b0000', darkblue: '#00008b', darkorange: '#ff8c00', lightblue: '#add8e6', lightgreen: '#90ee90', skyblue: '#87ceeb', steelblue: '#4682b4', tomato: '#ff6347', turquoise: '#40e0d0',
};
export const fallbackColor = '#808080';

export function colorByName(name: string | undefined, theme: Theme): string {
  if (!name) return fallbackColor;
  return named[theme].get(name) ?? css[name.toLowerCase()] ?? name;
}

/** The order in which series take their colours. */
export const classic: string[] = ['green', 'semi-dark-yellow', 'blue', 'orange', 'red', 'purple', 'dark-green', 'dark-yellow', 'dark-blue', 'dark-orange', 'dark-red', 'dark-purple', 'super-light-green',
  'super-light-yellow', 'super-light-blue', 'super-light-orange', 'super-light-red', 'super-light-purple',
  ...('447EBC C15C17 890F02 0A437C 6D1F62 584477 B7DBAB F4D598 70DBED F9BA8F F29191 82B5D8 E5A8E2 AEA2E0 629E51 E5AC0E 64B0C8 E0752D BF1B00 0A50A1 962D82 614D93 9AC48A F2C96D 65C5DB F9934E EA6460 5195CE '
    + 'D683CE 806EB7 3F6833 967302 2F575E 99440A 58140C 052B51 511749 3F2B5B E0F9D7 FCEACA CFFAFF F9E2D2 FCE2DE BADFF4 F9D9F9 DEDAF7').split(' ').map((h) => `#${h}`)];
const colorBlind = '0072B2 E69F00 009E73 CC79A7 56B4E9 D55E00 F0E442 000000 FFFFFF'.split(' ').map((h) => `#${h}`);

export function rgb(color: string): [number, number, number] | null {
  const hex = /^#([0-9a-f]{3,8})$/i.exec(color)?.[1];
  if (hex) {
    const full = hex.length < 6 ? [...hex].map((c) => c + c).join('') : hex;
    return [0, 2, 4].map((i) => parseInt(full.slice(i, i + 2), 16)) as [number, number, number];
  }
  const parts = /^rgba?\(([^)]+)\)$/.exec(color)?.[1].split(/[\s,/]+/).map(Number);
  return parts && parts.length >= 3 && parts.slice(0, 3).every(Number.isFinite) ? [parts[0], parts[1], parts[2]] : null;
}

const linear = (c: number): number => ((c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
export function luminance(color: string): number {
  const c = rgb(color) ?? [128, 128, 128];
  return 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
}
export function contrast(a: string, b: string): number {
  const x = luminance(a), y = luminance(b);
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}
/** Black or white, whichever reads better on the colour. */
export const textOn = (color: string): string => (contrast(color, '#0b1016') >= contrast(color, '#ffffff') ? '#0b1016' : '#ffffff');

export function alpha(color: string, a: number): string {
  const c = rgb(color);
  return c ? `rgba(${c[0]}, ${c[1]}, ${c[2]}, ${a})` : color;
}

/** A text colour of this hue that reads on the theme's panel: darker or lighter until the contrast is 4.5. */
export function readable(color: string, theme: Theme): string {
  const c = rgb(color);
  if (!c) return color;
  const panel = colorByName('panel-bg', theme), towards = theme === 'light' ? 0 : 255;
  for (let share = 0; share <= 0.8; share += 0.08) {
    const mixed = `rgb(${c.map((x) => Math.round(x + (towards - x) * share)).join(', ')})`;
    if (contrast(mixed, panel) >= 4.5) return mixed;
  }
  return colorByName('text', theme);
}

/** A smooth curve (a uniform B-spline per channel) through a list of colours, at 0..1. */
function spline(colors: string[]): (t: number) => string {
  const points = colors.map((c) => rgb(c) ?? [128, 128, 128]), n = points.length - 1;
  const channel = (t: number, k: number): number => {
    const x = Math.min(Math.max(t, 0), 1), i = x >= 1 ? n - 1 : Math.floor(x * n), u = x >= 1 ? 1 : x * n - i;
    const v1 = points[i][k], v2 = points[i + 1][k];
    const v0 = i > 0 ? points[i - 1][k] : 2 * v1 - v2, v3 = i < n - 1 ? points[i + 2][k] : 2 * v2 - v1;
    const u2 = u * u, u3 = u2 * u;
    return ((1 - 3 * u + 3 * u2 - u3) * v0 + (4 - 6 * u2 + 3 * u3) * v1 + (1 + 3 * u + 3 * u2 - 3 * u3) * v2 + u3 * v3) / 6;
  };
  const byte = (x: number): number => Math.max(0, Math.min(255, Math.round(x)));
  return (t) => `rgb(${byte(channel(t, 0))}, ${byte(channel(t, 1))}, ${byte(channel(t, 2))})`;
}

const schemes: Record<string, string[]> = {
  'continuous-GrYlRd': ['green', 'yellow', 'red'], 'continuous-RdYlGr': ['red', 'yellow', 'green'], 'continuous-BlYlRd': ['dark-blue', 'super-light-yellow', 'dark-red'],
  'continuous-YlRd': ['super-light-yellow', 'dark-red'], 'continuous-BlPu': ['blue', 'purple'], 'continuous-YlBl': ['super-light-yellow', 'dark-blue'], 'continuous-blues': ['panel-bg', 'dark-blue'],
  'continuous-reds': ['panel-bg', 'dark-red'], 'continuous-greens': ['panel-bg', 'dark-green'], 'continuous-purples': ['panel-bg', 'dark-purple'],
  'continuous-viridis': ['#440154', '#482777', '#3f4a8a', '#31678e', '#26838f', '#1f9d8a', '#6cce5a', '#b6de2b', '#fee825'], 'continuous-magma': ['#000004', '#1c1044', '#4f127b', '#812581', '#b5367a', '#e55964', '#fb8761', '#fec287', '#fbfdbf'],
  'continuous-plasma': ['#0d0887', '#4903a0', '#7e03a8', '#a82296', '#cb4679', '#e56b5d', '#f89441', '#fdc328', '#f0f921'], 'continuous-inferno': ['#000004', '#1f0c48', '#550f6d', '#88226a', '#ba3655', '#e35933', '#f98c0a', '#f9c932', '#fcffa4'],
  'continuous-cividis': ['#002051', '#0a326a', '#2b446e', '#4d566d', '#696970', '#7f7c75', '#948f78', '#ada476', '#fdea45'],
};
const drawn = new Map<string, (t: number) => string>();

/** The colour of a continuous scheme at 0..1; undefined when the mode is none. */
export function continuous(mode: string, theme: Theme): ((t: number) => string) | undefined {
  const list = schemes[mode];
  if (!list) return undefined;
  const key = `${mode}/${theme}`;
  let f = drawn.get(key);
  if (!f) drawn.set(key, (f = spline(list.map((c) => colorByName(c, theme)))));
  return f;
}
export const schemeEnds = (mode: string, theme: Theme): [string, string] | undefined => {
  const list = schemes[mode];
  return list && [colorByName(list[0], theme), colorByName(list[list.length - 1], theme)];
};

function hash(text: string): number {
  let h = 5381;
  for (let i = text.length; i--;) h = (h * 33) ^ text.charCodeAt(i);
  return h >>> 0;
}

const legible = new Map<string, string[]>();
function onPanel(key: string, list: string[], theme: Theme): string[] {
  let out = legible.get(key + theme);
  if (!out) legible.set(key + theme, (out = list.map((c) => colorByName(c, theme)).filter((c) => contrast(c, colorByName('panel-bg', theme)) >= 3)));
  return out;
}

export function paletteColor(mode: string, index: number, name: string, theme: Theme): string {
  if (mode === 'palette-classic-by-name') {
    const list = onPanel('classic', classic, theme);
    return list[Math.abs(hash(name) | 0) % list.length];
  }
  const list = mode === 'palette-colorblind' ? onPanel('blind', colorBlind, theme) : classic;
  return colorByName(list[index % list.length], theme);
}

/** Lighter and darker neighbours of one colour, for series that share it. */
export function shade(base: string, index: number): string {
  const c = rgb(base);
  if (!c || index % 11 === 0) return base;
  const i = index % 11, k = Math.ceil(i / 2) / 6, up = i % 2 === 1;
  return `rgb(${c.map((x) => Math.round(up ? x + (255 - x) * k * 0.7 : x * (1 - k * 0.7))).join(', ')})`;
}
