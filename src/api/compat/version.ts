import { InvalidArgumentError } from '../../base/errors.ts';

/** The newest API we speak; unversioned paths mean this one. */
export const MAX_API_VERSION = '1.51';
/** Kept low on purpose: raising it locks clients out (api-compat rule 4). */
export const MIN_API_VERSION = '1.24';

/** An API version, comparable. */
export class ApiVersion {
  readonly text: string;
  readonly #parts: readonly number[];

  constructor(text: string) {
    this.text = text;
    this.#parts = text.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : 0));
  }

  /** This version or newer. Texts are kept: they are the code's, not a client's. */
  atLeast(other: string): boolean {
    return this.#isFrom(milestone(other));
  }

  /** Older than that. */
  before(other: string): boolean {
    return !this.atLeast(other);
  }

  /** Newer than that. */
  isAfter(other: ApiVersion): boolean {
    return !other.#isFrom(this);
  }

  #isFrom(other: ApiVersion): boolean {
    return compare(this.#parts, other.#parts) >= 0;
  }
}

/** Versions that the code asks about, many times in each row of a list. */
const milestones = new Map<string, ApiVersion>();

function milestone(text: string): ApiVersion {
  let known = milestones.get(text);
  if (known === undefined) milestones.set(text, (known = new ApiVersion(text)));
  return known;
}

export const NEWEST = new ApiVersion(MAX_API_VERSION);

/** The version named in a path; InvalidArgumentError with the texts that clients look for. */
export function negotiate(text: string | null): ApiVersion {
  if (text === null) return NEWEST;
  const version = new ApiVersion(text);
  if (version.before(MIN_API_VERSION)) {
    throw new InvalidArgumentError(
      `client version ${text} is too old. Minimum supported API version is ${MIN_API_VERSION}, please upgrade your client to a newer version`,
    );
  }
  if (version.isAfter(NEWEST)) {
    throw new InvalidArgumentError(
      `client version ${text} is too new. Maximum supported API version is ${MAX_API_VERSION}`,
    );
  }
  return version;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
