/** A vitest reporter that ends the output with one line per failure: what reads only the tail of a long log still sees what failed. */
export default class FailedTests {
  /** @param {readonly import('vitest/node').TestModule[]} modules */
  onTestRunEnd(modules, errors) {
    const lines = [];
    for (const module of modules) {
      for (const error of module.errors()) lines.push(`${module.moduleId}: ${firstLine(error)}`);
      for (const test of module.children.allTests('failed'))
        lines.push(`${module.moduleId} > ${test.fullName}: ${(test.result().errors ?? []).map(firstLine).join(' | ')}`);
    }
    for (const error of errors) lines.push(`outside of a test: ${firstLine(error)}`);
    const root = `${process.cwd()}/`;
    if (lines.length > 0) process.stdout.write(`\nFailed:\n${lines.map((line) => `  ${line.replaceAll(root, '')}\n`).join('')}`);
  }
}

/** @param {{ message?: string }} error */
const firstLine = (error) => String(error.message ?? error).split('\n', 1)[0];
