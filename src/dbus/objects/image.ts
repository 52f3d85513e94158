/** Images as objects: one for each, there as long as the engine has it. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { EVERY_IMAGE, type Engine, type ImageView } from '../../engine/index.ts';
import type { ContainerUsers } from '../container-users.ts';
import { decodeDictionary, type Dictionary } from '../bus/dictionary.ts';
import { variant, type Call, type ExportedInterface, type ObjectTree, type Variant } from '../bus/exported.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { imagePath, interfaceName } from '../names.ts';
import { registryAuthOf } from '../words/registry-auth.ts';
import type { OpenStreams } from '../bus/open-streams.ts';
import type { RestWords } from '../words/rest-words.ts';
import { usecOfText } from '../bus/times.ts';
import { wantedReference } from './engine/images.ts';
import { startPush } from './image-push.ts';

export interface MirrorImagesOptions {
  readonly engine: Pick<Engine, 'images'>;
  readonly tree: ObjectTree;
  readonly users: ContainerUsers;
  readonly jobs: Jobs;
  readonly streams: Pick<OpenStreams, 'send'>;
  readonly words: Pick<RestWords, 'inspectImage'>;
}

/** Puts every image into the tree and keeps it there as it is. */
export async function mirrorImages(options: MirrorImagesOptions): Promise<ImageMirror> {
  using made = new DisposableStack();
  const mirror = made.use(new ImageMirror(options));
  const all = await options.engine.images.list(EVERY_IMAGE);
  for (const { id } of all) mirror.look(id);
  made.move();
  return mirror;
}

export class ImageMirror implements Disposable {
  readonly #options: MirrorImagesOptions;
  /** As last seen: properties are read often, and the state file is asked only when something changed. */
  readonly #seen = new Map<ImageView['id'], ImageView>();
  readonly #watching = new DisposableStack();

