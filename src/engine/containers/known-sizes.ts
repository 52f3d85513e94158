/**
 * How much containers hold. Nothing writes into one that does not run but a copy into it: what was measured is good for
 * as long as it stays in that *condition* (made, or ended at a time, on a driver), also for the next daemon.
 */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Logger } from '../../base/logger.ts';
import type { ContainerSizeRow, ContainerSizeRows } from '../state/container-sizes.ts';
import type { Container } from './container.ts';

/** Rows that are written at a time: well below a millisecond. */
const ROWS_AT_A_TIME = 100;

/** Sizes that were measured and cannot have changed. */
export class KnownSizes {
  readonly #rows: ContainerSizeRows;
  readonly #parts: { readonly clock: Clock; readonly logger: Logger };
  /** Read when it is first needed. */
  #known: Map<ContainerId, ContainerSizeRow> | null = null;
  readonly #unwritten = new Map<ContainerId, ContainerSizeRow>();
  /** How often each container was begun to be written to from outside, and how often that has ended. */
  readonly #writes = new WeakMap<Container, Writes>();

  constructor(rows: ContainerSizeRows, parts: { readonly clock: Clock; readonly logger: Logger }) {
    this.#rows = rows;
    this.#parts = parts;
  }

  /** Null when it is not known. */
  get(container: Container): number | null {
    const row = this.#all().get(container.id);
    return row?.condition === conditionOf(container) ? row.sizeBytes : null;
  }

  /** Measures a container and remembers what comes of it where it cannot change meanwhile. */
  async learn(container: Container, measure: () => Promise<number>): Promise<number> {
    const before = conditionOf(container);
    const { begun, ended } = this.#writesOf(container);
    const sizeBytes = await measure();
    const isUntouched = begun === ended && begun === this.#writesOf(container).begun;
    if (before !== null && isUntouched && before === conditionOf(container)) {
      this.#put({ containerId: container.id, condition: before, sizeBytes });
    }
    return sizeBytes;
  }

  /** Somebody writes to a container, running or not, until this is disposed of. */
  touching(container: Container): Disposable {
    const count = (change: Partial<Writes>): void =>
      void this.#writes.set(container, { ...this.#writesOf(container), ...change });
    count({ begun: this.#writesOf(container).begun + 1 });
    this.#unwritten.delete(container.id);
    if (this.#all().delete(container.id)) this.#rows.delete(container.id);
    return { [Symbol.dispose]: () => count({ ended: this.#writesOf(container).ended + 1 }) };
  }

  /** Of a container that has gone. */
  forget(id: ContainerId): void {
    this.#known?.delete(id);
    this.#unwritten.delete(id);
  }

  #writesOf(container: Container): Writes {
    return this.#writes.get(container) ?? { begun: 0, ended: 0 };
  }

  #all(): Map<ContainerId, ContainerSizeRow> {
    this.#known ??= new Map(this.#rows.all().map((row) => [row.containerId, row]));
    return this.#known;
  }

  #put(row: ContainerSizeRow): void {
    this.#all().set(row.containerId, row);
    if (this.#unwritten.size === 0) this.#writeSoon();
    this.#unwritten.set(row.containerId, row);
  }

  /** Many are learned at once. */
  #writeSoon(): void {
    this.#parts.clock.after(0, () => this.#write());
  }

  #write(): void {
    const rows = [...this.#unwritten.values()].slice(0, ROWS_AT_A_TIME);
    for (const { containerId } of rows) this.#unwritten.delete(containerId);
    try {
      this.#rows.put(rows);
    } catch (error) {
      // It is measured again by the next daemon.
      this.#parts.logger.debug('sizes of containers could not be written down', { reason: messageOf(error) });
    }
    if (this.#unwritten.size > 0) this.#writeSoon();
  }
}

interface Writes {
  readonly begun: number;
  readonly ended: number;
}

/** What a container that does not run is; null while something may write to it. */
function conditionOf({ state, document }: Container): string | null {
  switch (state.status) {
    case 'created':
      return `${document.storageDriver} created`;
    case 'exited':
      return `${document.storageDriver} ${String(state.lastExit.finishedAt)}`;
    case 'running':
    case 'paused':
    case 'restarting':
    case 'removing':
    case 'dead':
      return null;
  }
}
