/** Containers in: made, or pulled for, made and started. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import { decodeContainerConfig, type ContainerWish } from '../../words/container-config.ts';
import { detailsOfSpec } from '../../words/container-details.ts';
import type { Dictionary } from '../../bus/dictionary.ts';
import { variant, type Call, type Variant } from '../../bus/exported.ts';
import type { JobProgress } from '../../jobs/jobs.ts';
import { pathOf } from '../../names.ts';
import type { CreateOrder } from '../../words/rest-words.ts';
import { pull, wantedReference } from './images.ts';
import type { ManagerParts, Methods } from './parts.ts';

type Details = Readonly<Record<string, Variant>>;

export function containerMethods(parts: ManagerParts): Methods {
  const { words } = parts;
  return {
    CreateContainer: async (_call: Call, name: string, image: string, config: Dictionary) =>
      replyOf(await create(parts, name, orderOf(parts, decodeContainerConfig(image, config)))),
    CreateContainerFromJSON: async (_call: Call, name: string, body: string) =>
      replyOf(await create(parts, name, words.createOrder(body, ''))),
    RunContainer: (call: Call, name: string, image: string, command: readonly string[], config: Dictionary) => {
      const wish = wishToRun(image, command, config);
      const order = orderOf(parts, wish);
      return [
        parts.jobs.start(
          {
            type: 'run',
            objects: [],
            call,
            action: 'run-container',
            details: { container: name, ...detailsOfSpec(order.spec) },
            cancelable: true,
          },
          async (job) => run(parts, { name, image, wish, order }, job),
        ),
      ];
    },
  };
}

/**
 * What polkit may look at before a container is made. What cannot be understood gets the bare names: the method refuses it
 * a moment later in its own words.
 */
export function detailsOfOrder(
  parts: ManagerParts,
  member: string,
  args: readonly unknown[],
): Readonly<Record<string, string>> {
  const [name, image] = args as readonly string[];
  try {
    return { container: name ?? '', ...detailsOfSpec(orderOfCall(parts, member, args).spec) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { container: name ?? '', ...(member === 'CreateContainerFromJSON' ? {} : { image: image ?? '' }) };
  }
}

function orderOfCall(parts: ManagerParts, member: string, args: readonly unknown[]): CreateOrder {
  switch (member) {
    case 'CreateContainerFromJSON':
      return parts.words.createOrder(args[1] as string, '');
    case 'RunContainer':
      return orderOf(parts, wishToRun(args[1] as string, args[2] as readonly string[], args[3] as Dictionary));
    default:
      return orderOf(parts, decodeContainerConfig(args[1] as string, args[2] as Dictionary));
  }
}

function orderOf({ words }: ManagerParts, { document, platform }: ContainerWish): CreateOrder {
  return words.createOrder(JSON.stringify(document), platform);
}

/** An empty command is none: the image's own, or the one in the configuration. */
function wishToRun(image: string, command: readonly string[], config: Dictionary): ContainerWish {
  if (command.length > 0 && config['Command'] !== undefined) {
    throw new InvalidArgumentError('the command is given twice: as an argument and with key "Command"');
  }
  const full = command.length === 0 ? config : { ...config, Command: variant('as', command) };
  return decodeContainerConfig(image, full);
}

interface Made {
  readonly id: ContainerId;
  readonly path: string;
  readonly warnings: readonly string[];
}

async function create({ engine }: ManagerParts, name: string, order: CreateOrder): Promise<Made> {
  const { spec, frontDocument } = order;
  const { id, warnings } = await engine.containers.create({ name: name === '' ? null : name, spec, frontDocument });
  return { id, path: pathOf('container', id), warnings: [...order.warnings, ...warnings] };
}

function replyOf({ path, warnings }: Made): readonly unknown[] {
  return [path, warnings];
}

interface RunOrder {
  readonly name: string;
  readonly image: string;
  readonly wish: ContainerWish;
  readonly order: CreateOrder;
}

async function run(parts: ManagerParts, { name, image, wish, order }: RunOrder, job: JobProgress): Promise<Details> {
  const { containers } = parts.engine;
  await pullFirst(parts, image, wish, job);
  job.signal.throwIfAborted();
  job.report({ phase: 'creating', done: 0, total: 0 });
  const { id, path, warnings } = await create(parts, name, order);
  const made: Details = { Container: variant('o', path), Warnings: variant('as', warnings) };
  job.report({ phase: 'starting', done: 0, total: 0 });
  // Registered before the start: no exit is too quick for it.
  const exit = wish.wait ? containers.wait(id, 'next-exit', job.signal) : null;
  exit?.result.catch(() => undefined);
  await containers.start(id);
  if (exit === null) return made;
  job.report({ phase: 'waiting', done: 0, total: 0 });
  const { exitCode } = await exit.result;
  return { ...made, ExitCode: variant('i', exitCode) };
}

async function pullFirst(parts: ManagerParts, image: string, wish: ContainerWish, job: JobProgress): Promise<void> {
  const { images } = parts.engine;
  if (wish.pull === 'never' || (wish.pull === 'missing' && images.find(image) !== null)) return;
  const platform = parts.words.platform(wish.platform);
  await pull(parts, { reference: wantedReference(image, false), platform, auth: null }, job);
}
