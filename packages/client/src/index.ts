export { RowsmithApiError } from './api-error.js';
export { createRowsmithClient, type ListOf, type PageOptions, type RowsmithClient, type RowsmithClientOptions } from './client.js';
export type { components, paths } from './generated/api.js';
export type { StreamEventsOptions } from './stream-events.js';
export type { UploadOptions } from './upload.js';
