/** The entry point of the interface: the engine as a whole, making things, jobs, events, diagnostics. */
import { ForbiddenError } from '../../base/errors.ts';
import type { SystemInfo } from '../../engine/index.ts';
import { decodeDictionary, type Dictionary } from '../bus/dictionary.ts';
import type { Call, ExportedInterface } from '../bus/exported.ts';
import type { Job } from '../jobs/job.ts';
import { detailsOf as detailsOfOutcome } from '../jobs/job-registry.ts';
import { interfaceName, MANAGER_PATH, namedPath, pathOf } from '../names.ts';
import { networkRequestOf } from '../words/network-config.ts';
import { scheduleOf } from '../words/schedule-words.ts';
import type { ServiceFacts } from '../service-port.ts';
import { millisecondsOf, usecOf } from '../bus/times.ts';
import { buildMethods, detailsOfBuild } from './engine/build.ts';
import { containerMethods, detailsOfOrder } from './engine/containers.ts';
import { ContainerCounts } from './engine/counts.ts';
import { findingsOf, type Finding } from './engine/diagnostics.ts';
import { eventMethods, eventSignalArgs } from './engine/events.ts';
import { imageMethods } from './engine/images.ts';
import { detailsOfReference, listingMethods } from './engine/listing.ts';
import type { ManagerParts, Methods } from './engine/parts.ts';
import { pruneMethods } from './engine/prune.ts';
import { secretMethods } from './engine/secrets.ts';
import { upkeepMethods } from './engine/upkeep.ts';
import { usageMethods } from './engine/usage.ts';

export interface ExportManagerOptions extends ManagerParts {
  /** How many images there are; the mirror of images knows. */
  readonly imageCount: () => number;
}

/** Puts the manager into the tree and keeps its properties and signals going. */
export async function exportManager(options: ExportManagerOptions): Promise<Disposable> {
  const { engine, tree, facts } = options;
  using watching = new DisposableStack();
  const changed = (): void => tree.changed(MANAGER_PATH);
  const known = { info: await engine.system.info() };
  const counts = watching.use(new ContainerCounts(engine, changed));
  const refresh = async (): Promise<void> => {
    known.info = await engine.system.info();
    changed();
  };
  tree.add({ path: MANAGER_PATH, interfaces: [interfaceOf(options, counts, () => known.info)] });
  const signal = interfaceName('Manager');
  watching.use(engine.events.listen((event) => tree.emit(MANAGER_PATH, signal, 'Event', eventSignalArgs(event))));
  watching.use(engine.images.watch(changed));
  watching.use(
    facts.watch((change) => {
      if (change.kind === 'reloading') tree.emit(MANAGER_PATH, signal, 'Reloading', [change.active]);
      changed();
      // What a reload changes of the engine's own facts is known a moment later.
      void refresh().catch((error: unknown) => {
        options.logger.warn('the facts about the engine could not be read anew', { error: String(error) });
      });
    }),
  );
  return watching.move();
}

function interfaceOf(
  options: ExportManagerOptions,
  counts: ContainerCounts,
  info: () => SystemInfo,
): ExportedInterface {
  return {
    name: interfaceName('Manager'),
    // The data root's file system fills without telling.
    isVolatile: true,
    methods: {
      ...usageMethods(options),
      ...listingMethods(options),
      ...containerMethods(options),
      ...imageMethods(options),
      ...buildMethods(options),
      ...pruneMethods(options),
      ...secretMethods(options),
      ...upkeepMethods(options),
      ...eventMethods(options),
      ...jobMethods(options),
      ...ownMethods(options, info),
    },
    properties: () => propertiesOf(options, counts, info()),
    polkitDetails: (member, args) => detailsOfCall(options, member, args),
  };
}

/** Who started a job is told of it; whoever else must hold `inspect`. */
function jobMethods({ jobs }: ManagerParts): Methods {
  return {
    ListJobs: async (call: Call) => {
      const isSeen = (await maySeeOthers(call)) ? () => true : (job: Job) => job.request.call.uid === call.uid;
      return [
        jobs
          .list()
          .filter(isSeen)
          .map(({ id, request, state, meter }) => [id, pathOf('job', String(id)), request.type, state, meter.fraction]),
      ];
    },
    WaitJob: async (call: Call, id: number, timeoutUsec: bigint) => {
      const isOwn = jobs.list().some((job) => job.id === id && job.request.call.uid === call.uid);
      if (!isOwn) await call.authorize('inspect', {});
      const timeoutMs = timeoutUsec === 0n ? null : millisecondsOf(timeoutUsec);
      const outcome = await jobs.wait(id, timeoutMs, call.signal);
      return [outcome.result, detailsOfOutcome(outcome)];
    },
  };
}

