import type { ApiClient } from '../client.ts';
import { listOf, objectOf, textOf, textsOf } from '../json.ts';
import type { Stdio } from '../session.ts';

/** Resolves when the daemon answers; prints `OK`. */
export async function ping(client: ApiClient, { stdout }: Stdio): Promise<void> {
  const answer = await client.stream('GET', '/_ping');
  for await (const chunk of answer) stdout.write(chunk as Buffer);
  stdout.write('\n');
}

/** Prints moor's version and the daemon's. */
export async function version(client: ApiClient, { stdout }: Stdio, ownVersion: string): Promise<void> {
  stdout.write(`Client: moor\n Version:           ${ownVersion}\n`);
  const server = objectOf(await client.get('/version'));
  const lines: readonly (readonly [string, string])[] = [
    ['Version', textOf(server['Version'])],
    ['API version', `${textOf(server['ApiVersion'])} (minimum version ${textOf(server['MinAPIVersion'])})`],
    ['OS/Arch', `${textOf(server['Os'])}/${textOf(server['Arch'])}`],
    ['Kernel', textOf(server['KernelVersion'])],
    ...listOf(server['Components']).map((part) => [textOf(part['Name']), textOf(part['Version'])] as const),
  ];
  stdout.write(`\nServer:\n${lines.map(([name, value]) => ` ${`${name}:`.padEnd(18)} ${value}\n`).join('')}`);
}

/** Prints what the daemon tells about itself and its host. */
export async function info(client: ApiClient, { stdout, stderr }: Stdio): Promise<void> {
  const facts = objectOf(await client.get('/info'));
  const lines: readonly (readonly [string, string])[] = [
    ['Containers', textOf(facts['Containers'])],
    [' Running', textOf(facts['ContainersRunning'])],
    [' Paused', textOf(facts['ContainersPaused'])],
    [' Stopped', textOf(facts['ContainersStopped'])],
    ['Images', textOf(facts['Images'])],
    ['Server Version', textOf(facts['ServerVersion'])],
    ['Storage Driver', textOf(facts['Driver'])],
    ['Logging Driver', textOf(facts['LoggingDriver'])],
    ['Cgroup Driver', textOf(facts['CgroupDriver'])],
    ['Cgroup Version', textOf(facts['CgroupVersion'])],
    ['Runtimes', Object.keys(objectOf(facts['Runtimes'])).join(' ')],
    ['Default Runtime', textOf(facts['DefaultRuntime'])],
    ['Kernel Version', textOf(facts['KernelVersion'])],
    ['Operating System', textOf(facts['OperatingSystem'])],
    ['Architecture', textOf(facts['Architecture'])],
    ['CPUs', textOf(facts['NCPU'])],
    ['Name', textOf(facts['Name'])],
    ['Docker Root Dir', textOf(facts['DockerRootDir'])],
  ];
  stdout.write(lines.map(([name, value]) => `${name}: ${value}\n`).join(''));
  for (const warning of textsOf(facts['Warnings'])) stderr.write(`${warning}\n`);
}
