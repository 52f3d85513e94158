import { ConflictError, InvalidArgumentError } from '../../../base/errors.ts';
import type { WaitCondition } from '../../../engine/index.ts';
import { detailsOfContainer } from '../../words/container-details.ts';
import { decodeDictionary, type Dictionary } from '../../bus/dictionary.ts';
import { done, variant, type Call, type MethodHandler, type Variant } from '../../bus/exported.ts';
import { millisecondsOf } from '../../bus/times.ts';
import type { Subject } from './parts.ts';

const WAIT_CONDITIONS: readonly WaitCondition[] = ['not-running', 'next-exit', 'removed', 'healthy'];

type Details = Readonly<Record<string, Variant>>;

/** Start, stop and all that changes what a container does. */
export function lifecycleMethods(subject: Subject): Readonly<Record<string, MethodHandler>> {
  const { containers } = subject.parts.engine;
  const { id } = subject;
  return {
    Start: async (_call, options: Dictionary) => start(subject, options),
    Stop: async (call, options: Dictionary) => {
      const how = stopOptionsOf(options);
      return [job(subject, call, 'stop', async () => ({ Stopped: variant('b', await containers.stop(id, how)) }))];
    },
    Restart: async (call, options: Dictionary) => {
      const how = stopOptionsOf(options);
      return [job(subject, call, 'restart', async () => nothing(containers.restart(id, how)))];
    },
    Kill: async (_call, signal: string) => done(containers.kill(id, signal)),
    Pause: async () => done(containers.pause(id)),
    Unpause: async () => done(containers.unpause(id)),
    Rename: async (_call, name: string) => done(containers.rename(id, name)),
    Remove: async (call, options: Dictionary) => {
      const given = decodeDictionary({ Force: 'b', Volumes: 'b' }, options);
      const how = { force: given.Force ?? false, volumes: given.Volumes ?? false };
      return [job(subject, call, 'remove', async () => nothing(containers.remove(id, how)))];
    },
    Wait: async (call, condition: string) => wait(subject, call, condition),
  };
}

async function start({ parts, id }: Subject, options: Dictionary): Promise<readonly unknown[]> {
  const { AllowRunning: allowRunning = false } = decodeDictionary({ AllowRunning: 'b' }, options);
  const hasStarted = await parts.engine.containers.start(id);
  if (!hasStarted && !allowRunning) throw new ConflictError(`container ${id} is already running`);
  return [];
}

/** In the engine's words: a negative time-out waits for ever. */
function stopOptionsOf(options: Dictionary): {
  readonly signal: string | null;
  readonly timeoutSeconds: number | null;
} {
  const { Timeout: timeout, Signal: signal } = decodeDictionary({ Timeout: 't', Signal: 's' }, options);
  const ms = timeout === undefined ? null : millisecondsOf(timeout);
  return { signal: signal ?? null, timeoutSeconds: ms === null ? null : ms === Infinity ? -1 : ms / 1000 };
}

/** The engine sees such a verb through once it has begun: no cancel. */
function job(subject: Subject, call: Call, type: string, work: () => Promise<Details>): string {
  return subject.parts.jobs.start(
    {
      type,
      objects: [subject.path],
      call,
      action: 'manage-containers',
      details: detailsOfContainer(subject.view()),
      cancelable: false,
    },
    work,
  );
}

async function wait({ parts, id }: Subject, call: Call, given: string): Promise<readonly unknown[]> {
  const condition = WAIT_CONDITIONS.find((known) => known === given);
  if (condition === undefined) throw new InvalidArgumentError(`invalid condition: ${JSON.stringify(given)}`);
  const { exitCode, error } = await parts.engine.containers.wait(id, condition, call.signal).result;
  return [exitCode, error ?? ''];
}

async function nothing(verb: Promise<void>): Promise<Details> {
  await verb;
  return {};
}
