import { workerSuite } from './testing/worker-suite.js';

workerSuite({ queue: 'postgres', objects: 'fs' });
