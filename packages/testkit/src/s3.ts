/** Real S3-compatible servers for tests, on free ports, their data in a folder that goes with them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './postgres.js';
import { seaweedProgram, versityProgram } from './s3-programs.js';

export type S3Server = 'seaweedfs' | 'versitygw';

export interface TestS3 {
  readonly endpoint: string;
  /** What a process needs in its environment to be let in. */
  readonly credentials: { readonly AWS_ACCESS_KEY_ID: string; readonly AWS_SECRET_ACCESS_KEY: string };
  readonly pid: number;
  /** Ends the server at once, as kill -9 does, and starts it again over the same data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const startTimeoutMs = 60_000;

/** SeaweedFS everywhere; versitygw where somebody has built it (`go install`, minutes): see the README. */
export const s3Servers = (): readonly S3Server[] => (existsSync(versityProgram()) ? ['seaweedfs', 'versitygw'] : ['seaweedfs']);

export async function startS3(server: S3Server = 'seaweedfs'): Promise<TestS3> {
  const folder = await mkdtemp(join(tmpdir(), 'rowsmith-s3-'));
  const credentials = { AWS_ACCESS_KEY_ID: 'tester', AWS_SECRET_ACCESS_KEY: randomBytes(20).toString('hex') };
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const { launch, ready } = server === 'seaweedfs' ? await seaweed(folder, port, credentials) : await versity(folder, port, credentials);
  let child = launch();
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((exited) => child.once('exit', exited));
    child.kill('SIGKILL');
    await gone;
  };
  try {
    await untilReady(child, [() => answers(endpoint), ready]);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    endpoint,
    credentials,
    get pid() {
      return child.pid ?? 0;
    },
    async restart() {
      await end();
      child = launch();
      await untilReady(child, [() => answers(endpoint), ready]);
    },
    async stop() {
      await end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Program {
  launch(): ChildProcess;
  /** Whether what lies behind the S3 port has come up too. */
  ready(): Promise<boolean>;
}
type Credentials = TestS3['credentials'];

async function seaweed(folder: string, port: number, credentials: Credentials): Promise<Program> {
  const program = await seaweedProgram();
  const config = join(folder, 's3.json');
  const key = { accessKey: credentials.AWS_ACCESS_KEY_ID, secretKey: credentials.AWS_SECRET_ACCESS_KEY };
  const actions = ['Admin', 'Read', 'List', 'Tagging', 'Write'];
  await writeFile(config, JSON.stringify({ identities: [{ name: 'tester', credentials: [key], actions }] }), { mode: 0o600 });
  const data = join(folder, 'data');
  await mkdir(data);
  const ports: string[] = [];
  // One after the other: two at once could be given the same number.
  const master = await freePort();
  ports.push(`-master.port=${master}`, `-master.port.grpc=${await freePort()}`);
  for (const name of ['volume', 'filer']) ports.push(`-${name}.port=${await freePort()}`, `-${name}.port.grpc=${await freePort()}`);
  const args = [
    ...['server', `-dir=${data}`, '-ip=127.0.0.1', '-ip.bind=127.0.0.1', ...ports],
    ...['-master.telemetry=false', '-master.electionTimeout=1s', '-master.volumeSizeLimitMB=1024'],
    ...['-volume.preStopSeconds=0', '-volume.max=100', '-filer', `-filer.localSocket=${join(folder, 'filer.sock')}`],
    ...['-s3', `-s3.port=${port}`, `-s3.port.grpc=${await freePort()}`, `-s3.config=${config}`, '-s3.iam=false'],
    ...['-s3.port.iceberg=0', '-s3.port.lance=0', `-s3.localSocket=${join(folder, 's3.sock')}`],
  ];
  return {
    launch: () =>
      spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'], HOME: folder } }),
    // Before its volume server has told the master what it holds, every object answers 500.
    ready: async () => {
      const answer = await fetch(`http://127.0.0.1:${master}/dir/status`, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
      const status = (await answer?.json().catch(() => null)) as { Topology?: { Max?: number } } | null | undefined;
      return (status?.Topology?.Max ?? 0) > 0;
    },
  };
}

async function versity(folder: string, port: number, credentials: Credentials): Promise<Program> {
  const [objects, iam] = [join(folder, 'objects'), join(folder, 'iam')];
  for (const path of [objects, iam]) await mkdir(path);
  const env = { ROOT_ACCESS_KEY: credentials.AWS_ACCESS_KEY_ID, ROOT_SECRET_KEY: credentials.AWS_SECRET_ACCESS_KEY };
  const args = ['--port', `127.0.0.1:${port}`, '--health', '/healthz', '--quiet', '--iam-dir', iam, 'posix', objects];
  return {
    launch: () =>
      spawn(versityProgram(), args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'], ...env } }),
    ready: async () => true,
  };
}

/** Any HTTP answer but an internal error: both refuse a request without a key when they are ready for one with a key. */
async function answers(endpoint: string): Promise<boolean> {
  const status = await fetch(`${endpoint}/`, { signal: AbortSignal.timeout(2_000) }).then(
    (answer) => answer.status,
    () => 0,
  );
  return status >= 200 && status < 500;
}

/** Throws, with what the server printed, when it ends or a minute has gone. */
async function untilReady(child: ChildProcess, conditions: readonly (() => Promise<boolean>)[]): Promise<void> {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = `${output}${text}`.slice(-4_000);
    });
  const deadline = performance.now() + startTimeoutMs;
  for (const condition of conditions)
    while (!(await condition())) {
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline)
        throw new Error(`the S3 server did not start: ${output}`);
      await new Promise((next) => setTimeout(next, 50));
    }
}
