/**
 * What a stage is after each of its steps. Values: a step makes the next one. Its configuration is what the next step sees;
 * the image has it as soon as there is a step. Pure.
 */
import { formatTimestamp, type Timestamp } from '../../../base/clock.ts';
import type { StageState as Wording } from '../../dockerfile/apply-config.ts';
import type { DeclaredArgs } from '../../dockerfile/arguments.ts';
import type { StoredImage } from '../../images/catalog.ts';
import { childDocument, newImage, type NewImage } from '../../images/write.ts';
import type { ChainId } from '../../oci/digest.ts';
import type { ImageRunConfig, Platform } from '../../oci/image-spec.ts';
import type { CapturedLayer } from '../../storage/packing.ts';

export interface StageState extends Wording {
  /** What it is as an image; null: nothing yet (`FROM scratch`). */
  readonly image: StoredImage | null;
  /** What its FROM names, another stage too; null: nothing. */
  readonly from: StoredImage | null;
  /** The image that it began with: {@link made} stands on it. */
  readonly base: StoredImage | null;
  /** Images that steps have made, lowest first; the last is {@link image}. */
  readonly made: readonly NewImage[];
  readonly platform: Platform;
  /** Of the last step that has made a layer; null: none has. */
  readonly layeredStep: string | null;
  /** What its ARG instructions say: stages on it have them, too. */
  readonly declaredArgs: DeclaredArgs;
}

/** What a step has done. */
export interface StepResult {
  readonly wording: Wording;
  readonly createdBy: string;
  readonly createdAt: Timestamp;
  readonly layer: CapturedLayer | null;
  readonly key: string;
}

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A stage on an image, or on nothing. */
export function beginOn(image: StoredImage | null, platform: Platform): StageState {
  return {
    image,
    from: image,
    base: image,
    made: [],
    config: firstConfig(image?.document.config.config ?? {}, image),
    author: null,
    isCommandSet: false,
    platform: image === null ? platform : platformOf(image),
    layeredStep: null,
    declaredArgs: new Map(),
  };
}

/** A stage on another one. */
export function continueFrom(state: StageState): StageState {
  const { image } = state;
  const config = firstConfig(image?.document.config.config ?? {}, image);
  return { ...state, from: image, config, author: null, isCommandSet: false };
}

/** The state after a step. */
export function advance(
  state: StageState,
  result: StepResult,
  engineVersion: string,
): StageState & { readonly image: NewImage } {
  const { wording, createdBy, createdAt, layer, key } = result;
  const { config } = wording;
  const author = wording.author ?? '';
  const created = formatTimestamp(createdAt);
  const image = newImage(
    childDocument({
      parent: state.image,
      platform: state.platform,
      config,
      author,
      created,
      history: {
        created,
        ...(author === '' ? {} : { author }),
        created_by: createdBy,
        ...(layer === null ? { empty_layer: true } : {}),
      },
      layer,
      engineVersion,
    }),
  );
  return {
    ...state,
    ...wording,
    image,
    made: [...state.made, image],
    config: { ...config, Image: image.id },
    layeredStep: layer === null ? state.layeredStep : key,
  };
}

/** Its highest layer; null: an empty tree. */
export function topOf({ image }: StageState): ChainId | null {
  return image?.document.layers.at(-1)?.chainId ?? null;
}

function platformOf({ document: { config } }: StoredImage): Platform {
  const { os, architecture, variant } = config;
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

/** As dockerd's builder begins: nobody types, and programs are found. */
function firstConfig(config: ImageRunConfig, image: StoredImage | null): ImageRunConfig {
  const env = config.Env ?? [];
  const hasPath = env.some((entry) => entry.startsWith('PATH='));
  return {
    ...config,
    Env: hasPath ? env : [...env, DEFAULT_PATH],
    OpenStdin: false,
    StdinOnce: false,
    ...(image === null ? {} : { Image: image.id }),
  };
}
