export { EnvError, loadEnv, type WorkerEnv } from './env.js';
