import { StringDecoder } from 'node:string_decoder';
import { shortId } from '../../../base/ids.ts';
import type { StageArguments } from '../../dockerfile/arguments.ts';
import { runCommand, type RunCommand } from '../../dockerfile/run-command.ts';
import type { StageSource } from '../../dockerfile/stages.ts';
import type { CopyWords, Instruction, RunMount } from '../../dockerfile/types.ts';
import { newImage, childDocument } from '../../images/write.ts';
import type { StoredImage } from '../../images/catalog.ts';
import type { OutputSink } from '../../oci/streams.ts';
import type { CapturedLayer } from '../../storage/packing.ts';
import type { SourceTree } from '../copy/types.ts';
import { BuildFailure } from '../failure.ts';
import type { ResolvedMount, RunOutcome } from '../run/types.ts';
import type { BuildJob, StagePlace } from './job.ts';
import type { StageState } from './state.ts';
import { takeStep } from './take-step.ts';
import type { StageVoice } from './transcript.ts';
import { treeOf } from './trees.ts';

type RunInstruction = Instruction & { readonly kind: 'run' };

export interface RunStepOptions {
  readonly instruction: RunInstruction;
  readonly args: StageArguments;
  readonly sourceOf: (name: string) => StageSource;
}

/** RUN: a container, unless the cache knows what comes of it. */
export async function runStep(place: StagePlace, state: StageState, options: RunStepOptions): Promise<StageState> {
  const { instruction, args } = options;
  const env = state.config.Env ?? [];
  const command = runCommand(state.config, instruction.command);
  const recorded = args.recorded(command.words, env);
  const mounts = await Promise.all(instruction.mounts.map(async (mount) => resolved(place, mount, options)));
  const inputs = await Promise.all(mounts.map(async (mount) => identityOf(place, mount)));
  const { network, security } = instruction;
  const parts = ['run', recorded, inputs, network, security, command.script?.content ?? null];
  return takeStep(place, state, {
    wording: state,
    createdBy: recorded.join(' '),
    description: instruction.line.text,
    parts: [...parts, place.job.request.limits.network],
    make: async (draftPath) => run(place, state, { ...options, command, mounts, draftPath }),
  });
}

async function resolved(place: StagePlace, mount: RunMount, { sourceOf }: RunStepOptions): Promise<ResolvedMount> {
  switch (mount.kind) {
    case 'bind':
      return { mount, from: await treeOf(place, mount.from === null ? null : sourceOf(mount.from)) };
    case 'cache':
      return { mount, from: mount.from === null ? null : await treeOf(place, sourceOf(mount.from)) };
    default:
      return { mount, from: null };
  }
}

/** What of a mount decides about the step: what is seen in it, but neither secrets nor what a cache holds. */
async function identityOf(place: StagePlace, { mount, from }: ResolvedMount): Promise<unknown> {
  if (mount.kind !== 'bind' || from === null) return mount;
  if (from.kind === 'layers') return [mount, from.top];
  // What a link leads to is what is seen.
  const source = place.job.ground.runs.bindSource(from.path, mount.source);
  return [mount, await digestIn(place, from, source)];
}

async function digestIn({ job, voice }: StagePlace, from: SourceTree, source: string): Promise<string> {
  const words: CopyWords = {
    sources: [source],
    heredocs: [],
    destination: '/',
    from: null,
    chown: null,
    chmod: null,
    link: false,
    parents: false,
    excludes: [],
    checksum: null,
    keepGitDir: false,
    unpack: false,
  };
  await using copy = await job.ground.copies.prepare({
    verb: 'copy',
    words,
    from,
    workingDirectory: '/',
    sourceDateEpoch: null,
    sink: (message) => voice.say(message),
    signal: job.signal,
  });
  return copy.digest;
}

interface Work extends RunStepOptions {
  readonly command: RunCommand;
  readonly mounts: readonly ResolvedMount[];
  readonly draftPath: string;
}

async function run(place: StagePlace, state: StageState, work: Work): Promise<CapturedLayer | null> {
  const { job, voice } = place;
  const { command, instruction, args, draftPath } = work;
  const { request, signal } = job;
  const output = new StepOutput(voice);
  const outcome = await job.ground.runs.run({
    image: await storedImage(job, state),
    config: state.config,
    command: command.words,
    extraEnv: args.forRun(state.config.Env ?? []),
    mounts: work.mounts,
    script: command.script,
    network: instruction.network,
    security: instruction.security,
    platform: request.platform,
    limits: request.limits,
    secrets: request.secrets,
    sshAgents: request.sshAgents,
    sourceDateEpoch: job.epoch,
    draftPath,
    isKept: !request.remove && !request.forceRemove,
    output,
    // Said in order with the output, which the sink takes piece by piece.
    onCreated: (id) => void voice.line(` ---> Running in ${shortId(id)}`).catch(() => undefined),
    signal,
  });
  await output.end();
  return settle(place, outcome, command.words);
}

/** What it made; its container goes, or stays as the request says. BuildFailure for one that failed. */
async function settle(
  { job: { request }, voice }: StagePlace,
  outcome: RunOutcome,
  words: readonly string[],
): Promise<CapturedLayer | null> {
  const { exitCode, layer, containerId } = outcome;
  const isRemoved = request.remove || request.forceRemove;
  if (!isRemoved) outcome.keep();
  await outcome[Symbol.asyncDispose]();
  if (exitCode !== 0) {
    if (request.forceRemove) await voice.line(` ---> Removed intermediate container ${shortId(containerId)}`);
    const code = String(exitCode);
    throw new BuildFailure(`The command '${words.join(' ')}' returned a non-zero code: ${code}`, exitCode);
  }
  if (isRemoved) await voice.line(` ---> Removed intermediate container ${shortId(containerId)}`);
  return layer;
}

/** The state as an image of the catalog: a container stands on one. */
async function storedImage(job: BuildJob, state: StageState): Promise<StoredImage['id']> {
  const image = state.image ?? emptyImage(job, state);
  await job.needImage(image);
  return image.id;
}

/** RUN right after `FROM scratch`. */
function emptyImage({ ground }: BuildJob, { platform, config }: StageState): StoredImage {
  const created = '1970-01-01T00:00:00Z';
  return newImage(
    childDocument({
      parent: null,
      platform,
      config,
      author: '',
      created,
      history: { created, empty_layer: true },
      layer: null,
      engineVersion: ground.engineVersion,
    }),
  );
}

/** A command's output in Docker's stream: what comes from stderr is red. */
class StepOutput implements OutputSink {
  readonly #voice: StageVoice;
  readonly #decoders = { stdout: new StringDecoder(), stderr: new StringDecoder() };

  constructor(voice: StageVoice) {
    this.#voice = voice;
  }

  async write(stream: 'stdout' | 'stderr', chunk: Uint8Array): Promise<void> {
    await this.#say(stream, this.#decoders[stream].write(Buffer.from(chunk)));
  }

  /** Says what a last character lacked. */
  async end(): Promise<void> {
    await this.#say('stdout', this.#decoders.stdout.end());
    await this.#say('stderr', this.#decoders.stderr.end());
  }

  async #say(stream: 'stdout' | 'stderr', text: string): Promise<void> {
    if (text === '') return;
    await this.#voice.say({ kind: 'stream', text: stream === 'stderr' ? `\u001b[91m${text}\u001b[0m` : text });
  }
}
