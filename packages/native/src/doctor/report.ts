import { type Finding, isFailure } from './finding.js';

const marks = { ok: '✓', absent: '-', broken: '✗' } as const;

/** One line a finding, repairs indented below, and a verdict. */
export function textReport(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map((f) => f.name.length));
  const lines = findings.flatMap((f) => [
    `${marks[f.state]} ${f.name.padEnd(width)}  ${f.detail}`,
    ...(f.repair ? [`${' '.repeat(width + 4)}repair: ${f.repair}`] : []),
  ]);
  const failures = findings.filter(isFailure);
  const verdict = failures.length === 0 ? 'Everything that is needed works.' : `Broken: ${failures.map((f) => f.name).join(', ')}.`;
  return `${[...lines, '', verdict].join('\n')}\n`;
}

export function jsonReport(findings: readonly Finding[]): string {
  return `${JSON.stringify({ ok: !findings.some(isFailure), findings }, null, 2)}\n`;
}
