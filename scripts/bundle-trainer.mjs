/** node scripts/bundle-trainer.mjs: the compiled trainer as one file. A part of `npm run build` and of set-up. */
import { bundleTrainer } from './setup/trainer-bundle.mjs';

await bundleTrainer();
