/** `npm run openapi -w apps/api`: writes openapi.json, whose diff shows every change of the interface. */
import { writeFile } from 'node:fs/promises';
import { describe } from './openapi-document.js';

await writeFile(new URL('../openapi.json', import.meta.url), `${JSON.stringify(await describe(), null, 2)}\n`);
