export { createApiKeyStore } from './api-key-store.js';
export { createAttemptStore } from './attempt-store.js';
export { type Database, openDatabase } from './database.js';
export { createDispatchStore, type LeadingDispatchStore } from './dispatch-store.js';
export { type ListeningNotifier, startEventNotifier } from './event-notifier.js';
export { createFileStore } from './file-store.js';
export { createJobStore } from './job-store.js';
export { MigrationError, migrateDatabase } from './migrate.js';
export { createUploadStore } from './upload-store.js';
