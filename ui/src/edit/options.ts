// What each kind of panel can be told, as data: where a setting is kept, what it may be, and what it is when the file says nothing.
import type { Panel } from '../dash/schema';

export interface Option { path: string; label: string; kind: 'text' | 'area' | 'number' | 'check' | 'select' | 'color' | 'unit' | 'reducer' | 'reducers' | 'many'; of?: readonly (readonly [unknown, string])[]; or?: unknown; group: string; hint?: string; when?: (p: Panel) => boolean }

/** Kinds of panels that are drawn, in the order people look for them. */
export const kinds: readonly (readonly [string, string, string])[] = [
  ['timeseries', 'Time series', 'Lines, areas, bars and points over time'], ['stat', 'Stat', 'Big values, with a line behind them'], ['gauge', 'Gauge', 'A value on an arc'], ['bargauge', 'Bar gauge', 'A bar for each value'],
  ['table', 'Table', 'Rows and columns, with colours and bars'], ['piechart', 'Pie chart', 'Parts of a whole'], ['barchart', 'Bar chart', 'Values of categories'], ['heatmap', 'Heat map', 'Distributions over time'], ['histogram', 'Histogram', 'How often values occur'],
  ['state-timeline', 'State timeline', 'States and how long they last'], ['status-history', 'Status history', 'States at regular times'], ['text', 'Text', 'Markdown, HTML or plain text'],
];

const legend = (when?: Option['when']): Option[] => {
  const group = 'Legend', shown = (p: Panel): boolean => p.options.legend?.showLegend !== false && (when?.(p) ?? true);
  return [
    { group, path: 'legend.showLegend', label: 'Shown', kind: 'check', or: true }, { group, path: 'legend.displayMode', label: 'As', kind: 'select', of: [['list', 'List'], ['table', 'Table']], or: 'list', when: shown },
    { group, path: 'legend.placement', label: 'Place', kind: 'select', of: [['bottom', 'Below'], ['right', 'Right']], or: 'bottom', when: shown }, { group, path: 'legend.calcs', label: 'Figures', kind: 'reducers', or: [], when: shown },
  ];
};
const tooltip: Option[] = [
  { group: 'Tooltip', path: 'tooltip.mode', label: 'Shows', kind: 'select', of: [['single', 'One series'], ['multi', 'All series'], ['none', 'Nothing']], or: 'single' },
  { group: 'Tooltip', path: 'tooltip.sort', label: 'Order', kind: 'select', of: [['none', 'As in the legend'], ['desc', 'Greatest first'], ['asc', 'Least first']], or: 'none', when: (p) => p.options.tooltip?.mode === 'multi' },
];
const values: Option[] = [
  { group: 'Value', path: 'reduceOptions.values', label: 'Of each series', kind: 'select', of: [[false, 'One figure'], [true, 'All values']], or: false }, { group: 'Value', path: 'reduceOptions.calcs', label: 'Figure', kind: 'reducer', or: ['lastNotNull'], when: (p) => !p.options.reduceOptions?.values },
  { group: 'Value', path: 'reduceOptions.limit', label: 'At most', kind: 'number', or: 25, when: (p) => !!p.options.reduceOptions?.values }, { group: 'Value', path: 'reduceOptions.fields', label: 'Fields', kind: 'text', or: '', hint: 'Empty: the numbers. A name, or a /pattern/.' },
];
const orientation: Option = { group: 'Look', path: 'orientation', label: 'Orientation', kind: 'select', of: [['auto', 'Automatic'], ['horizontal', 'Horizontal'], ['vertical', 'Vertical']], or: 'auto' };
const sizes: Option[] = [{ group: 'Look', path: 'text.titleSize', label: 'Size of names', kind: 'number' }, { group: 'Look', path: 'text.valueSize', label: 'Size of values', kind: 'number' }];
const stacking = [['none', 'Not'], ['normal', 'On top of each other'], ['percent', 'To 100 %']] as const;

