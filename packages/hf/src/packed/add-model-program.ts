import { parseArgs } from 'node:util';
import { ModelError } from '../errors.js';
import { addModel } from './add-reference.js';
import { modelStore } from './model-store.js';
import type { Progress } from './write-packed.js';

const usage = `usage: rowsmith models add <folder | file.gguf | owner/name[@revision]> [--id ID] [--store DIR] [--replace] [--json]

  folder      config.json, tokenizer.json and safetensors, as Hugging Face lays them out
  file.gguf   GGUF of one of the supported architectures, or one part of a split one; weights are dequantised to f32
  owner/name  from the Hugging Face hub (HF_TOKEN, HF_ENDPOINT are honoured)
  --id        name under which jobs use it (default: made from the source's name)
  --store     folder of packed models (default: $ROWSMITH_CACHE/models, else ~/.cache/rowsmith/models)
  --replace   allow another model under an id that is in use
  --json      one JSON line on stdout, no progress
`;

/** What the program gets from its process. */
export interface ProgramIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: { write(text: string): unknown };
  readonly err: { write(text: string): unknown; readonly isTTY?: boolean };
  /** Unix seconds. */
  readonly now: () => number;
}

/** Packs a base model into the store. Returns the exit code: 0 done, 2 wrong usage, 10 the model was refused, 20 disk or network. */
export async function addModelProgram(args: string[], { env, out, err, now }: ProgramIo): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    err.write(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  const { values, positionals } = parsed;
  const [reference] = positionals;
  if (values.help) {
    out.write(usage);
    return 0;
  }
  if (reference === undefined || positionals.length > 1) {
    err.write(usage);
    return 2;
  }
  const show = progressLine(values.json ?? false, err);
  try {
    const added = await addModel(reference, {
      store: values.store ?? modelStore(env),
      id: values.id,
      replace: values.replace ?? false,
      hub: { endpoint: env['HF_ENDPOINT'], token: env['HF_TOKEN'] },
      onProgress: show.update,
      now,
    });
    show.end();
    const { id, base_sha256, parameters } = added.index;
    if (values.json) out.write(`${JSON.stringify({ outcome: added.outcome, id, dir: added.dir, base_sha256, parameters })}\n`);
    else {
      const what = { added: 'added', present: 'is already there', replaced: 'replaced' }[added.outcome];
      out.write(`${id} ${what}: ${(parameters / 1e6).toFixed(1)} M parameters, base ${base_sha256.slice(0, 12)}, ${added.dir}\n`);
    }
    return 0;
  } catch (error) {
    show.end();
    const known = error instanceof ModelError;
    const message = known ? error.message : `unexpected: ${(error as Error).stack ?? String(error)}`;
    if (values.json) out.write(`${JSON.stringify({ error: { code: known ? error.code : 'internal', message } })}\n`);
    else err.write(`cannot add ${reference}: ${message}\n`);
    return known && error.fault === 'model' ? 10 : 20;
  }
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      id: { type: 'string' },
      store: { type: 'string' },
      replace: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

/** On a terminal one line that is rewritten; elsewhere one line per phase. */
function progressLine(silent: boolean, err: ProgramIo['err']) {
  const terminal = err.isTTY;
  let phase = '';
  let percent = -1;
  return {
    update({ phase: now, done, total }: Progress) {
      if (silent) return;
      const p = total > 0 ? Math.floor((100 * done) / total) : 100;
      if (now === phase && (p === percent || !terminal)) return;
      if (terminal)
        err.write(`${now === phase || phase === '' ? '\r' : '\n'}${now} ${String(p).padStart(3)} % of ${(total / 2 ** 20).toFixed(0)} MiB`);
      else err.write(`${now} ${(total / 2 ** 20).toFixed(0)} MiB\n`);
      phase = now;
      percent = p;
    },
    end() {
      if (!silent && terminal && phase !== '') err.write('\n');
    },
  };
}
