/** What a test has made of the machine and not yet taken away. */
const alive = new Set<AsyncDisposable>();

/** Whatever is a test's own until it is disposed of: engines, labs, peers. */
export function comesAlive(what: AsyncDisposable): void {
  alive.add(what);
}

export function isGone(what: AsyncDisposable): void {
  alive.delete(what);
}

/** Takes away what a test that was cut off left alive, the youngest first: engines live in labs. */
export async function endWhatIsAlive(): Promise<void> {
  for (const what of [...alive].reverse()) {
    alive.delete(what);
    await what[Symbol.asyncDispose]();
  }
}
