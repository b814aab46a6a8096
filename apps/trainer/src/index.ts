export { failureOf } from './failure.js';