const own: Record<string, Option[]> = {
  timeseries: [...tooltip, ...legend()],
  stat: [...values, orientation, { group: 'Look', path: 'textMode', label: 'Text', kind: 'select', of: [['auto', 'Automatic'], ['value', 'Value'], ['value_and_name', 'Value and name'], ['name', 'Name'], ['none', 'None']], or: 'auto' }, { group: 'Look', path: 'colorMode', label: 'Colour of', kind: 'select', of: [['value', 'The value'], ['background', 'The background'], ['background_solid', 'The background, even'], ['none', 'Nothing']], or: 'value' }, { group: 'Look', path: 'graphMode', label: 'Line behind it', kind: 'select', of: [['area', 'Yes'], ['none', 'No']], or: 'area' }, { group: 'Look', path: 'justifyMode', label: 'Text stands', kind: 'select', of: [['auto', 'Automatically'], ['center', 'In the middle']], or: 'auto' }, ...sizes],
  gauge: [...values, orientation, { group: 'Look', path: 'showThresholdMarkers', label: 'Threshold marks', kind: 'check', or: true }, { group: 'Look', path: 'showThresholdLabels', label: 'Threshold values', kind: 'check', or: false }, ...sizes],
  bargauge: [...values, orientation, { group: 'Look', path: 'displayMode', label: 'Bars', kind: 'select', of: [['gradient', 'Shaded'], ['lcd', 'Segments'], ['basic', 'Plain']], or: 'gradient' }, { group: 'Look', path: 'valueMode', label: 'Values', kind: 'select', of: [['color', 'Coloured'], ['text', 'Plain'], ['hidden', 'Hidden']], or: 'color' }, { group: 'Look', path: 'namePlacement', label: 'Names', kind: 'select', of: [['auto', 'Automatic'], ['top', 'Above'], ['left', 'Left'], ['hidden', 'Hidden']], or: 'auto' }, { group: 'Look', path: 'showUnfilled', label: 'Show the empty part', kind: 'check', or: true }],
  table: [{ group: 'Table', path: 'showHeader', label: 'Header', kind: 'check', or: true }, { group: 'Table', path: 'footer.show', label: 'Footer', kind: 'check', or: false }, { group: 'Table', path: 'footer.reducer', label: 'Figure of the footer', kind: 'reducer', or: ['sum'], when: (p) => !!p.options.footer?.show }],
  piechart: [...values, { group: 'Look', path: 'pieType', label: 'Shape', kind: 'select', of: [['pie', 'Pie'], ['donut', 'Ring']], or: 'pie' }, { group: 'Look', path: 'sort', label: 'Order', kind: 'select', of: [['desc', 'Greatest first'], ['asc', 'Least first'], ['none', 'As given']], or: 'desc' }, { group: 'Look', path: 'displayLabels', label: 'On the slices', kind: 'many', of: [['name', 'Name'], ['value', 'Value'], ['percent', 'Percent']], or: [] }, ...legend().slice(0, 3), { group: 'Legend', path: 'legend.values', label: 'Figures', kind: 'many', of: [['value', 'Value'], ['percent', 'Percent']], or: [] }],
  barchart: [{ group: 'Look', path: 'xField', label: 'Field of the categories', kind: 'text', or: undefined, hint: 'Empty: the first text or time' }, { ...orientation, or: 'auto' }, { group: 'Look', path: 'stacking', label: 'Stacked', kind: 'select', of: stacking, or: 'none' }, { group: 'Look', path: 'showValue', label: 'Values on bars', kind: 'select', of: [['auto', 'Where they fit'], ['always', 'Always'], ['never', 'Never']], or: 'auto' }, { group: 'Look', path: 'groupWidth', label: 'Width of a group (0–1)', kind: 'number', or: 0.7 }, { group: 'Look', path: 'barWidth', label: 'Width of a bar (0–1)', kind: 'number', or: 0.97 }, ...legend()],
  histogram: [{ group: 'Look', path: 'bucketSize', label: 'Width of a bucket', kind: 'number' }, { group: 'Look', path: 'combine', label: 'All series together', kind: 'check', or: false }, ...legend()],
  heatmap: [{ group: 'Look', path: 'calculate', label: 'Count the values here', kind: 'check', or: false }, { group: 'Look', path: 'color.mode', label: 'Colours', kind: 'select', of: [['scheme', 'Scheme'], ['opacity', 'One colour']], or: 'scheme' }, { group: 'Look', path: 'color.scheme', label: 'Scheme', kind: 'select', of: 'Oranges Spectral Greens Blues Reds Greys Purples RdYlGn YlOrRd Turbo Viridis Magma Inferno Plasma RdYlBu Cool'.split(' ').map((s) => [s, s] as const), or: 'Oranges', when: (p) => p.options.color?.mode !== 'opacity' }, { group: 'Look', path: 'color.fill', label: 'Colour', kind: 'color', or: 'dark-orange', when: (p) => p.options.color?.mode === 'opacity' }, { group: 'Look', path: 'color.reverse', label: 'Turned round', kind: 'check', or: false }, { group: 'Look', path: 'cellGap', label: 'Gap between cells', kind: 'number', or: 1 }, { group: 'Look', path: 'filterValues.le', label: 'Hide cells up to', kind: 'number', or: 1e-9 }, { group: 'Axis', path: 'yAxis.unit', label: 'Unit', kind: 'unit' }, { group: 'Axis', path: 'yAxis.decimals', label: 'Decimals', kind: 'number' }, { group: 'Axis', path: 'yAxis.reverse', label: 'From the top down', kind: 'check', or: false }],
  'state-timeline': [{ group: 'Look', path: 'mergeValues', label: 'Join equal states', kind: 'check', or: true }, { group: 'Look', path: 'showValue', label: 'Texts', kind: 'select', of: [['auto', 'Where they fit'], ['always', 'Always'], ['never', 'Never']], or: 'auto' }, { group: 'Look', path: 'alignValue', label: 'Texts stand', kind: 'select', of: [['left', 'Left'], ['center', 'In the middle'], ['right', 'Right']], or: 'left' }, { group: 'Look', path: 'rowHeight', label: 'Height of a row (0–1)', kind: 'number', or: 0.9 }, ...legend().slice(0, 3)],
  'status-history': [{ group: 'Look', path: 'showValue', label: 'Texts', kind: 'select', of: [['auto', 'Where they fit'], ['always', 'Always'], ['never', 'Never']], or: 'auto' }, { group: 'Look', path: 'rowHeight', label: 'Height of a row (0–1)', kind: 'number', or: 0.9 }, { group: 'Look', path: 'colWidth', label: 'Width of a cell (0–1)', kind: 'number', or: 0.9 }, ...legend().slice(0, 3)],
  text: [{ group: 'Text', path: 'mode', label: 'Read as', kind: 'select', of: [['markdown', 'Markdown'], ['html', 'HTML'], ['code', 'Plain text']], or: 'markdown' }, { group: 'Text', path: 'content', label: 'Text', kind: 'area', or: '' }],
};

