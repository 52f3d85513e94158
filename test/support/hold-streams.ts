/** A program for tests: opens every kind of stream of a container and holds them until it is killed. */
import { SystemClock } from '../../src/base/clock.ts';
import { connectBus } from '../../src/dbus/bus/connection.ts';
import { variant } from '../../src/dbus/bus/exported.ts';
import { createDescriptorCalls } from '../../src/engine/kernel/linux/descriptors.ts';
import { BusClient } from './bus-containers.ts';

const [socketPath = '', path = ''] = process.argv.slice(2);
const descriptors = createDescriptorCalls();
const ignore = (): void => undefined;
const client = await BusClient.on(
  await connectBus({
    stream: descriptors.connect(socketPath),
    clock: new SystemClock(),
    closeFd: (fd) => descriptors.close(fd),
    events: { call: ignore, unreadable: ignore, bounce: ignore, closed: ignore },
  }),
);
await client.call(path, 'OpenLogs', 'a{sv}', [{ Follow: variant('b', true) }]);
await client.call(path, 'Attach', 'a{sv}', [{}]);
await client.call(path, 'OpenShell', 'ssasas', ['', '', [], []]);
process.stdout.write('held\n');
process.stdin.resume();
