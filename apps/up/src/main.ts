import { readUpSettings, type UpSettings, UpSettingsError, upUsage } from './settings.js';
import { type Stack, startStack } from './stack.js';

/** One line per state change; with --json each is an object `{state, ...}` on stdout. */
function reporter(settings: UpSettings) {
  return {
    state(state: string, fields: Record<string, unknown>, text: string) {
      process.stdout.write(settings.json ? `${JSON.stringify({ state, ...fields })}\n` : `${text}\n`);
    },
  };
}

async function main(): Promise<number> {
  let settings: UpSettings | 'help';
  try {
    settings = readUpSettings(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof UpSettingsError)) throw error;
    process.stderr.write(`${error.faults.map((fault) => `rowsmith up: ${fault}`).join('\n')}\n`);
    return 2;
  }
  if (settings === 'help') {
    process.stdout.write(upUsage);
    return 0;
  }
  const report = reporter(settings);
  // A signal during start-up must still undo what was started, so it is remembered, not acted on at once.
  let interrupted: (signal: string) => void = () => undefined;
  const interruption = new Promise<string>((done) => {
    interrupted = done;
  });
  // One Ctrl-C may arrive twice (from the terminal, and passed on by `rowsmith` or npm): signals within a second are one.
  let firstAt: number | null = null;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (firstAt === null) {
        firstAt = performance.now();
        report.state('stopping', {}, '\nStopping: the worker saves its job first (Ctrl-C again to stop at once)');
        interrupted(signal);
      } else if (performance.now() - firstAt > 1_000) process.exit(130);
    });
  }
  let stack: Stack;
  try {
    stack = await startStack(settings, process.env, (line) => report.state('note', { message: line }, line));
  } catch (error) {
    process.stderr.write(`rowsmith up: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
  const { secrets, url } = stack;
  report.state(
    'ready',
    { url, api_key_file: secrets.apiKeyFile, pids: stack.pids() },
    [
      '',
      `Rowsmith is ready at ${url}`,
      settings.apiKey !== null
        ? 'API key: the one you gave'
        : secrets.apiKeyIsFresh
          ? `API key: ${secrets.apiKey}\n         (shown this once; kept in ${secrets.apiKeyFile})`
          : `API key: kept in ${secrets.apiKeyFile}`,
      `Data:    ${settings.dataDir}`,
      'Ctrl-C stops; open jobs go on at the next start.',
      '',
    ].join('\n'),
  );
  let code = 0;
  try {
    await Promise.race([interruption, stack.failed]);
  } catch (error) {
    process.stderr.write(`rowsmith up: ${error instanceof Error ? error.message : String(error)}\n`);
    code = 1;
  }
  await stack.stop();
  report.state('stopped', {}, 'Stopped.');
  return code;
}

process.exitCode = await main();
// Child pipes and timers are closed by now; exit even if a library keeps one open.
process.exit();