const isLine = (p: Panel): boolean => (p.fieldConfig.defaults.custom?.drawStyle ?? 'line') === 'line', c = (p: Panel): Record<string, any> => p.fieldConfig.defaults.custom ?? {};
/** Settings of fields that one kind alone knows; overrides may set them too. */
const custom: Record<string, Option[]> = {
  timeseries: [
    { group: 'Graph', path: 'custom.drawStyle', label: 'Style', kind: 'select', of: [['line', 'Lines'], ['bars', 'Bars'], ['points', 'Points']], or: 'line' },
    { group: 'Graph', path: 'custom.lineInterpolation', label: 'From point to point', kind: 'select', of: [['linear', 'Straight'], ['smooth', 'Smooth'], ['stepBefore', 'Step before'], ['stepAfter', 'Step after']], or: 'linear', when: isLine },
    { group: 'Graph', path: 'custom.lineWidth', label: 'Line width', kind: 'number', or: 1 }, { group: 'Graph', path: 'custom.fillOpacity', label: 'Fill (0–100)', kind: 'number', or: 0 },
    { group: 'Graph', path: 'custom.gradientMode', label: 'Shading', kind: 'select', of: [['none', 'None'], ['opacity', 'Fading'], ['hue', 'By hue'], ['scheme', 'By value']], or: 'none' },
    { group: 'Graph', path: 'custom.lineStyle.fill', label: 'Line', kind: 'select', of: [['solid', 'Solid'], ['dash', 'Dashes'], ['dot', 'Dots']], or: 'solid', when: isLine },
    { group: 'Graph', path: 'custom.spanNulls', label: 'Over gaps', kind: 'select', of: [[false, 'Break'], [true, 'Connect'], [3_600_000, 'Connect up to 1 h']], or: false, when: isLine },
    { group: 'Graph', path: 'custom.showPoints', label: 'Points', kind: 'select', of: [['auto', 'Where they fit'], ['always', 'Always'], ['never', 'Never']], or: 'auto' }, { group: 'Graph', path: 'custom.pointSize', label: 'Size of points', kind: 'number', or: 5 },
    { group: 'Graph', path: 'custom.stacking.mode', label: 'Stacked', kind: 'select', of: stacking, or: 'none' }, { group: 'Graph', path: 'custom.stacking.group', label: 'Stack', kind: 'text', or: 'A', when: (p) => !!c(p).stacking?.mode && c(p).stacking.mode !== 'none' },
    { group: 'Graph', path: 'custom.barAlignment', label: 'Bars stand', kind: 'select', of: [[-1, 'Before'], [0, 'At'], [1, 'After']], or: 0, when: (p) => c(p).drawStyle === 'bars' }, { group: 'Graph', path: 'custom.barWidthFactor', label: 'Width of bars (0–1)', kind: 'number', or: 0.6, when: (p) => c(p).drawStyle === 'bars' },
    { group: 'Graph', path: 'custom.transform', label: 'Drawn', kind: 'select', of: [[undefined, 'As it is'], ['negative-Y', 'Below zero'], ['constant', 'As one level']] }, { group: 'Graph', path: 'custom.fillBelowTo', label: 'Fill down to the series', kind: 'text' },
    { group: 'Axis', path: 'custom.axisPlacement', label: 'Place', kind: 'select', of: [['auto', 'Automatic'], ['left', 'Left'], ['right', 'Right'], ['hidden', 'Hidden']], or: 'auto' }, { group: 'Axis', path: 'custom.axisLabel', label: 'Label', kind: 'text', or: '' },
    { group: 'Axis', path: 'custom.axisWidth', label: 'Width', kind: 'number' }, { group: 'Axis', path: 'custom.axisSoftMin', label: 'At least down to', kind: 'number' }, { group: 'Axis', path: 'custom.axisSoftMax', label: 'At least up to', kind: 'number' }, { group: 'Axis', path: 'custom.axisCenteredZero', label: 'Zero in the middle', kind: 'check', or: false },
    { group: 'Axis', path: 'custom.axisGridShow', label: 'Grid lines', kind: 'select', of: [[undefined, 'Automatic'], [true, 'Yes'], [false, 'No']] }, { group: 'Axis', path: 'custom.axisColorMode', label: 'Colour', kind: 'select', of: [['text', 'Text'], ['series', 'Series']], or: 'text' },
    { group: 'Axis', path: 'custom.scaleDistribution', label: 'Scale', kind: 'select', of: [[{ type: 'linear' }, 'Linear'], [{ type: 'log', log: 10 }, 'Logarithm of 10'], [{ type: 'log', log: 2 }, 'Logarithm of 2'], [{ type: 'symlog', log: 10, linearThreshold: 1 }, 'Logarithm, both signs']], or: { type: 'linear' } },
    { group: 'Thresholds', path: 'custom.thresholdsStyle.mode', label: 'Shown as', kind: 'select', of: [['off', 'Not shown'], ['line', 'Lines'], ['dashed', 'Dashed lines'], ['area', 'Areas'], ['line+area', 'Lines and areas'], ['dashed+area', 'Dashed lines and areas']], or: 'off' },
    { group: 'Series', path: 'custom.hideFrom', label: 'Hidden from', kind: 'select', of: [[undefined, 'Nothing'], [{ legend: true, tooltip: false, viz: false }, 'The legend'], [{ legend: false, tooltip: true, viz: false }, 'The tooltip'], [{ legend: true, tooltip: true, viz: true }, 'Everything']] },
  ],
  table: [
    { group: 'Cells', path: 'custom.width', label: 'Column width', kind: 'number' }, { group: 'Cells', path: 'custom.minWidth', label: 'Least width', kind: 'number' }, { group: 'Cells', path: 'custom.align', label: 'Text stands', kind: 'select', of: [['auto', 'Automatically'], ['left', 'Left'], ['center', 'In the middle'], ['right', 'Right']], or: 'auto' },
    { group: 'Cells', path: 'custom.cellOptions', label: 'Cells', kind: 'select', of: [[{ type: 'auto' }, 'Automatic'], [{ type: 'color-text' }, 'Coloured text'], [{ type: 'color-background', mode: 'basic' }, 'Coloured background'], [{ type: 'color-background', mode: 'basic', applyToRow: true }, 'Colour of the whole row'], [{ type: 'gauge', mode: 'basic' }, 'Bar'], [{ type: 'gauge', mode: 'gradient' }, 'Shaded bar'], [{ type: 'sparkline' }, 'Line']], or: { type: 'auto' } }, { group: 'Cells', path: 'custom.hidden', label: 'Hidden', kind: 'check', or: false },
  ],
  barchart: [{ group: 'Graph', path: 'custom.fillOpacity', label: 'Fill (0–100)', kind: 'number', or: 80 }, { group: 'Graph', path: 'custom.lineWidth', label: 'Line width', kind: 'number', or: 1 }],
  histogram: [{ group: 'Graph', path: 'custom.fillOpacity', label: 'Fill (0–100)', kind: 'number', or: 80 }],
  'state-timeline': [{ group: 'Graph', path: 'custom.fillOpacity', label: 'Fill (0–100)', kind: 'number', or: 70 }],
  'status-history': [{ group: 'Graph', path: 'custom.fillOpacity', label: 'Fill (0–100)', kind: 'number', or: 70 }],
};
own.trend = own.timeseries;
custom.trend = custom.timeseries;

