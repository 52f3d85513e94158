/** One build, from its Dockerfile to the image. */
import { Gate } from '../../../base/gate.ts';
import { InvalidArgumentError, messageOf, NotFoundError } from '../../../base/errors.ts';
import { BuildArguments } from '../../dockerfile/arguments.ts';
import { parseDockerfile } from '../../dockerfile/parse.ts';
import { planStages, type PlannedStage, type StagePlan } from '../../dockerfile/stages.ts';
import type { ParsedDockerfile, ParsedInstruction, SourceLine } from '../../dockerfile/types.ts';
import type { StoredImage } from '../../images/catalog.ts';
import type { ImageId } from '../../oci/digest.ts';
import type { NamedReference } from '../../oci/reference.ts';
import type { BuildRequest, BuildSink } from '../types.ts';
import { Documents } from './documents.ts';
import { finish } from './finish.ts';
import { Holds } from './holds.ts';
import type { BuildJob, SolveGround } from './job.ts';
import { labelInstructions } from './labels.ts';
import { buildStage } from './stage.ts';
import type { StageState } from './state.ts';
import { squashed } from './squash.ts';
import { tagsOf } from './tags.ts';
import { StepNumbers } from './step-numbers.ts';
import { Transcript } from './transcript.ts';

interface SolveOptions {
  readonly sink: BuildSink;
  readonly signal: AbortSignal;
}

/** Builds an image. What it made is only kept when it ends well, but for the cache. */
export async function solve(ground: SolveGround, request: BuildRequest, options: SolveOptions): Promise<ImageId> {
  const tags = tagsOf(request.tags);
  const epoch = epochOf(request);
  await using context = await ground.contexts.open(request.context, { dockerfile: request.dockerfile, ...options });
  const file = await context.dockerfile(request.dockerfile);
  const parsed = parseDockerfile(file.text, file.name);
  const targetPlatform = request.platform ?? ground.platform;
  const { args: given, target } = request;
  const args = new BuildArguments(parsed, { given, buildPlatform: ground.platform, targetPlatform, target });
  const plan = planStages(parsed, { target, globals: args.globals });
  await using holds = new Holds(ground.store.collector);
  await using build = new Build(ground, request, { ...options, parsed, plan, args, context, epoch, holds, tags });
  return await build.run();
}

interface BuildParts extends SolveOptions, Pick<BuildJob, 'context' | 'epoch' | 'holds'> {
  readonly parsed: ParsedDockerfile;
  readonly plan: StagePlan;
  readonly args: BuildArguments;
  readonly tags: readonly NamedReference[];
}

/** Runs the stages, each as soon as what it stands on is there. */
class Build implements AsyncDisposable {
  readonly #parts: BuildParts;
  readonly #job: BuildJob;
  readonly #stop = new AbortController();
  readonly #transcript: Transcript;
  readonly #stages = new Map<number, Promise<StageState>>();
  readonly #needed = new Set<ImageId>();
  readonly #numbers: StepNumbers;
  /** `--label`. */
  readonly #labels: readonly ParsedInstruction[];

