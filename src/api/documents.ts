/** The API's documents without HTTP, in the newest version: what the other front offers of this one. */
import type { Clock } from '../base/clock.ts';
import { InvalidArgumentError } from '../base/errors.ts';
import type { JsonObject, JsonValue } from '../base/json.ts';
import {
  EVERY_IMAGE,
  type BuildRequest,
  type ContainerView,
  type ContextSource,
  type Engine,
  type EngineEvent,
  type ImageView,
  type Platform,
} from '../engine/index.ts';
import { NEWEST, type ApiVersion } from './compat/version.ts';
import type { BuildFacts } from './context.ts';
import { CONTAINER_FILTERS, selectContainers, type ListOptions } from './filters/containers.ts';
import { EVENT_FILTERS, eventMatcher } from './filters/events.ts';
import { Filters } from './filters/filters.ts';
import { IMAGE_FILTERS, selectImages } from './filters/images.ts';
import { Query } from './query.ts';
import { parseJson } from './wire/body.ts';
import { buildRequestOf } from './wire/build.ts';
import { CREATE_REQUEST } from './wire/container-config.ts';
import { inspectDocument } from './wire/container-inspect.ts';
import { createOrderOf, type CreateOrder } from './wire/create-request.ts';
import { eventLine } from './wire/event.ts';
import { decodeAs } from './wire/go-struct.ts';
import { imageDocument } from './wire/image.ts';
import { networkLookup, nameLookup } from './wire/lookups.ts';
import { networkDocument } from './wire/network.ts';
import { parsePlatform } from './wire/platform.ts';
import { statsText } from './wire/stats.ts';
import { infoDocument } from './wire/system.ts';
import { volumeDocument } from './wire/volume.ts';

/** What the documents are made of. */
export interface DocumentSources {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly build: BuildFacts;
}

/** JSON texts and objects of single things; errors are the engine's. */
export interface Documents {
  inspectContainer(ref: string): Promise<string>;
  readonly statsText: typeof statsText;
  inspectImage(ref: string): Promise<string>;
  inspectNetwork(ref: string): Promise<string>;
  inspectVolume(name: string): Promise<string>;
  info(): Promise<JsonObject>;
  createOrder(body: string, platform: string): CreateOrder;
  buildOrder(query: string, source: ContextSource): BuildRequest;
  selectContainers(filters: FilterWords, options: ListOptions): readonly ContainerView[];
  selectImages(filters: FilterWords, options: { readonly all: boolean }): Promise<readonly ImageView[]>;
  eventMatcher(filters: FilterWords): (event: EngineEvent) => boolean;
  eventLine(event: EngineEvent): string;
  platform(text: string): Platform | null;
}

type FilterWords = Readonly<Record<string, readonly string[]>>;

export function createDocuments(sources: DocumentSources): Documents {
  const { engine } = sources;
  const version = NEWEST;
  return {
    statsText,
    async inspectContainer(ref) {
      const view = engine.containers.get(ref);
      const storage = await engine.containers.describeStorage(view.id);
      const facts = { version, findNetwork: networkLookup(engine), nameOf: nameLookup(engine), storage, sizes: null };
      return textOf(inspectDocument(view, facts));
    },
    async inspectImage(ref) {
      const image = engine.images.get(ref);
      const { storageDriver } = await engine.system.info();
      const storage = await engine.images.describeStorage(image.id);
      return textOf(imageDocument(image, { version, storageDriver, storage }));
    },
    inspectNetwork: async (ref) =>
      textOf(networkDocument(engine.networks.get(ref), { version, containers: engine.containers })),
    inspectVolume: async (name) => textOf(volumeDocument(engine.volumes.get(name))),
    info: async () => infoOf(sources, version),
    selectContainers: (filters, options) => selectContainers(engine, Filters.of(filters, CONTAINER_FILTERS), options),
    selectImages: async (filters, { all }) =>
      selectImages(engine, Filters.of(filters, IMAGE_FILTERS), { all, references: [] }),
    eventMatcher: (filters) => eventMatcher(Filters.of(filters, EVENT_FILTERS)),
    eventLine,
    platform: parsePlatform,
    buildOrder: (query, source) =>
      buildRequestOf({ query: new Query(query), version, experimental: false, fields: new Map(), source }),
    createOrder: (body, platform) => decodeCreateBody(body, version, parsePlatform(platform)),
  };
}

/** `GET /info`. */
export async function infoOf({ engine, clock, build }: DocumentSources, version: ApiVersion): Promise<JsonObject> {
  const images = await engine.images.list(EVERY_IMAGE);
  return infoDocument(await engine.system.info(), {
    containers: engine.containers.list(),
    imageCount: images.length,
    eventFollowers: engine.events.followerCount,
    now: clock.now(),
    version,
    build,
    networkDrivers: [...new Set(engine.networks.list().map(({ driver }) => driver))].sort(),
    volumeDrivers: ['local'],
  });
}

/** Body of `POST /containers/create`. InvalidArgumentError and NotImplementedError in Docker's words. */
export function decodeCreateBody(text: string, version: ApiVersion, platform: Platform | null): CreateOrder {
  if (text.trim() === '') throw new InvalidArgumentError('invalid JSON: got EOF while reading request body');
  return createOrderOf(decodeAs(CREATE_REQUEST, parseJson(text) ?? {}), version, platform);
}

function textOf(document: JsonValue): string {
  return JSON.stringify(document);
}