async function maySeeOthers(call: Call): Promise<boolean> {
  try {
    await call.authorize('inspect', {});
    return true;
  } catch (error) {
    if (error instanceof ForbiddenError) return false;
    throw error;
  }
}

const VOLUME_KEYS = { Driver: 's', Options: 'a{ss}', Labels: 'a{ss}' } as const;

function ownMethods({ engine, facts, tree }: ManagerParts, info: () => SystemInfo): Methods {
  return {
    CreateNetwork: async (_call: Call, name: string, config: Dictionary) => {
      const { network } = await engine.networks.create(networkRequestOf(name, config));
      return [pathOf('network', network.id)];
    },
    CreateVolume: async (_call: Call, name: string, config: Dictionary) => {
      const given = decodeDictionary(VOLUME_KEYS, config);
      const volume = await engine.volumes.create({
        name: name === '' ? null : name,
        driver: given.Driver ?? null,
        labels: given.Labels ?? {},
        options: given.Options ?? {},
      });
      return [namedPath('volume', volume.name)];
    },
    AddSchedule: async (_call: Call, name: string, cron: string, operation: string, options: Dictionary) => {
      const { name: added } = await engine.schedules.add(scheduleOf(name, cron, operation, options));
      return [namedPath('schedule', added)];
    },
    GetDiagnostics: () => {
      // Who asks sees the truth of now; so shall the property.
      tree.changed(MANAGER_PATH);
      return [findingsOf(info(), facts).map(findingRow)];
    },
    Reload: async () => [await facts.reload()],
  };
}

function findingRow({ severity, code, object, hint, details }: Finding): readonly unknown[] {
  return [severity, code, object, hint, details];
}

function detailsOfCall(
  options: ManagerParts,
  member: string,
  args: readonly unknown[],
): Readonly<Record<string, string>> {
  switch (member) {
    case 'CreateContainer':
    case 'CreateContainerFromJSON':
    case 'RunContainer':
      return detailsOfOrder(options, member, args);
    case 'BuildImage':
    case 'BuildImageFromPath':
      return detailsOfBuild(options, args);
    case 'GetContainer':
      return detailsOfReference(options, args[0] as string);
    case 'PullImage':
    case 'DeleteRemoteImage':
    case 'GetImage':
      return { image: args[0] as string };
    case 'ImportImage':
      return { image: args[1] as string };
    case 'CreateNetwork':
    case 'GetNetwork':
      return { network: args[0] as string };
    case 'CreateVolume':
    case 'GetVolume':
      return { volume: args[0] as string };
    case 'CreateSecret':
    case 'SetSecretData':
    case 'SetSecretLabels':
    case 'RemoveSecret':
      return { secret: args[0] as string };
    case 'PreviewPrune':
    case 'Prune':
      return { types: (args[0] as readonly string[]).join(',') };
    case 'AddSchedule':
      return { schedule: args[0] as string };
    default:
      return {};
  }
}

function propertiesOf(
  { facts, imageCount }: ExportManagerOptions,
  counts: ContainerCounts,
  info: SystemInfo,
): Readonly<Record<string, unknown>> {
  const findings = findingsOf(info, facts);
  return {
    Version: facts.version,
    ApiVersion: facts.apiVersion,
    MinApiVersion: facts.minApiVersion,
    StartedAt: usecOf(facts.startedAt),
    State: stateOf(facts, findings),
    Warnings: [...new Set(findings.filter(({ severity }) => severity !== 'info').map(({ code }) => code))],
    ContainersRunning: counts.running,
    ContainersPaused: counts.paused,
    ContainersStopped: counts.stopped,
    Images: imageCount(),
    StorageDriver: info.storageDriver,
    RootDirectory: info.dataRoot,
    CgroupDriver: info.cgroupDriver,
    CgroupVersion: Number(info.cgroupVersion),
    DefaultRuntime: info.defaultRuntime,
    Runtimes: Object.keys(info.runtimes),
    SecurityOptions: info.securityOptions,
    FirewallBackend: facts.firewallBackend(),
    LiveRestore: info.liveRestore,
    Listeners: facts.listeners().map(({ address }) => address),
    DataSpaceAvailable: facts.dataSpace().availableBytes,
    NCPU: info.cpuCount,
    MemoryTotal: info.memoryBytes,
  };
}

/** Running, and yet something is wrong enough to look at it. */
function stateOf(facts: ServiceFacts, findings: readonly Finding[]): string {
  const state = facts.state();
  return state === 'running' && findings.some(({ severity }) => severity === 'error') ? 'degraded' : state;
}