  constructor(options: MirrorImagesOptions) {
    this.#options = options;
    const { engine, users, tree } = options;
    this.#watching.use(engine.images.watch((id) => this.look(id)));
    this.#watching.use(
      users.listen((kind, id) => {
        if (kind === 'image') tree.changed(imagePath(id));
      }),
    );
  }

  [Symbol.dispose](): void {
    this.#watching.dispose();
  }

  get count(): number {
    return this.#seen.size;
  }

  /** Brings the object into line with the engine. */
  look(id: ImageView['id']): void {
    const { engine, tree } = this.#options;
    const path = imagePath(id);
    const view = engine.images.find(id);
    if (view === null) {
      this.#seen.delete(id);
      tree.remove(path);
      return;
    }
    const isNew = !this.#seen.has(id);
    this.#seen.set(id, view);
    if (isNew) tree.add({ path, interfaces: [this.#interfaceOf(view)] });
    else tree.changed(path);
  }

  #interfaceOf(first: ImageView): ExportedInterface {
    const { users } = this.#options;
    const view = (): ImageView => this.#seen.get(first.id) ?? first;
    return {
      name: interfaceName('Image'),
      methods: methodsOf(this.#options, view),
      properties: () => propertiesOf(view(), users.of('image', first.id)),
      polkitDetails: (_member, [reference]) => detailsOfImage(view(), reference),
    };
  }
}

/** `image`: what the call names, else the first tag; `id`; labels are the builder's words, and no mark of trust. */
function detailsOfImage({ id, tags }: ImageView, reference: unknown): Readonly<Record<string, string>> {
  return { image: typeof reference === 'string' ? reference : (tags[0] ?? id), id };
}

function propertiesOf(view: ImageView, containers: readonly string[]): Readonly<Record<string, unknown>> {
  return {
    Id: view.id,
    RepoTags: view.tags,
    RepoDigests: view.digests,
    Size: view.sizeBytes,
    CreatedAt: usecOfText(view.config.created),
    Architecture: view.config.architecture,
    Os: view.config.os,
    Containers: containers,
    Parent: view.parent ?? '',
  };
}

const UPDATE_KEYS = { Reference: 's', Auth: 'a{ss}' } as const;
const REMOVE_KEYS = { Force: 'b', NoPrune: 'b' } as const;

function methodsOf(
  { engine, jobs, streams, words }: MirrorImagesOptions,
  view: () => ImageView,
): ExportedInterface['methods'] {
  const { images } = engine;
  const { id } = view();
  const checkName = (reference: string): void => {
    if (images.get(reference).id !== id) throw new InvalidArgumentError(`${reference} is not a name of this image`);
  };
  return {
    Tag: (_call: Call, reference: string) => {
      images.tag(id, reference, null);
      return [];
    },
    Untag: (_call: Call, reference: string) => {
      checkName(reference);
      images.untag(reference);
      return [];
    },
    Remove: async (_call: Call, options: Dictionary) => {
      const { Force: force = false, NoPrune: noPrune = false } = decodeDictionary(REMOVE_KEYS, options);
      const rows = await images.remove(id, { force, prune: !noPrune });
      return [
        rows.flatMap((row) => ('untagged' in row ? [row.untagged] : [])),
        rows.flatMap((row) => ('deleted' in row ? [row.deleted] : [])),
      ];
    },
    Push: (call: Call, name: string, options: Dictionary) => {
      const reference = wantedReference(name, false);
      checkName(reference);
      return [startPush({ engine, jobs }, { id, reference }, { call, options })];
    },
    Save: async (_call: Call, references: readonly string[]) => {
      references.forEach(checkName);
      const { tags } = view();
      const all = tags.length > 0 ? tags : [id];
      return [await save({ images, streams }, references.length > 0 ? references : all)];
    },
    CheckForUpdate: async (call: Call, options: Dictionary) => {
      const { Reference: asked, Auth: auth = {} } = decodeDictionary(UPDATE_KEYS, options);
      const reference = asked ?? view().tags[0];
      if (reference === undefined) throw new InvalidArgumentError('the image has no tag to look for in a registry');
      checkName(reference);
      const digest = await images.remoteDigest(reference, { auth: registryAuthOf(auth), signal: call.signal });
      const isKnown = view().digests.includes(`${repositoryOf(reference)}@${digest}`);
      return [!isKnown, digest];
    },
    GetHistory: () => [
      images
        .history(id)
        .map((row) => [
          row.id,
          usecOfText(row.entry.created),
          row.entry.created_by ?? '',
          row.entry.comment ?? '',
          row.sizeBytes,
          row.tags,
        ]),
    ],
    GetConfig: () => [configOf(view())],
    Inspect: async () => [await words.inspectImage(id)],
  };
}

/** What cannot be saved is an error of the call; what breaks off afterwards ends the stream before the archive's end. */
async function save(
  { images, streams }: { readonly images: Engine['images']; readonly streams: Pick<OpenStreams, 'send'> },
  references: readonly string[],
): Promise<number> {
  const left = new AbortController();
  const archive = await images.save(references, { platform: null, signal: left.signal });
  try {
    return streams.send(async (client) => {
      client.signal.addEventListener('abort', () => left.abort(), { once: true });
      for await (const chunk of archive) await client.write(chunk);
    });
  } catch (error) {
    left.abort();
    throw error;
  }
}

/** `localhost:5000/a:1` → `localhost:5000/a`. */
function repositoryOf(reference: string): string {
  return reference.replace(/@.*$/, '').replace(/:[^:/]*$/, '');
}

/** What the image's containers run with, in the words of `CreateContainer`'s keys where there is one. */
function configOf({ config }: ImageView): Readonly<Record<string, Variant>> {
  const run = config.config ?? {};
  return {
    Command: variant('as', run.Cmd ?? []),
    Entrypoint: variant('as', run.Entrypoint ?? []),
    Environment: variant('as', run.Env ?? []),
    User: variant('s', run.User ?? ''),
    WorkingDir: variant('s', run.WorkingDir ?? ''),
    Labels: variant('a{ss}', run.Labels ?? {}),
    ExposedPorts: variant('as', Object.keys(run.ExposedPorts ?? {})),
    Volumes: variant('as', Object.keys(run.Volumes ?? {})),
    StopSignal: variant('s', run.StopSignal ?? ''),
    Author: variant('s', config.author ?? ''),
    Variant: variant('s', config.variant ?? ''),
    Layers: variant('as', config.rootfs.diff_ids),
  };
}
