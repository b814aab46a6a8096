/**
 * The arguments of a script whose head comment is its usage: `--help` prints that comment and ends with 0; what is wrong is told, and ends with 2.
 * Beside what parseArgs knows an option may have `oneOf`. One whose default is a number takes numbers only.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** The head comment of a source, without its marks. @param {string} source */
function usageIn(source) {
  const [, comment = ''] = /^\/\*\*(.*?)\*\//s.exec(source) ?? [];
  return comment
    .split('\n')
    .map((line) => line.replace(/^ ?\* ?/, '').trimEnd())
    .join('\n')
    .trim();
}

const isNumber = (text) => /^\d+(\.\d+)?$/.test(text);

/** What is wrong with the values, or null. */
function faultOf(options, values, names, positionals, more) {
  for (const [name, { default: usual, oneOf }] of Object.entries(options)) {
    const value = values[name];
    if (typeof value !== 'string' || value === usual) continue;
    if (oneOf && !oneOf.includes(value)) return `--${name} must be ${oneOf.join(' or ')}, not '${value}'`;
    if (typeof usual === 'string' && isNumber(usual) && !isNumber(value)) return `--${name} must be a number, not '${value}'`;
  }
  if (positionals.length < names.length) return `${names[positionals.length]} is missing`;
  return !more && positionals.length > names.length ? `'${positionals[names.length]}' is one argument too many` : null;
}

/**
 * `names` of the arguments that must be there; `more`: others may follow. `wrongUse` ends the script for what it finds out itself.
 * @param {string} url import.meta.url of the script
 */
export function commandLine(url, { options = {}, names = [], more = false } = {}) {
  const path = fileURLToPath(url);
  const wrongUse = (message) => {
    process.stderr.write(`${basename(path)}: ${message}\n--help says how it is used.\n`);
    process.exit(2);
  };
  if (process.argv.slice(2).some((arg) => arg === '--help' || arg === '-h')) {
    process.stdout.write(`${usageIn(readFileSync(path, 'utf8'))}\n`);
    process.exit(0);
  }
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: names.length > 0 || more });
    const fault = faultOf(options, values, names, positionals, more);
    return fault === null ? { values, positionals, wrongUse } : wrongUse(fault);
  } catch (error) {
    return wrongUse(error.message);
  }
}
