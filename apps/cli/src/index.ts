export { exitCodes } from './exit.js';
