/** The trainer's program: TensorFlow begins to load in a thread, then comes the rest, as one file where there is one of the present build. */
import { fileURLToPath } from 'node:url';
import { preloadTensorFlow } from '@rowsmith/native';
import { freshBundle } from './bundle.js';

// Without a channel the process ends at once.
if (process.send) preloadTensorFlow();
const bundle = freshBundle(fileURLToPath(new URL('bundle', import.meta.url)));
if (bundle === null) await import('./attempt-process.js');
else await import(bundle);
