// Everything of the editor that needs no browser, for tests.
export * from './arrange';
export * from './diff';
export * from './document';
export * from './json';
export { Session } from './session';
export { View } from '../dash/view';
