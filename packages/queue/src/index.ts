export { migrateQueue, type QueueBackend, QueueUnavailableError, type WorkerTiming } from './backend.js';
export { ClockSkewError } from './clock.js';
export { createWakeConsumer, productionTiming, type WakeConsumerOptions } from './wake-consumer.js';
export { createWakeQueue, type QueueOptions, type WakeQueueOptions } from './wake-queue.js';
