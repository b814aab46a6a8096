/** Markdown from the lines of a run. Every figure is a median over rounds; ratios are medians of the ratios within rounds, because a busy minute falls on a whole round. */
import { flopsPerToken } from './arithmetic.mjs';

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const names = {
  fast: 'ours, fast',
  low: 'ours, low',
  lora: 'PEFT LoRA r 16',
  lora_checkpointing: 'PEFT LoRA r 16, gradient checkpointing',
  full: 'full fine-tuning',
  rows: 'dense gradients masked to 32 rows',
};
const row = (cells) => `| ${cells.join(' | ')} |`;

function machineLines({ machine, threads, model, precision, options = [], date }) {
  const { processor, memory_gib, flags, peak, products, torch, node, load } = machine;
  const rate = ({ forward, backward }) => `${forward.toFixed(0)} forward, ${backward.toFixed(0)} backward`;
  return [
    `${date}. ${processor}, ${threads} threads, ${memory_gib} GiB; ${flags.join(' ')}; Node ${node}; load before: ${load.join(', ')}. Model ${model}, ${precision}${options.length > 0 ? `; ours with ${options.join(', ')}` : ''}.`,
    '',
    `Peak of ${threads} threads, measured: ${peak.f32_gflops} GFLOP/s of f32 multiply-adds` +
      `${peak.bf16_gflops ? `, ${peak.bf16_gflops} of bf16 dot products` : ''}` +
      `${peak.tile_gflops ? `, ${peak.tile_gflops} of bf16 matrix tiles (an f32 product takes six of theirs)` : ''}; ${peak.read_gb_per_second} GB/s read from memory.`,
    `Matrix products at the model's shapes, GFLOP/s: TensorFlow (oneDNN, f32) ${rate(products.tensorflow)}; the engine (${precision}) ${rate(products.engine)};` +
      ` PyTorch f32 ${rate(torch.f32)}, bf16 ${rate(torch.bf16)}.`,
  ];
}

/** The bound: all arithmetic at the peak and nothing else to do. */
function boundLines(config, { machine, precision, rows }, shapes, of) {
  const { f32_gflops, bf16_gflops = 0, tile_gflops = 0 } = machine.peak;
  const limit = precision === 'bf16' ? Math.max(f32_gflops, bf16_gflops, tile_gflops) : Math.max(f32_gflops, tile_gflops / 6);
  const lines = [
    '',
    '| work | GFLOP a token | bound at the peak, tokens/s | of it ours (fast) reaches | of it PEFT LoRA reaches | largest possible ratio to PEFT LoRA |',
    '| --- | --- | --- | --- | --- | --- |',
  ];
  for (const [work, shape] of Object.entries(shapes)) {
    const gflop = flopsPerToken(config, { ...shape, rows }).total / 1e9;
    const [ours, peer] = ['fast', 'lora'].map((side) => of(work, side).map((run) => run.tokens_per_second));
    if (ours.length === 0 || peer.length === 0) continue;
    const bound = limit / gflop;
    const share = (rates) => `${((100 * median(rates)) / bound).toFixed(0)} %`;
    lines.push(row([work, gflop.toFixed(3), bound.toFixed(0), share(ours), share(peer), (bound / median(peer)).toFixed(2)]));
  }
  return lines;
}

export function table(run) {
  const { header, measurements, shapes } = run;
  const of = (work, side) => measurements.filter((one) => one.work === work && one.side === side).map((one) => one.result);
  const inRound = (work, side, round) => measurements.find((one) => one.work === work && one.side === side && one.round === round)?.result;
  const lines = [
    ...machineLines(header),
    ...boundLines(header.config, header, shapes, of),
    '',
    'Ratios: ours divided by the peer of that line, of the same round; above 1 is faster, below 1 is smaller. Phases are seconds of a step. RSS in MiB of the whole process.',
  ];
  for (const [work, shape] of Object.entries(shapes)) {
    const sides = [...new Set(measurements.filter((one) => one.work === work).map((one) => one.side))];
    const chat = shape.labelledShare < 0.9;
    const unit = chat ? 'labelled tokens/s' : 'tokens/s';
    const padding = of(work, 'lora')[0]?.padding ?? 1;
    lines.push(
      '',
      `## ${work}${chat ? `: ${shape.length.toFixed(0)} tokens an example, ${(100 * shape.labelledShare).toFixed(0)} % labelled, the peer pads to ${padding.toFixed(2)} times the tokens` : ''}`,
      '',
      `| side | rounds | ${unit} | fast / it | low / it | forward | loss | backward | optimiser | peak RSS | anonymous | file | RSS fast / it | low / it | to first step, s | adapter, MiB |`,
      row(Array(16).fill('---')),
    );
    for (const side of sides) {
      const runs = of(work, side);
      const speed = (result) => (chat ? result.labelled_per_second : result.tokens_per_second);
      const figure = (pick, digits = 0) => median(runs.map(pick)).toFixed(digits);
      const ratio = (ours, pick) => {
        if (side === 'fast' || side === 'low') return '';
        const found = measurements
          .filter((one) => one.work === work && one.side === side)
          .flatMap((one) => {
            const mine = inRound(work, ours, one.round);
            return mine ? [pick(mine) / pick(one.result)] : [];
          });
        return found.length > 0 ? median(found).toFixed(2) : '';
      };
      const phases = ['forward', 'loss', 'backward', 'optimizer'].map((name) => figure((r) => r.split[name], 2));
      const peft = runs[0].peft_adapter_mb ? ` (as PEFT LoRA ${runs[0].peft_adapter_mb.toFixed(1)})` : '';
      lines.push(
        row([
          ...[names[side], runs.length, figure(speed), ratio('fast', speed), ratio('low', speed), ...phases],
          ...[figure((r) => r.peak_rss_mb), figure((r) => r.anonymous_mb), figure((r) => r.file_mb)],
          ...[ratio('fast', (r) => r.peak_rss_mb), ratio('low', (r) => r.peak_rss_mb), figure((r) => r.start_to_first_step_seconds, 1)],
          `${figure((r) => r.adapter_mb, 1)}${peft}`,
        ]),
      );
    }
  }
  return `${lines.join('\n')}\n`;
}
