export { FsObjectStore } from './fs-object-store.js';
export { InvalidKeyError } from './object-key.js';
export { type OpenObjectStore, openObjectStore } from './open-object-store.js';
export { StorageError, type StorageErrorCode } from './storage-error.js';
export { storageSecretNames, storageSettings } from './storage-settings.js';
