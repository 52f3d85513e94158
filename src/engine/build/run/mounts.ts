/** What a RUN mounts, in the words of containers, and what has to be held for as long as it runs. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { MountRequest } from '../../containers/spec-types.ts';
import type { StepParts } from '../../containers/steps.ts';
import type { RunScript } from '../../dockerfile/run-command.ts';
import type { RunMount } from '../../dockerfile/types.ts';
import type { BuildSecretSource } from '../../secrets/types.ts';
import { deleteHere } from '../../storage/delete-tree.ts';
import { agentMount } from './agent-mount.ts';
import { bindRequest } from './bind-mount.ts';
import type { CacheMounts } from './cache-mounts.ts';
import { fillFrom, type FillGround } from './fill.ts';
import { plainBind } from './plain-bind.ts';
import { secretParts, type SecretMount } from './secret-mounts.ts';
import { inside } from './targets.ts';
import type { ResolvedMount, RunRequest } from './types.ts';

/** What mounts need of the engine. */
export interface MountGround extends FillGround {
  readonly secrets: BuildSecretSource;
  readonly cacheMounts: Pick<CacheMounts, 'hold'>;
  /** `<data-root>/build/steps`: sockets, and what steps write that nobody keeps. One directory a step, named at random. */
  readonly scratchDirectory: string;
}

type CacheMount = RunMount & { readonly kind: 'cache' };

/** Mounts of one step. Dispose when its container has gone. */
export class StepMounts implements AsyncDisposable {
  readonly requests: readonly MountRequest[];
  readonly parts: StepParts;
  readonly #held: AsyncDisposableStack;

  private constructor(opening: Opening, held: AsyncDisposableStack) {
    this.requests = opening.requests;
    this.parts = { env: opening.env, secrets: opening.secrets };
    this.#held = held;
  }

  /** InvalidArgumentError in BuildKit's words for what is not there. Waits for cache mounts that others have locked. */
  static async open(ground: MountGround, request: RunRequest): Promise<StepMounts> {
    await using held = new AsyncDisposableStack();
    const opening = new Opening(ground, request, held);
    for (const resolved of request.mounts) await opening.add(resolved);
    await opening.holdCaches();
    if (request.script) opening.addScript(request.script);
    return new StepMounts(opening, held.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#held.disposeAsync();
  }
}

/** Takes one mount after the other in. */
class Opening {
  readonly requests: MountRequest[] = [];
  readonly env: string[] = [];
  readonly secrets: StepParts['secrets'][number][] = [];
  readonly #ground: MountGround;
  readonly #request: RunRequest;
  readonly #held: AsyncDisposableStack;
  readonly #caches: { readonly mount: CacheMount; readonly from: ResolvedMount['from'] }[] = [];
  #scratch: string | null = null;
  #agents = 0;

  constructor(ground: MountGround, request: RunRequest, held: AsyncDisposableStack) {
    this.#ground = ground;
    this.#request = request;
    this.#held = held;
  }

  async add({ mount: written, from }: ResolvedMount): Promise<void> {
    const mount = inside(written, this.#request.config.WorkingDir ?? '');
    switch (mount.kind) {
      case 'bind':
        this.requests.push(bindRequest(this.#ground, { mount, from }, () => this.#place()));
        return;
      case 'cache':
        this.#caches.push({ mount, from });
        return;
      case 'tmpfs':
        this.requests.push(tmpfsRequest(mount));
        return;
      case 'secret': {
        const { env, secrets } = secretParts(mount, { given: this.#request.secrets, own: this.#ground.secrets });
        this.env.push(...env);
        this.secrets.push(...secrets);
        return;
      }
      case 'ssh':
        await this.#addAgent(mount);
        return;
    }
  }

  /**
   * One after the other by name, which every step does alike: two that lock the same ones cannot wait for each other. One
   * that a step mounts twice is held once.
   */
  async holdCaches(): Promise<void> {
    const { cacheMounts } = this.#ground;
    const { signal } = this.#request;
    const held = new Map<string, string>();
    const keyed = this.#caches.map((cache) => ({ ...cache, base: baseOf(cache) }));
    const ordered = keyed.toSorted(
      (a, b) => compare(a.mount.id, b.mount.id) || strictness(b.mount) - strictness(a.mount),
    );
    for (const { mount, from, base } of ordered) {
      const key = JSON.stringify([mount.id, base]);
      let path = held.get(key);
      if (path === undefined) {
        const fill =
          from === null
            ? null
            : fillFrom(this.#ground, { from, source: mount.source, place: () => this.#place(), signal });
        path = this.#held.use(await cacheMounts.hold(mount, { base, fill, signal })).path;
        held.set(key, path);
      }
      this.requests.push({ ...plainBind(path, mount.target), readOnly: mount.readOnly });
    }
  }

  /** Sockets are forwarded; the first one is where programs look. */
  async #addAgent(mount: SecretMount): Promise<void> {
    const agentPath = this.#request.sshAgents.get(mount.id);
    if (agentPath === undefined) {
      if (mount.required) throw new InvalidArgumentError(`no SSH key "${mount.id}" forwarded from the client`);
      return;
    }
    const target = mount.target ?? `/run/buildkit/ssh_agent.${String(this.#agents)}`;
    if (this.#agents === 0) this.env.push(`SSH_AUTH_SOCK=${target}`);
    this.#agents += 1;
    const agent = await agentMount(agentPath, { mount, directory: this.#place() });
    this.#held.use(agent);
    this.requests.push(plainBind(agent.path, target));
  }

  /** As BuildKit's: whoever may do nothing else can still read and run it. */
  addScript({ target, content }: RunScript): void {
    const path = join(this.#place(), 'script');
    writeFileSync(path, content);
    chmodSync(path, 0o755);
    this.requests.push({ ...plainBind(path, target), readOnly: true });
  }

  /** A directory of the step's own, new at each call. */
  #place(): string {
    if (this.#scratch === null) {
      const scratch = join(this.#ground.scratchDirectory, randomBytes(6).toString('hex'));
      mkdirSync(scratch, { recursive: true, mode: 0o700 });
      this.#scratch = scratch;
      this.#held.defer(() => deleteHere(scratch));
    }
    const place = join(this.#scratch, randomBytes(4).toString('hex'));
    mkdirSync(place, { mode: 0o711 });
    return place;
  }
}

/** As BuildKit's: programs may be run from it, unlike from Docker's. */
function tmpfsRequest({ target, sizeBytes }: RunMount & { readonly kind: 'tmpfs' }): MountRequest {
  const size = sizeBytes === null || sizeBytes === 0 ? [] : [`size=${String(sizeBytes)}`];
  return { kind: 'tmpfs', target, options: ['exec', 'dev', ...size] };
}

/** Directories with the same name that began with something else, or belong to somebody else, are others. */
function baseOf({ mount, from }: { readonly mount: CacheMount; readonly from: ResolvedMount['from'] }): string {
  const { uid, gid, mode, source } = mount;
  if (from !== null) return JSON.stringify([from, source]);
  return uid === 0 && gid === 0 && mode === 0o755 ? '' : [uid, gid, mode.toString(8)].join(':');
}

function strictness({ sharing }: CacheMount): number {
  return ['shared', 'private', 'locked'].indexOf(sharing);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
