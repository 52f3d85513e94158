/** A build room on an image room with rows for layers: what RUN and COPY would do is noted, and done to tars alone. */
import { writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { silentLogger } from '../../src/base/logger.ts';
import { newId, type ContainerId } from '../../src/base/ids.ts';
import { createBuilds, type BuildRoom } from '../../src/engine/build/index.ts';
import type { CopyRequest, PreparedCopy } from '../../src/engine/build/copy/types.ts';
import type { RunRequest } from '../../src/engine/build/run/types.ts';
import type { BuildMessage, BuildRequest } from '../../src/engine/build/types.ts';
import { digestOf, type ChainId } from '../../src/engine/oci/digest.ts';
import type { CapturedLayer } from '../../src/engine/storage/packing.ts';
import { makeImageRoom, type TestRoom } from './image-room.ts';
import { tarOf } from './tar-builder.ts';

export interface TestBuilds extends AsyncDisposable {
  readonly room: TestRoom;
  readonly builds: BuildRoom;
  /** Commands that were run, in order. */
  readonly ran: RunRequest[];
  readonly copied: CopyRequest[];
  /** Containers that are there. */
  readonly containers: Set<string>;
  /** Texts of files in the context. */
  readonly files: Map<string, string>;
  /** What commands write besides their own words, such as the time. */
  stamp: string;
  /** What a command does before it ends. */
  onRun: (request: RunRequest) => Promise<void>;
  build(dockerfile: string, request?: Partial<BuildRequest>, signal?: AbortSignal): Promise<BuildResult>;
}

export interface BuildResult {
  /** What the client was told, in one text. */
  readonly said: string;
  readonly id: string | null;
  readonly error: unknown;
}

/** Exit codes of commands: `exit 3` is 3, anything else 0. `nothing` leaves the tree as it was. */
export async function makeBuildRoom(given: TestRoom | null = null): Promise<TestBuilds> {
  const room = given ?? (await makeImageRoom());
  const ran: RunRequest[] = [];
  const copied: CopyRequest[] = [];
  const containers = new Set<string>();
  const files = new Map<string, string>();
  let dockerfile = '';
  const layerOf = async (content: string, parent: ChainId | null, blobPath: string): Promise<CapturedLayer> => {
    const blob = gzipSync(tarOf([{ name: 'made', data: content }]));
    await writeFile(blobPath, blob);
    const layer = await room.layers.unpack({ blobPath, parent, diffId: null });
    return { ...layer, blob: { digest: digestOf(blob), sizeBytes: blob.length } };
  };
  const prepare = async (request: CopyRequest): Promise<PreparedCopy> => {
    copied.push(request);
    const from = request.from.kind === 'layers' ? `${request.from.top ?? ''}:` : '';
    const content = from + request.words.sources.map((source) => files.get(source) ?? source).join('\n');
    return {
      digest: digestOf(content),
      label: `file:${digestOf(content).slice('sha256:'.length)}`,
      apply: async ({ parent, draftPath }) => layerOf(content, parent, draftPath),
      [Symbol.asyncDispose]: async () => undefined,
    };
  };
  const test: TestBuilds = {
    room,
    ran,
    copied,
    containers,
    files,
    stamp: '',
    onRun: async () => undefined,
    builds: createBuilds({
      database: room.database,
      images: room.images,
      store: room.images.store,
      content: room.content,
      layers: room.layers,
      trees: {
        merge: async ({ parent, blobPaths, blobPath }) =>
          layerOf(`merged ${String(blobPaths.length)}`, parent, blobPath),
      },
      users: { containersOf: () => [] },
      contexts: {
        open: async () => ({
          root: '/context',
          dockerfile: async () => ({ text: dockerfile, name: 'Dockerfile' }),
          [Symbol.asyncDispose]: async () => undefined,
        }),
        sweep: async () => undefined,
      },
      copies: { prepare, makeDirectory: async () => null },
      runs: {
        run: async (request) => {
          ran.push(request);
          const containerId = newId<ContainerId>();
          containers.add(containerId);
          const remove = async (): Promise<void> => void containers.delete(containerId);
          const { image } = request;
          const parent = room.images.get(image).chainId;
          request.onCreated(containerId);
          const command = request.command.at(-1) ?? '';
          try {
            await test.onRun(request);
            request.signal.throwIfAborted();
          } catch (error) {
            await remove();
            throw error;
          }
          await request.output.write('stdout', Buffer.from(`${command}\n`));
          const exitCode = Number(/^exit (\d+)$/.exec(command)?.[1] ?? 0);
          const changes = exitCode === 0 && command !== 'nothing';
          const layer = changes ? await layerOf(command + test.stamp, parent, request.draftPath) : null;
          let isKept = false;
          return {
            containerId,
            exitCode,
            layer,
            keep: () => {
              isKept = true;
            },
            [Symbol.asyncDispose]: async () => (isKept ? undefined : remove()),
          };
        },
        sweep: async () => undefined,
        settled: async () => undefined,
        bindSource: (_directory, source) => source,
      },
      cacheMounts: { list: async () => [], remove: async () => false },
      clock: room.clock,
      logger: silentLogger,
      platform: { os: 'linux', architecture: 'amd64' },
      engineVersion: '1.2.3',
      stepsAtATime: 4,
      dataRoot: '/',
      limits: { kind: 'none' },
    }),
    async build(text, request = {}, signal = new AbortController().signal) {
      dockerfile = text;
      const said: string[] = [];
      const sink = (message: BuildMessage): void => {
        if (message.kind === 'stream') said.push(message.text);
      };
      try {
        const { id } = await test.builds.build({ ...REQUEST, ...request }, { sink, signal });
        return { said: said.join(''), id, error: null };
      } catch (error) {
        return { said: said.join(''), id: null, error };
      }
    },
    async [Symbol.asyncDispose]() {
      await test.builds[Symbol.asyncDispose]();
      await room[Symbol.asyncDispose]();
    },
  };
  return test;
}

const REQUEST: BuildRequest = {
  context: { kind: 'directory', path: '/context', ownerUid: null },
  dockerfile: 'Dockerfile',
  tags: [],
  target: '',
  args: new Map(),
  labels: new Map(),
  noCache: false,
  cacheFrom: [],
  pull: false,
  platform: null,
  limits: {
    resources: {} as BuildRequest['limits']['resources'],
    ulimits: [],
    shmSizeBytes: null,
    cgroupParent: '',
    extraHosts: [],
    network: null,
    securityOptions: [],
  },
  remove: true,
  forceRemove: false,
  squash: false,
  secrets: new Map(),
  sshAgents: new Map(),
  buildId: '',
  authFor: () => null,
};
