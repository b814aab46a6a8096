import { finalStatuses, type ReferenceStore } from '@rowsmith/core';
import type { Database } from './database.js';

/**
 * Needed are: the content of files and of upload parts; whatever the specification of a job names that has not ended; below `jobs/<job>/e<epoch>/` everything of the attempt that
 * may still write (the newest one of a job that has not ended), of the attempt that made the adapter, and the folder of every checkpoint that retention has not deleted.
 * What says which rows a job chose and by which scores is needed as long as the job is there: another one may ask for them. Of a deleted job nothing is needed but what the
 * specification of another names that has not ended.
 */
export function createReferenceStore({ prisma }: Database): ReferenceStore {
  return {
    async unreferenced(keys) {
      if (keys.length === 0) return [];
      const rows = await prisma.$queryRaw<{ key: string }[]>`
        SELECT k.key FROM unnest(${keys}::text[]) AS k(key)
        WHERE NOT EXISTS (SELECT 1 FROM file f WHERE f.key = k.key)
          AND NOT EXISTS (SELECT 1 FROM upload_part u WHERE u.key = k.key)
          AND NOT EXISTS (
            SELECT 1 FROM job j WHERE NOT j.status = ANY (${finalStatuses}::job_status[]) AND position('"' || k.key || '"' IN j.spec::text) > 0)
          AND NOT (starts_with(k.key, 'jobs/') AND EXISTS (
            SELECT 1 FROM job j WHERE j.id = split_part(k.key, '/', 2) AND j.deleted_at IS NULL AND (
              split_part(k.key, '/', 3) = 'e' || j.epoch AND (j.status = 'succeeded' OR NOT j.status = ANY (${finalStatuses}::job_status[]))
              OR split_part(k.key, '/', 3) = split_part(j.adapter_manifest_key, '/', 3)
              OR k.key IN ('jobs/' || j.id || '/scores.json', 'jobs/' || j.id || '/selection.json')
              OR EXISTS (SELECT 1 FROM checkpoint c WHERE c.job_id = j.id AND c.removed_at IS NULL AND starts_with(k.key, regexp_replace(c.manifest_key, '[^/]*$', ''))))))`;
      const found = new Set(rows.map(({ key }) => key));
      return keys.filter((key) => found.has(key));
    },
  };
}
