// A dashboard as this program works with it: today's shape, whatever age the file has. migrate.ts and v2.ts make it; nothing writes it back,
// because the file itself is kept and exported as it came.
import type { DataLink, FieldConfig } from './frames';
import type { MatcherConfig } from './matchers';
import type { Transformation } from './transform';

/** Which store a query asks: a reference, a name of older files, or a variable. */
export interface DatasourceRef { type?: string; uid?: string; name?: string }
export interface GridPos { x: number; y: number; w: number; h: number }
export interface Target { refId: string; datasource?: DatasourceRef; hide?: boolean; expr?: string; legendFormat?: string; format?: string; instant?: boolean; range?: boolean; interval?: string; intervalFactor?: number; step?: number; exemplar?: boolean; type?: string; expression?: string; [key: string]: any }
export interface OverrideProperty { id: string; value?: any }
export interface Override { matcher: MatcherConfig; properties: OverrideProperty[] }
export interface FieldSource { defaults: FieldConfig; overrides: Override[] }
export interface Panel {
  id: number; type: string; title: string; description?: string; transparent?: boolean; gridPos: GridPos; datasource?: DatasourceRef; targets: Target[]; options: Record<string, any>; fieldConfig: FieldSource;
  transformations: Transformation[]; links: DataLink[]; repeat?: string; repeatDirection?: 'h' | 'v'; maxPerRow?: number; interval?: string; maxDataPoints?: number; timeFrom?: string; timeShift?: string; hideTimeOverride?: boolean;
  collapsed?: boolean; panels?: Panel[]; library?: { uid?: string; name?: string }; missing?: string;
  /** What the file calls the panel, when that is another type. */
  was?: string;
}
export interface Option { text: string; value: string; selected?: boolean }
export interface Variable {
  type: string; name: string; label?: string; description?: string; hide: 0 | 1 | 2; multi: boolean; includeAll: boolean; allValue?: string | null; options: Option[]; current: { text: string[]; value: string[] };
  query: any; datasource?: DatasourceRef; regex?: string; sort: number; refresh: 0 | 1 | 2; auto?: boolean; autoCount?: number; autoMin?: string; skipUrlSync?: boolean; filters?: AdhocFilter[]; defaultKeys?: unknown; problem?: string;
}
export interface AdhocFilter { key: string; operator: string; value: string; values?: string[] }
export interface Annotation { name: string; enable: boolean; hide: boolean; color: string; datasource?: DatasourceRef; builtIn: boolean; expr?: string; step?: string; titleFormat?: string; textFormat?: string; tagKeys?: string; useValueForTime?: boolean; target?: any; filter?: { exclude?: boolean; ids?: number[] } }
export interface DashLink { type: 'link' | 'dashboards'; title: string; url?: string; icon?: string; tags: string[]; asDropdown?: boolean; includeVars?: boolean; keepTime?: boolean; targetBlank?: boolean; tooltip?: string }
export interface Dashboard {
  uid: string; title: string; description?: string; tags: string[]; timezone: string; weekStart?: string; refresh: string; time: { from: string; to: string }; intervals: string[]; hideControls: boolean; crosshair: 0 | 1 | 2;
  panels: Panel[]; variables: Variable[]; annotations: Annotation[]; links: DashLink[]; schemaVersion: number; nowDelay?: string; editable: boolean; inputs: Input[];
  /** What could not be read, in sentences that name the place. */
  problems: string[];
}
export interface Input { name: string; type: string; label?: string; pluginId?: string; value?: string }
