import type { Candidates, Collector } from '../../images/collector.ts';
import type { ChainId, Digest } from '../../oci/digest.ts';

/** Layers and blobs that one build protects until it ends; what nobody needs then is taken away. */
export class Holds implements AsyncDisposable {
  readonly #collector: Collector;
  readonly #pins: Disposable[] = [];
  readonly #layers = new Set<ChainId>();
  readonly #blobs = new Set<Digest>();

  constructor(collector: Collector) {
    this.#collector = collector;
  }

  /** Candidates lowest first. */
  async add({ layers, blobs }: Candidates): Promise<void> {
    const fresh = {
      layers: layers.filter((chainId) => !this.#layers.has(chainId)),
      blobs: blobs.filter((digest) => !this.#blobs.has(digest)),
    };
    if (fresh.layers.length === 0 && fresh.blobs.length === 0) return;
    this.#pins.push(await this.#collector.pin(fresh));
    for (const chainId of fresh.layers) this.#layers.add(chainId);
    for (const digest of fresh.blobs) this.#blobs.add(digest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pin of this.#pins.splice(0)) pin[Symbol.dispose]();
    await this.#collector.collect({ layers: [...this.#layers], blobs: [...this.#blobs] });
  }
}
