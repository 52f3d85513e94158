import { Command, CommanderError } from 'commander';
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { ApiClient } from './client.ts';
import { hostOf, parseHost } from './endpoint.ts';
import { ExitError } from './errors.ts';
import type { RunOptions } from './run-request.ts';
import type { Stdio } from './session.ts';
import { logs, ps, remove, stop } from './verbs/containers.ts';
import type { LogsOptions, PsOptions } from './verbs/containers.ts';
import { imageHistory, removeImages, tagImage } from './verbs/image-names.ts';
import { images, importImage, pull, push } from './verbs/images.ts';
import type { ImportOptions, PushOptions } from './verbs/images.ts';
import { load, save } from './verbs/archives.ts';
import type { LoadOptions, SaveOptions } from './verbs/archives.ts';
import { exec, run } from './verbs/run.ts';
import type { ExecOptions } from './verbs/run.ts';
import { info, ping, version } from './verbs/system.ts';

export interface Surroundings {
  readonly stdio: Stdio;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly version: string;
}

/** Runs moor on these words; resolves with its exit code and never rejects. */
export async function runProgram(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { stdio } = surroundings;
  const outcome = { exitCode: 0 };
  try {
    await program(surroundings, outcome).parseAsync([...argv], { from: 'user' });
    return outcome.exitCode;
  } catch (error) {
    // Commander has said what it had to say.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 125;
    const message = messageOf(error);
    if (message !== '') stdio.stderr.write(`${message}\n`);
    return error instanceof ExitError ? error.exitCode : 1;
  }
}

function program(surroundings: Surroundings, outcome: { exitCode: number }): Command {
  const { stdio, env } = surroundings;
  const root = new Command('moor')
    .description('A thin client of the moored engine (or of any Docker engine) over its REST API.')
    .option('-H, --host <host>', 'Daemon socket to connect to (MOORED_HOST, DOCKER_HOST)')
    .version(`moor version ${surroundings.version}`, '-v, --version', 'Print version information and quit')
    .exitOverride()
    .configureOutput({ writeOut: (text) => stdio.stdout.write(text), writeErr: (text) => stdio.stderr.write(text) })
    .enablePositionalOptions();
  const client = (): ApiClient => {
    const host = hostOf(root.opts<{ host?: string }>().host, env);
    return new ApiClient(parseHost(host), host);
  };
  addRunVerbs(root, client, stdio, outcome);
  addContainerVerbs(root, client, surroundings);
  addImageVerbs(root, client, surroundings);
  addSystemVerbs(root, client, surroundings);
  return root;
}

function addRunVerbs(root: Command, client: () => ApiClient, stdio: Stdio, outcome: { exitCode: number }): void {
  root
    .command('run <image> [command...]')
    .description('Create and run a new container from an image')
    .option('-d, --detach', 'Run in the background and print the container id')
    .option('-i, --interactive', 'Keep stdin open')
    .option('-t, --tty', 'Allocate a terminal')
    .option('--rm', 'Remove the container when it exits')
    .option('--name <name>', 'Assign a name')
    .option('-e, --env <variable>', 'Set an environment variable', collect, [])
    .option('--env-file <file>', 'Read a file of environment variables', collect, [])
    .option('-v, --volume <volume>', 'Bind mount a folder or a volume', collect, [])
    .option('-p, --publish <port>', "Publish a container's port", collect, [])
    .option('-w, --workdir <folder>', 'Working directory inside the container')
    .option('-u, --user <user>', 'Name or id, with a group after a colon')
    .option('-h, --hostname <name>', 'Host name inside the container')
    .option('--network <network>', 'Connect to a network')
    .option('--entrypoint <program>', "Overwrite the image's entrypoint")
    .helpOption('--help', 'Print usage')
    .passThroughOptions()
    .action(async (image: string, command: string[], options: RunOptions) => {
      outcome.exitCode = await run(client(), stdio, image, command, options);
    });
  root
    .command('exec <container> <command...>')
    .description('Run a command in a running container')
    .option('-i, --interactive', 'Keep stdin open')
    .option('-t, --tty', 'Allocate a terminal')
    .option('-e, --env <variable>', 'Set an environment variable', collect, [])
    .option('-w, --workdir <folder>', 'Working directory inside the container')
    .option('-u, --user <user>', 'Name or id, with a group after a colon')
    .passThroughOptions()
    .action(async (container: string, command: string[], options: ExecOptions) => {
      outcome.exitCode = await exec(client(), stdio, container, command, options);
    });
}