  constructor(ground: SolveGround, request: BuildRequest, parts: BuildParts) {
    this.#parts = parts;
    const { context, epoch, holds, plan, parsed, sink } = parts;
    this.#labels = labelInstructions(request.labels, plan.target.line);
    this.#transcript = new Transcript(sink, plan.stages.length);
    this.#numbers = new StepNumbers(parsed, plan, (stage) => this.#instructionsOf(stage));
    this.#job = {
      ground,
      request,
      context,
      epoch,
      holds,
      signal: AbortSignal.any([parts.signal, this.#stop.signal]),
      gate: new Gate(ground.stepsAtATime),
      documents: new Documents(),
      cacheSources: cacheSourcesOf(ground, request),
      taken: new Set(),
      uses: new DisposableStack(),
      stage: async (index) => this.#stage(index),
      needImage: async (image) => this.#need(image),
    };
  }

  async run(): Promise<ImageId> {
    const { plan, args, tags, sink } = this.#parts;
    const job = this.#job;
    await this.#sayBeginning();
    await Promise.allSettled(plan.stages.map(async ({ stage }) => this.#stage(stage.index)));
    this.#parts.signal.throwIfAborted();
    if (this.#stop.signal.aborted) throw this.#stop.signal.reason;
    const last = await this.#stage(plan.target.index);
    const id = await finish(job, job.request.squash ? await squashed(job, last) : last, {
      tags,
      warning: args.unusedWarning(),
      sink,
    });
    job.ground.cache.touch([...job.taken]);
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#job.uses.dispose();
    // They stand on images that go now, and may have the context mounted.
    await this.#job.ground.runs.settled();
    await this.#job.ground.drafts.giveBack([...this.#needed]);
  }

  /** Warnings of the file, and the steps before the first stage. */
  async #sayBeginning(): Promise<void> {
    const { parsed, sink } = this.#parts;
    for (const warning of parsed.warnings) await sink({ kind: 'stream', text: `\u001b[91m${warning}\n\u001b[0m` });
    for (const { line } of parsed.globalArgs) {
      for (const message of this.#numbers.messagesOf(line)) await sink(message);
    }
  }

  async #stage(index: number): Promise<StageState> {
    const known = this.#stages.get(index);
    if (known !== undefined) return known;
    const place = this.#parts.plan.stages.findIndex(({ stage }) => stage.index === index);
    const planned = this.#parts.plan.stages[place];
    if (planned === undefined) {
      // Only a trigger of a base image, or a name with a variable in it, asks for a stage that the file did not.
      const named = `stage ${String(index)}`;
      throw new InvalidArgumentError(`${named} is not built: name it in an instruction of the Dockerfile as well`);
    }
    const made = this.#build(planned, place);
    this.#stages.set(index, made);
    return made;
  }

  async #build(planned: PlannedStage, place: number): Promise<StageState> {
    const { parsed, args } = this.#parts;
    const voice = this.#transcript.voice(place);
    const announce = async (line: SourceLine): Promise<void> => {
      for (const message of this.#numbers.messagesOf(line)) await voice.say(message);
    };
    try {
      const instructions = this.#instructionsOf(planned);
      const state = await buildStage({ job: this.#job, voice }, { parsed, planned, instructions, args, announce });
      await voice.end();
      return state;
    } catch (error) {
      await this.#fail(place, error);
      throw error;
    }
  }

  /** The first failure ends the build: it is what is told. */
  async #fail(place: number, error: unknown): Promise<void> {
    if (this.#job.signal.aborted) return;
    this.#stop.abort(error);
    await this.#transcript.breakOff(place);
  }

  #instructionsOf({ stage }: PlannedStage): readonly ParsedInstruction[] {
    const isLast = stage.index === this.#parts.plan.target.index;
    return isLast ? [...stage.instructions, ...this.#labels] : stage.instructions;
  }

  async #need(image: StoredImage): Promise<void> {
    if (this.#needed.has(image.id)) return;
    this.#needed.add(image.id);
    await this.#job.holds.add({ layers: [], blobs: [image.id] });
    await this.#job.ground.drafts.need(image);
  }
}

/** InvalidArgumentError for a time that is none. */
function epochOf({ args }: BuildRequest): number | null {
  const text = args.get('SOURCE_DATE_EPOCH') ?? '';
  if (text === '') return null;
  const seconds = Number(text);
  if (!/^\d{1,12}$/.test(text)) throw new InvalidArgumentError(`invalid SOURCE_DATE_EPOCH: ${text}`);
  return seconds;
}

/** Those that are not here are passed over, as dockerd's builder does. */
function cacheSourcesOf({ images, store, logger }: SolveGround, { cacheFrom }: BuildRequest): readonly StoredImage[] {
  return cacheFrom.flatMap((reference) => {
    try {
      return store.catalog.get(images.get(reference).id) ?? [];
    } catch (error) {
      if (!(error instanceof NotFoundError || error instanceof InvalidArgumentError)) throw error;
      logger.warn('an image to take the build cache from is not here', { reference, reason: messageOf(error) });
      return [];
    }
  });
}
