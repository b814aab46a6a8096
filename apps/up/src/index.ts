export { DataFolderBusyError, type LockOwner, lockOwner } from './data-lock.js';
