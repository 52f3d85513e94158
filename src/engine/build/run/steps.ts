import { posix, relative } from 'node:path';
import { messageOf } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { Logger } from '../../../base/logger.ts';
import type { StepContainers } from '../../containers/steps.ts';
import type { Containers } from '../../containers/types.ts';
import { within } from './bind-mount.ts';
import { checkEntitlements } from './entitlements.ts';
import { StepMounts, type MountGround } from './mounts.ts';
import { sweepScratch } from './scratch.ts';
import { specOf } from './spec.ts';
import type { RunOutcome, RunRequest, RunSteps } from './types.ts';

/** What RUN works with. */
export interface RunGround extends MountGround {
  readonly containers: Pick<Containers, 'attach' | 'start' | 'wait' | 'remove'> & StepContainers;
  readonly logger: Logger;
}

export function createRunSteps(ground: RunGround): RunSteps {
  const leaving = new Set<Promise<void>>();
  return {
    bindSource: (directory, source) => posix.join('/', relative(directory, within(ground.files, directory, source))),
    run: (request) => run(ground, request, leaving),
    async settled() {
      await Promise.all(leaving);
    },
    sweep: () => sweep(ground),
  };
}

async function run(ground: RunGround, request: RunRequest, leaving: Set<Promise<void>>): Promise<RunOutcome> {
  checkEntitlements(request);
  request.signal.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  const mounts = stack.use(await StepMounts.open(ground, request));
  const { id } = await ground.containers.createStep({ spec: specOf(request, mounts.requests), parts: mounts.parts });
  const removal = new Removal(ground, id);
  stack.use(removal);
  request.onCreated(id);
  const exitCode = await runToEnd(ground, request, { id, removal });
  const layer = exitCode === 0 ? await capture(ground, request, id) : null;
  const kept = stack.move();
  return {
    containerId: id,
    exitCode,
    layer,
    keep: () => removal.cancel(),
    [Symbol.asyncDispose]: async () => {
      const left = leave(ground, kept).finally(() => leaving.delete(left));
      leaving.add(left);
      return Promise.resolve();
    },
  };
}

/** Never rejects: what was made is made. */
async function leave({ logger }: RunGround, kept: AsyncDisposableStack): Promise<void> {
  try {
    await kept.disposeAsync();
  } catch (error) {
    logger.warn('what a build step had could not be given back', { reason: messageOf(error) });
  }
}

/** Its exit code. An abort ends it at once, whatever it is doing. */
async function runToEnd(
  { containers }: RunGround,
  { signal, output }: RunRequest,
  { id, removal }: { readonly id: ContainerId; readonly removal: Removal },
): Promise<number> {
  const attachment = await containers.attach(id, {
    stdin: false,
    stdout: true,
    stderr: true,
    logs: false,
    stream: true,
    detachKeys: '',
  });
  const gone = new AbortController();
  const told = attachment.run({ stdin: null, output, signal: gone.signal });
  // Waited for below; until then its failure is nobody's.
  told.catch(() => undefined);
  const onAbort = (): void => void removal.begin().catch(() => undefined);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const ended = containers.wait(id, 'next-exit', gone.signal);
    // One that never starts never ends.
    ended.result.catch(() => undefined);
    await containers.start(id);
    const { exitCode } = await ended.result;
    signal.throwIfAborted();
    await told;
    return exitCode;
  } catch (error) {
    // What an abort breaks on its way is not the reason.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    gone.abort();
  }
}

function capture(
  { containers }: RunGround,
  { draftPath, signal, isKept, sourceDateEpoch }: RunRequest,
  id: ContainerId,
): ReturnType<StepContainers['captureStep']> {
  return containers.captureStep(id, {
    blobPath: draftPath,
    isSpent: isKept !== true,
    latestTime: sourceDateEpoch,
    signal,
  });
}

/** Takes the step's container away, once, however often it is asked to. */
class Removal implements AsyncDisposable {
  readonly #ground: RunGround;
  readonly #id: ContainerId;
  #done: Promise<void> | null = null;

  constructor(ground: RunGround, id: ContainerId) {
    this.#ground = ground;
    this.#id = id;
  }

  begin(): Promise<void> {
    this.#done ??= this.#ground.containers.remove(this.#id, { force: true, volumes: true });
    return this.#done;
  }

  /** It stays, as a container like others. */
  cancel(): void {
    if (this.#done !== null) return;
    this.#ground.containers.keepStep(this.#id);
    this.#done = Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.begin().catch((error: unknown) => {
      this.#ground.logger.warn('the container of a build step could not be removed', {
        container: this.#id,
        reason: messageOf(error),
      });
    });
  }
}

async function sweep(ground: RunGround): Promise<void> {
  const { containers, logger } = ground;
  for (const id of containers.steps()) {
    await containers.remove(id, { force: true, volumes: true }).catch((error: unknown) => {
      logger.warn('what was left of a build step could not be removed', { container: id, reason: messageOf(error) });
    });
  }
  await sweepScratch(ground);
}
