export { FsObjectStore } from './fs-object-store.js';
export { InvalidKeyError } from './object-key.js';