export const optionsOf = (type: string): Option[] => own[type] ?? [];
export const customOf = (type: string): Option[] => custom[type] ?? [];

/** Settings of every field; thresholds, mappings and links have editors of their own. */
export const standard: Option[] = [
  { group: 'Values', path: 'unit', label: 'Unit', kind: 'unit' }, { group: 'Values', path: 'decimals', label: 'Decimals', kind: 'number' }, { group: 'Values', path: 'min', label: 'Min', kind: 'number' }, { group: 'Values', path: 'max', label: 'Max', kind: 'number' },
  { group: 'Values', path: 'displayName', label: 'Name', kind: 'text' }, { group: 'Values', path: 'noValue', label: 'When there is none', kind: 'text' },
];
export const colorModes: readonly (readonly [string, string])[] = [
  ['fixed', 'One colour'], ['shades', 'Shades of one colour'], ['thresholds', 'By thresholds'], ['palette-classic', 'Palette'], ['palette-classic-by-name', 'Palette, by name'], ['continuous-GrYlRd', 'Green, yellow, red'], ['continuous-RdYlGr', 'Red, yellow, green'], ['continuous-BlYlRd', 'Blue, yellow, red'],
  ['continuous-YlRd', 'Yellow, red'], ['continuous-BlPu', 'Blue, purple'], ['continuous-YlBl', 'Yellow, blue'], ['continuous-blues', 'Blues'], ['continuous-reds', 'Reds'], ['continuous-greens', 'Greens'], ['continuous-purples', 'Purples'], ['continuous-viridis', 'Viridis'], ['continuous-magma', 'Magma'], ['continuous-plasma', 'Plasma'], ['continuous-inferno', 'Inferno'], ['continuous-cividis', 'Cividis'],
];
