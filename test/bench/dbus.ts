/**
 * What the D-Bus front costs, printed and not asserted: `bin/node test/bench/dbus.ts`.
 *
 *   GetManagedObjects of 1,000 containers: how long the main thread is held, over a real bus and without one
 *   a change of 1,000 objects: reading properties anew, comparing, announcing
 *   calls a second, one after another and a hundred at once
 *   memory and time that the front takes when it is loaded
 */
import { SystemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { ExportedObject } from '../../src/dbus/bus/exported.ts';

const CONTAINERS = 1_000;
const clock = new SystemClock();

const heapBefore = process.memoryUsage();
const loadStart = clock.monotonicMs();
const [{ startBareFront }, { PrivateBus }, { Tree }, { interfaceInfo }, { interfaceName, pathOf, ROOT, SERVICE }] =
  await Promise.all([
    import('../support/bus-front.ts'),
    import('../support/private-bus.ts'),
    import('../../src/dbus/bus/tree.ts'),
    import('../../src/dbus/introspection.ts'),
    import('../../src/dbus/names.ts'),
  ]);
const heapAfter = process.memoryUsage();
print(
  'loading the front (sources, koffi included)',
  `${ms(clock.monotonicMs() - loadStart)}, ${mib(heapAfter.rss - heapBefore.rss)} resident`,
);

const info = interfaceInfo(interfaceName('Container'));
const methods = Object.fromEntries([...info.methods.keys()].map((name) => [name, () => []]));
let changes = 0;

const tree = new Tree({ clock, logger: silentLogger });
measure(`adding ${String(CONTAINERS)} containers`, 1, () => fill(tree));
const bytes = tree.managedObjects().length;
print('size of the answer', `${(bytes / 1024).toFixed(0)} KiB`);
measure('GetManagedObjects, main thread', 20, () => tree.managedObjects());
measure('all of them changed', 5, () => {
  changes++;
  for (let index = 0; index < CONTAINERS; index++) tree.changed(pathOf('container', idOf(index)));
  tree.flush();
});

const bus = await PrivateBus.start();
const front = await startBareFront(bus.address);
fill(front.tree);
const client = await bus.connect();
const order = {
  destination: SERVICE,
  path: ROOT,
  interface: 'org.freedesktop.DBus.ObjectManager',
  member: 'GetManagedObjects',
};
const ping = { ...order, interface: 'org.freedesktop.DBus.Peer', member: 'Ping' };
await client.call(ping);
await timed('GetManagedObjects over the bus (both ends in this process)', 3, () => client.call(order));
await timed('100 calls one after another', 3, async () => {
  for (let index = 0; index < 100; index++) await client.call(ping);
});
await timed('100 calls at once', 3, () => Promise.all(Array.from({ length: 100 }, () => client.call(ping))));
await front[Symbol.asyncDispose]();
await bus[Symbol.asyncDispose]();

function fill(target: InstanceType<typeof Tree>): void {
  for (let index = 0; index < CONTAINERS; index++) target.add(container(index));
}

function container(index: number): ExportedObject {
  return {
    path: pathOf('container', idOf(index)),
    interfaces: [{ name: info.name, methods, properties: propertiesOf(index) }],
  };
}

/** Made anew at each call, as the mirror makes them. */
function propertiesOf(index: number): () => Readonly<Record<string, unknown>> {
  let made = -1;
  let values: Readonly<Record<string, unknown>> = {};
  return () => {
    if (made !== changes) {
      values = Object.fromEntries([...info.properties.values()].map(({ name, type }) => [name, valueOf(type, index)]));
      made = changes;
    }
    return { ...values };
  };
}

function valueOf(type: string, index: number): unknown {
  switch (type) {
    case 's':
      return `value ${String(index)} ${String(changes)}`;
    case 'o':
      return pathOf('image', idOf(index));
    case 'b':
      return index % 2 === 0;
    case 'ao':
      return [pathOf('network', idOf(index))];
    case 'as':
      return ['one', 'two'];
    case 'a(sqqs)':
      return [['0.0.0.0', 8080, 80, 'tcp']];
    case 't':
    case 'x':
      return 1_700_000_000_000_000n;
    default:
      return type.startsWith('a{') ? {} : type.startsWith('a') ? [] : index;
  }
}

function idOf(index: number): string {
  return index.toString(16).padStart(64, '0');
}

function measure(title: string, rounds: number, job: () => void): void {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = clock.monotonicMs();
    job();
    times.push(clock.monotonicMs() - start);
  }
  report(title, times);
}

async function timed(title: string, rounds: number, job: () => Promise<unknown>): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = clock.monotonicMs();
    await job();
    times.push(clock.monotonicMs() - start);
  }
  report(title, times);
}

function report(title: string, times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  print(
    title,
    times.length === 1 ? ms(median) : `${ms(median)} (first ${ms(times[0] ?? 0)}, worst ${ms(sorted.at(-1) ?? 0)})`,
  );
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function mib(value: number): string {
  return `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

function print(title: string, text: string): void {
  process.stdout.write(`${title.padEnd(60)} ${text}\n`);
}
