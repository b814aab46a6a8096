export { migrateQueue, type QueueBackend, QueueUnavailableError, type WorkerTiming } from './backend.js';
export { createWakeConsumer, createWakeQueue, productionTiming, type QueueOptions } from './wake-queue.js';
