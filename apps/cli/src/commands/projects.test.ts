import { Command } from 'commander';
import { expect, test } from 'vitest';
import { type QuotaFlags, quotasOf, withQuotas } from './projects.js';

const quotas = (...args: string[]) => quotasOf(withQuotas(new Command()).exitOverride().parse(args, { from: 'user' }).opts<QuotaFlags>());

test('every quota has an option, and none takes a limit away', () => {
  const all = ['--running-jobs', '1', '--queued-jobs', '2', '--storage-bytes', '3', '--device-seconds', '4', '--requests', '5'];
  expect(quotas(...all)).toEqual({
    running_jobs: 1,
    queued_jobs: 2,
    storage_bytes: 3,
    device_seconds_per_month: 4,
    requests_per_minute: 5,
  });
  expect(quotas('--queued-jobs', 'none', '--running-jobs', '0')).toEqual({ queued_jobs: null, running_jobs: 0 });
  expect(quotas()).toBeUndefined();
});
