import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { type Engine, openEngine } from '../engine.js';
import { type Draw, draws } from '../testing/exactness-draw.js';
import { runPart } from '../testing/exactness-run.js';
import { runInNewProcess } from '../testing/run-in-new-process.js';

/** More by hand: ROWSMITH_EXACTNESS_RUNS=1000 ROWSMITH_EXACTNESS_SEED=5. A failure prints the smallest draw that fails. */
const numRuns = Number(process.env['ROWSMITH_EXACTNESS_RUNS'] ?? 24);
const seed = Number(process.env['ROWSMITH_EXACTNESS_SEED'] ?? 4);
const limit = 60_000 + 5_000 * numRuns;

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});

/** Shares of the micro-steps as counts from where a part begins. */
async function interrupted(draw: Draw, microSteps: number) {
  const lines: string[] = [];
  let state: string | null = null;
  for (const [i, { at, how }] of draw.interruptions.entries()) {
    const part = await runPart(engine, draw, i, state, { how, at: Math.floor(at * microSteps) });
    lines.push(...part.lines);
    if (part.state === null) return { lines, state: null, part: i };
    state = part.state;
  }
  return { lines, state, part: draw.interruptions.length };
}

it(
  `whatever is drawn: interrupted anywhere, gone on with in a new model, the same bytes (${numRuns} draws)`,
  async () => {
    let resumed = 0;
    const property = fc.asyncProperty(draws, async (draw) => {
      const whole = await runPart(engine, draw, 0, null);
      const first = await interrupted(draw, whole.microSteps);
      const rest = first.state === null ? [] : (await runPart(engine, draw, first.part, first.state)).lines;
      resumed += first.state === null ? 0 : 1;
      expect([...first.lines, ...rest]).toEqual(whole.lines);
    });
    await fc.assert(property, { numRuns, seed });
    // An interruption may come too late to be one; most do not.
    expect(resumed).toBeGreaterThan(numRuns / 2);
  },
  limit,
);

it(
  'and in a new process',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rowsmith-exactness-'));
    try {
      const waiting: { draw: Draw; state: string; part: number; rest: readonly string[] }[] = [];
      for (const draw of fc.sample(draws, { numRuns: 8, seed: seed + 1 })) {
        const whole = await runPart(engine, draw, 0, null);
        const { lines, state, part } = await interrupted(draw, whole.microSteps);
        if (state !== null) waiting.push({ draw, state, part, rest: whole.lines.slice(lines.length) });
      }
      expect(waiting.length).toBeGreaterThan(3);
      const path = join(folder, 'draws.json');
      await writeFile(path, JSON.stringify(waiting));
      const lines = JSON.parse(await runInNewProcess(new URL('../testing/exactness-run.ts', import.meta.url), 'finishAll', path));
      expect(lines).toEqual(waiting.map(({ rest }) => rest));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  limit,
);
