/** Where the time and the memory of a training step go, seen from outside: the engine's calls return when the processor is done. */
import { readFileSync } from 'node:fs';

/** MiB of this process now. */
export function memoryNow() {
  const status = readFileSync('/proc/self/status', 'utf8');
  const of = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
  return { anonymous: of('RssAnon'), file: of('RssFile') };
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/**
 * Watches `lossAndGrads` of the model and `crossEntropy` of its operators. Phases: forward is all before the vocabulary product; loss is that product,
 * cross-entropy and the gradient of the hidden states (one operator, so the head's backward product counts here); backward is the rest; optimizer is what the step takes beside.
 * onBatch: hears of each batch before it is computed.
 */
export function timedPhases(engine, model, onBatch) {
  const steps = [];
  let current = { forward: 0, loss: 0, backward: 0 };
  let peak = { anonymous: 0, file: 0 };
  let mark = 0;
  const lap = (name) => {
    const now = performance.now();
    current[name] += (now - mark) / 1000;
    mark = now;
  };
  const look = () => {
    const seen = memoryNow();
    peak = { anonymous: Math.max(peak.anonymous, seen.anonymous), file: Math.max(peak.file, seen.file) };
  };
  const lossAndGrads = model.lossAndGrads.bind(model);
  model.lossAndGrads = (batch, ...rest) => {
    onBatch(batch);
    mark = performance.now();
    const result = lossAndGrads(batch, ...rest);
    lap('backward');
    return result;
  };
  const crossEntropy = engine.ops.crossEntropy.bind(engine.ops);
  engine.ops.crossEntropy = (...inputs) => {
    lap('forward');
    const result = crossEntropy(...inputs);
    lap('loss');
    look();
    return result;
  };
  return {
    endStep(seconds) {
      look();
      steps.push({ ...current, optimizer: seconds - current.forward - current.loss - current.backward });
      current = { forward: 0, loss: 0, backward: 0 };
    },
    medians: (warmup) =>
      Object.fromEntries(
        ['forward', 'loss', 'backward', 'optimizer'].map((name) => [name, median(steps.slice(warmup).map((step) => step[name]))]),
      ),
    peak: () => peak,
  };
}
