/**
 * Images that builds have made for what stands on them now (a RUN's container), before it is known whether they are kept.
 * They go with the build, or with the next start; equal builds share them.
 */
import type { ContentStore } from '../../content/store.ts';
import type { StoredImage } from '../../images/catalog.ts';
import type { ImageStore } from '../../images/index.ts';
import type { ImageUsers } from '../../images/types.ts';
import { newImage, writeImages, type NewImage } from '../../images/write.ts';
import type { ImageId } from '../../oci/digest.ts';
import type { BuildTables } from '../../state/build-steps.ts';

export interface DraftImagesNeeds {
  readonly store: Pick<ImageStore, 'catalog' | 'collector'>;
  readonly content: ContentStore;
  readonly tables: BuildTables;
  readonly users: ImageUsers;
}

export class DraftImages {
  readonly #needs: DraftImagesNeeds;
  /** How many builds under way need each. */
  readonly #counts = new Map<ImageId, number>();

  constructor(needs: DraftImagesNeeds) {
    this.#needs = needs;
  }

  /** Puts an image into the catalog, where it is not yet, until it is given back. */
  async need(image: StoredImage): Promise<void> {
    const { store, tables } = this.#needs;
    const { id, document } = image;
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    if (store.catalog.get(id) !== null) return;
    const made: NewImage = newImage(document);
    await writeImages({ ...this.#needs, catalog: store.catalog }, [made], {
      names: [],
      isLasting: false,
      also: () => tables.addImage(id),
    });
  }

  /** Part of the caller's transaction: the image is here to stay. */
  keep(id: ImageId): void {
    this.#needs.tables.releaseImage(id);
  }

  isDraft(id: ImageId): boolean {
    return this.#needs.tables.isDraft(id);
  }

  /** A build that has needed each of these images has ended: those that nobody needs go. */
  async giveBack(ids: readonly ImageId[]): Promise<void> {
    const free = ids.filter((id) => {
      const left = (this.#counts.get(id) ?? 1) - 1;
      if (left > 0) this.#counts.set(id, left);
      else this.#counts.delete(id);
      return left <= 0;
    });
    await this.#remove(free);
  }

  /** At start-up: takes away what a killed engine's builds had made. */
  async sweep(): Promise<void> {
    await this.#remove(this.#needs.tables.images());
  }

  /** Those of them that are drafts still. Children before parents; what somebody has taken up meanwhile stays for good. */
  async #remove(ids: readonly ImageId[]): Promise<void> {
    const { store, tables, users } = this.#needs;
    const { catalog, collector } = store;
    const drafts = new Set(tables.images());
    for (const id of ids.toReversed()) {
      const image = drafts.has(id) ? catalog.get(id) : null;
      if (image === null) continue;
      const isTaken =
        catalog.referencesTo(id).length > 0 || users.containersOf(id).length > 0 || catalog.hasChildren(id);
      if (isTaken) {
        tables.releaseImage(id);
        continue;
      }
      const blobs = catalog.transaction(() => catalog.remove(id));
      await collector.collect({ layers: image.document.layers.map(({ chainId }) => chainId), blobs });
    }
  }
}
