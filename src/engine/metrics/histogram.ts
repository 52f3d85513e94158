import type { Clock } from '../../base/clock.ts';
import { labelText, type Family, type Sample } from './exposition.ts';

/** Upper bounds in seconds: those of Prometheus' clients, and so dockerd's. */
const BOUNDS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, Infinity];
const MS_PER_SECOND = 1000;

interface Counts {
  readonly buckets: number[];
  sum: number;
  count: number;
}

/** How long things took, by the value of one label. */
export class Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #label: string;
  readonly #byLabel = new Map<string, Counts>();

  constructor(name: string, { help, label }: { readonly help: string; readonly label: string }) {
    this.#name = name;
    this.#help = help;
    this.#label = label;
  }

  observe(value: string, seconds: number): void {
    const counts = this.#of(value);
    counts.count += 1;
    counts.sum += seconds;
    for (const [index, bound] of BOUNDS.entries()) {
      if (seconds <= bound) counts.buckets[index] = (counts.buckets[index] ?? 0) + 1;
    }
  }

  /** Shows a value before there is anything to count. */
  announce(value: string): void {
    this.#of(value);
  }

  family(): Family {
    const samples = [...this.#byLabel].flatMap(([value, counts]) => this.#samplesOf(value, counts));
    return { name: this.#name, help: this.#help, type: 'histogram', samples };
  }

  /**
   * `target` with the time taken that each call of the named methods needs to settle; `actions` gives the label's value
   * for each. Failures count too: they take time like others.
   */
  timing<T extends object>(target: T, actions: Readonly<Partial<Record<keyof T & string, string>>>, clock: Clock): T {
    const timed = new Map<string | symbol, unknown>();
    for (const [method, action] of Object.entries<string | undefined>(actions)) {
      const inner: unknown = Reflect.get(target, method, target);
      if (action === undefined || typeof inner !== 'function') continue;
      this.announce(action);
      timed.set(method, async (...args: readonly unknown[]) => {
        const startMs = clock.monotonicMs();
        try {
          return (await inner.apply(target, args)) as unknown;
        } finally {
          this.observe(action, (clock.monotonicMs() - startMs) / MS_PER_SECOND);
        }
      });
    }
    return new Proxy(target, {
      get(_, property) {
        const found = timed.get(property);
        if (found !== undefined) return found;
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== 'function') return value;
        // Bound once: private fields are the target's own, not the proxy's.
        const bound: unknown = value.bind(target);
        timed.set(property, bound);
        return bound;
      },
    });
  }

  #of(value: string): Counts {
    let counts = this.#byLabel.get(value);
    if (counts === undefined) {
      counts = { buckets: BOUNDS.map(() => 0), sum: 0, count: 0 };
      this.#byLabel.set(value, counts);
    }
    return counts;
  }

  #samplesOf(value: string, { buckets, sum, count }: Counts): readonly Sample[] {
    const own = { [this.#label]: value };
    return [
      ...BOUNDS.map((bound, index) => ({
        suffix: '_bucket',
        labels: labelText({ ...own, le: bound === Infinity ? '+Inf' : String(bound) }),
        value: buckets[index] ?? 0,
      })),
      { suffix: '_sum', labels: labelText(own), value: sum },
      { suffix: '_count', labels: labelText(own), value: count },
    ];
  }
}
