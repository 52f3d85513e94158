/** Contexts with real workers and files below a directory that goes with them; what is fetched comes from a table. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { SystemClock } from '../../src/base/clock.ts';
import { NotFoundError } from '../../src/base/errors.ts';
import { createContexts } from '../../src/engine/build/context/contexts.ts';
import type { BuildContext, Contexts } from '../../src/engine/build/context/types.ts';
import type { BuildMessage, ContextSource } from '../../src/engine/build/types.ts';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { WorkerTreeGatherer } from '../../src/engine/storage/layers/worker-tree-gatherer.ts';
import { layerThreads } from './layer-threads.ts';
import { RecordingLogger } from './recording-logger.ts';

export interface ServedFile {
  readonly bytes: Buffer;
  readonly contentType?: string;
  /** Breaks off after the bytes. */
  readonly fault?: Error;
}

export interface TestContexts extends Disposable {
  readonly contexts: Contexts;
  /** Where contexts are made. */
  readonly directory: string;
  /** For whatever a test needs. */
  readonly scratch: string;
  readonly files: Map<string, ServedFile>;
  readonly messages: BuildMessage[];
  hasGit: boolean;
  open(source: ContextSource | Buffer, options?: { dockerfile?: string; signal?: AbortSignal }): Promise<BuildContext>;
  /** Contexts that are on the disk. */
  left(): readonly string[];
}

export function makeContexts(): TestContexts {
  const scratch = mkdtempSync(join(tmpdir(), 'build-contexts-'));
  const directory = join(scratch, 'contexts');
  const files = new Map<string, ServedFile>();
  const messages: BuildMessage[] = [];
  const contexts = createContexts({
    directory,
    gatherer: new WorkerTreeGatherer(layerThreads('work')),
    registry: { fetchFile: async (address) => served(address, files.get(address)) },
    files: new LinuxFiles(),
    git: {
      processes: createLinuxKernel().processes,
      program: () => (made.hasGit ? '/usr/bin/git' : null),
      environment: () => ({}),
    },
    clock: new SystemClock(),
    logger: new RecordingLogger(),
  });
  const made: TestContexts = {
    contexts,
    directory,
    scratch,
    files,
    messages,
    hasGit: true,
    open: async (source, { dockerfile = 'Dockerfile', signal = new AbortController().signal } = {}) =>
      contexts.open(Buffer.isBuffer(source) ? { kind: 'tar', tar: inChunks(source) } : source, {
        dockerfile,
        sink: (message) => void messages.push(message),
        signal,
      }),
    left: () => readdirSync(directory),
    [Symbol.dispose]: () => rmSync(scratch, { recursive: true, force: true }),
  };
  return made;
}

/** Of a size that no header, block or codec begins with. */
export function inChunks(bytes: Buffer, chunkBytes = 1013): Readable {
  return Readable.from(
    (function* (): Generator<Buffer> {
      for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
    })(),
    { objectMode: false },
  );
}

function served(address: string, file: ServedFile | undefined) {
  if (file === undefined) throw new NotFoundError(`failed to GET ${address} with status 404 Not Found: `);
  const { bytes, contentType = '', fault } = file;
  const body = Readable.from(
    (function* (): Generator<Buffer> {
      if (bytes.length > 0) yield bytes;
      if (fault !== undefined) throw fault;
    })(),
    { objectMode: false },
  );
  return { address, sizeBytes: bytes.length, contentType, contentDisposition: '', lastModified: '', body };
}
