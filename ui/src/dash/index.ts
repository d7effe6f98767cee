// Everything of the model, for tests.
export * from './colors';
export * from './convert';
export * from './display';
export * from './fieldconfig';
export { displayName, frameName, formatLabels, guessType, nameFields, sortFrame } from './frames';
export * from './matchers';
export * from './migrate';
import './old-panels';
export * from './moment';
export * from './range';
export { reduceAll, reducerIds, reducerId, reducerName, reduce as reduceOne } from './reduce';
export * from './transform';
export * from './units';
export * from './variables';
export * from './vars';
