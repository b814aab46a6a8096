import { expect, test } from 'vitest';
import { storageSettings } from './storage-settings.js';

test('a folder beside the data unless a bucket is asked for', () => {
  expect(storageSettings({ ROWSMITH_STORAGE: '' }, '/data')).toEqual({ location: { driver: 'fs', root: '/data/objects' }, faults: [] });
  const source = { ROWSMITH_STORAGE: 's3', ROWSMITH_S3_BUCKET: 'models', ROWSMITH_S3_ENDPOINT: 'http://store:7070' };
  expect(storageSettings(source, '/data')).toEqual({
    location: { driver: 's3', bucket: 'models', prefix: '', region: 'us-east-1', endpoint: 'http://store:7070' },
    faults: [],
  });
});

test('all faults at once, without the values', () => {
  const source = {
    ROWSMITH_STORAGE: 's3',
    ROWSMITH_S3_BUCKET: 'No Bucket',
    ROWSMITH_S3_ENDPOINT: 'http://user:s3cret@store',
    ROWSMITH_S3_PREFIX: '../up',
  };
  const { faults } = storageSettings(source, '/data');
  expect(faults).toHaveLength(3);
  expect(faults.join()).not.toContain('s3cret');
  expect(storageSettings({ ROWSMITH_STORAGE: 'ftp' }, '/data').faults).toEqual(['ROWSMITH_STORAGE must be fs or s3']);
});
