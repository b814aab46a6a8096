/** Program `rowsmith doctor [--json]`: what was found on this machine. Exit status 1 when something needed is broken, 2 on wrong use. */
import { isFailure } from './doctor/finding.js';
import { machineFindings } from './doctor/machine.js';
import { jsonReport, textReport } from './doctor/report.js';
import { serviceFindings } from './doctor/services.js';
import { demoModelFinding, kernelsFinding, tensorFlowFinding } from './doctor/tensorflow.js';
import { toolFindings } from './doctor/tools.js';

const [option, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (option !== undefined && option !== '--json')) {
  process.stderr.write('Usage: rowsmith doctor [--json]\n');
  process.exitCode = 2;
} else {
  const groups = [
    machineFindings(),
    toolFindings(),
    tensorFlowFinding(),
    kernelsFinding(),
    demoModelFinding(),
    serviceFindings(process.env),
  ];
  const findings = (await Promise.all(groups)).flat();
  process.stdout.write(option === '--json' ? jsonReport(findings) : textReport(findings));
  process.exitCode = findings.some(isFailure) ? 1 : 0;
}
