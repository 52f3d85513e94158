/** What a container does at this moment: its processes, and what it uses. */
import { ConflictError, InvalidArgumentError } from '../../../base/errors.ts';
import type { ContainerUsage, DeviceCounter, InterfaceCounters } from '../../../engine/index.ts';
import { variant, type MethodHandler, type Variant } from '../../bus/exported.ts';
import type { Subject } from './parts.ts';

/** The engine takes one sample a second. */
const TICK_USEC = 1_000_000n;

export function usageMethods(subject: Subject): Readonly<Record<string, MethodHandler>> {
  const { parts, id } = subject;
  return {
    GetProcesses: async (call, psArguments: string) => {
      const { titles, rows } = await parts.engine.containers.top(id, psArguments, call.signal);
      return [titles, rows];
    },
    GetStats: async () => {
      const usage = await parts.engine.containers.usage(id);
      if (usage === null) throw new ConflictError(`container ${id} is not running`);
      return [statsOf(usage)];
    },
    OpenStats: (_call, intervalUsec: bigint) => [openStats(subject, intervalUsec)],
  };
}

/** Documents as of `GET /containers/ID/stats`, a line each; one interval apart, in whole seconds. */
function openStats(subject: Subject, intervalUsec: bigint): number {
  const { parts, id } = subject;
  if (intervalUsec < TICK_USEC) throw new InvalidArgumentError('interval_usec: at least a second (1000000)');
  const every = Number(intervalUsec / TICK_USEC);
  const { name } = subject.view();
  return parts.streams.send(async (client) => {
    let previous: ContainerUsage | null = null;
    let ticks = 0;
    for await (const current of parts.engine.containers.followUsage(id, client.signal)) {
      if (ticks % every === 0) {
        await client.write(Buffer.from(`${parts.words.statsText({ id, name }, current, previous)}\n`));
        previous = current;
      }
      ticks += 1;
    }
  });
}

function statsOf({ resources, networks, hostMemoryBytes }: ContainerUsage): Readonly<Record<string, Variant>> {
  const { cpu, memory, pids, block } = resources;
  const sum = (op: string): bigint => sumOf(block.bytes, op);
  const limit = memory?.limitBytes ?? hostMemoryBytes;
  return {
    CpuUsageNSec: variant('t', cpu.totalNs),
    ...(memory === null
      ? {}
      : {
          MemoryCurrent: variant('t', memory.currentBytes),
          MemoryLimit: variant('t', limit < hostMemoryBytes ? limit : hostMemoryBytes),
        }),
    ...(pids === null ? {} : { PidsCurrent: variant('t', pids.current) }),
    IOReadBytes: variant('t', sum('read')),
    IOWriteBytes: variant('t', sum('write')),
    Networks: variant('a{sa{st}}', Object.fromEntries(networks.map((one) => [one.name, trafficOf(one)]))),
  };
}

function sumOf(counters: readonly DeviceCounter[], wanted: string): bigint {
  return counters.reduce((sum, { op, value }) => (op.toLowerCase() === wanted ? sum + value : sum), 0n);
}

function trafficOf(one: InterfaceCounters): Readonly<Record<string, bigint>> {
  return {
    RxBytes: one.receivedBytes,
    RxPackets: one.receivedPackets,
    RxErrors: one.receiveErrors,
    RxDropped: one.receiveDropped,
    TxBytes: one.sentBytes,
    TxPackets: one.sentPackets,
    TxErrors: one.sendErrors,
    TxDropped: one.sendDropped,
  };
}
