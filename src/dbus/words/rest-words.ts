import type { JsonObject } from '../../base/json.ts';
import type {
  BuildRequest,
  ContainerSpec,
  ContainerUsage,
  ContainerView,
  ContextSource,
  EngineEvent,
  FrontDocument,
  ImageView,
  Platform,
} from '../../engine/index.ts';

/**
 * What this front says in the REST API's words: the escape hatches `Inspect`, `GetInfo` and `CreateContainerFromJSON`.
 * The two fronts are strangers, so the composition root fills this port with functions of the other one.
 */
export interface RestWords {
  /** As `GET /containers/ID/json`. NotFoundError, here and below. */
  inspectContainer(ref: string): Promise<string>;
  /** As a line of `GET /containers/ID/stats`, without its end; `current` null: nothing runs, `previous` null: the first one. */
  statsText(
    of: { readonly id: string; readonly name: string },
    current: ContainerUsage | null,
    previous: ContainerUsage | null,
  ): string;
  /** As `GET /images/NAME/json`. */
  inspectImage(ref: string): Promise<string>;
  /** As `GET /networks/ID`. */
  inspectNetwork(ref: string): Promise<string>;
  /** As `GET /volumes/NAME`. */
  inspectVolume(name: string): Promise<string>;
  /** As `GET /info`. */
  info(): Promise<JsonObject>;
  /**
   * Body of `POST /containers/create` → what the engine takes. `platform` as the query's, '' for none.
   * InvalidArgumentError and NotImplementedError in Docker's words.
   */
  createOrder(body: string, platform: string): CreateOrder;
  /** Query of `POST /build` → what the engine takes. InvalidArgumentError and NotImplementedError in Docker's words. */
  buildOrder(query: string, source: ContextSource): BuildRequest;
  /** As `GET /containers/json`, newest first; a limit means stopped ones too. InvalidArgumentError. */
  selectContainers(
    filters: FilterWords,
    options: { readonly all: boolean; readonly limit: number | null },
  ): readonly ContainerView[];
  /** As `GET /images/json`. */
  selectImages(filters: FilterWords, options: { readonly all: boolean }): Promise<readonly ImageView[]>;
  /** Filters of `GET /events`. */
  eventMatcher(filters: FilterWords): (event: EngineEvent) => boolean;
  /** A line of `GET /events`, with its end. */
  eventLine(event: EngineEvent): string;
  /** `linux/arm64/v8`, `amd64`; null for ''. */
  platform(text: string): Platform | null;
}

/** Docker's filters: name → values. */
export type FilterWords = Readonly<Record<string, readonly string[]>>;

/** A create request that was understood. */
export interface CreateOrder {
  readonly spec: ContainerSpec;
  readonly frontDocument: FrontDocument;
  /** What was left out, and why. */
  readonly warnings: readonly string[];
}
