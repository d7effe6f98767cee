// The editor of dashboards, a chunk of its own: it is loaded when somebody edits.
import './edit.css';

export { EditBar } from './bar';
export { fold, panelActions, PanelTools, RowTools } from './handles';
export { PanelEditor } from './panel';
export { Session } from './session';
export { Settings } from './settings';
