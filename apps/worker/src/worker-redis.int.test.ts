import { workerSuite } from './testing/worker-suite.js';

workerSuite({ queue: 'redis', objects: 's3' });