function addContainerVerbs(root: Command, client: () => ApiClient, { stdio, clock }: Surroundings): void {
  root
    .command('ps')
    .description('List containers')
    .option('-a, --all', 'Show those that do not run, too')
    .option('-q, --quiet', 'Only ids')
    .option('--no-trunc', 'Cut nothing short')
    .action(async (options: PsOptions) => ps(client(), stdio, clock, options));
  root
    .command('logs <container>')
    .description('Print what a container wrote')
    .option('-f, --follow', 'Go on as it writes')
    .option('-t, --timestamps', 'Begin each line with its time')
    .option('-n, --tail <lines>', 'Only so many lines from the end')
    .option('--since <time>', 'Only since this time')
    .action(async (container: string, options: LogsOptions) => logs(client(), stdio, container, options));
  root
    .command('stop <container...>')
    .description('Stop running containers')
    .option('-t, --time <seconds>', 'Wait so long before killing')
    .action(async (names: string[], { time }: { time?: string }) => stop(client(), stdio, names, time));
  root
    .command('rm <container...>')
    .description('Remove containers')
    .option('-f, --force', 'Kill them first if they run')
    .option('-v, --volumes', 'Remove their anonymous volumes, too')
    .action(async (names: string[], options: { force?: boolean; volumes?: boolean }) =>
      remove(client(), stdio, names, options),
    );
}

function addImageVerbs(root: Command, client: () => ApiClient, { stdio, clock }: Surroundings): void {
  root
    .command('images')
    .description('List images')
    .option('-a, --all', 'Show those without a name, too')
    .option('-q, --quiet', 'Only ids')
    .action(async (options: { all?: boolean; quiet?: boolean }) => images(client(), stdio, clock, options));
  root
    .command('pull <image>')
    .description('Download an image from a registry')
    .option('--platform <platform>', 'Choose another than ours')
    .option('-q, --quiet', 'Only the name')
    .action(async (image: string, options: { platform?: string; quiet?: boolean }) =>
      pull(client(), stdio, image, options),
    );
  root
    .command('push <image>')
    .description('Upload an image to a registry, with the credentials that the engine has for it')
    .option('-a, --all-tags', 'All tags of the repository')
    .option('--platform <platform>', 'Only of this platform')
    .option('-q, --quiet', 'Only the name')
    .action(async (image: string, options: PushOptions) => push(client(), stdio, image, options));
  root
    .command('import <file> [reference]')
    .description('Make an image of a tar archive (- reads stdin, an http address is fetched by the engine)')
    .option('-c, --change <instruction>', 'Apply a Dockerfile instruction', collect, [])
    .option('-m, --message <text>', 'Set the commit message')
    .option('--platform <platform>', 'Mark the image as made for it')
    .action(async (file: string, reference: string | undefined, options: ImportOptions) =>
      importImage(client(), stdio, file, reference, options),
    );
  root
    .command('tag <image> <name>')
    .description('Give an image another name')
    .action(async (image: string, name: string) => tagImage(client(), image, name));
  root
    .command('rmi <image...>')
    .description('Remove names of images, and images with their last name')
    .option('-f, --force', 'Also what several names or stopped containers hold')
    .option('--no-prune', 'Leave parents that nobody needs')
    .action(async (names: readonly string[], options: { force?: boolean; prune?: boolean }) =>
      removeImages(client(), stdio, names, options),
    );
  root
    .command('history <image>')
    .description('Show the steps that an image was made by')
    .option('-q, --quiet', 'Only ids')
    .action(async (name: string, options: { quiet?: boolean }) =>
      imageHistory(client(), stdio, clock, { name, ...options }),
    );
  root
    .command('save <image...>')
    .description('Write images to a tar archive: an OCI layout and a docker archive at once')
    .option('-o, --output <file>', 'Write to a file instead of stdout')
    .option('--platform <platform>', 'Only of this platform')
    .action(async (names: readonly string[], options: SaveOptions) => save(client(), stdio, names, options));
  root
    .command('load')
    .description('Load images from a tar archive')
    .option('-i, --input <file>', 'Read from a file instead of stdin')
    .option('-q, --quiet', 'Only names')
    .option('--platform <platform>', 'Only of this platform')
    .action(async (options: LoadOptions) => load(client(), stdio, options));
}

function addSystemVerbs(root: Command, client: () => ApiClient, { stdio, version: own }: Surroundings): void {
  root
    .command('info')
    .description('Tell about the engine and its host')
    .action(async () => info(client(), stdio));
  root
    .command('version')
    .description('Tell the versions of moor and the engine')
    .action(async () => version(client(), stdio, own));
  root
    .command('ping')
    .description('Ask whether the engine answers')
    .action(async () => ping(client(), stdio));
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
