#!/usr/bin/env node
import { existsSync } from 'node:fs';

if (!existsSync(new URL('../dist/main.js', import.meta.url))) {
  process.stderr.write('rowsmith is not built yet. Run `npm run setup` in the project folder first.\n');
  process.exit(1);
}
await import('../dist/main.js');
