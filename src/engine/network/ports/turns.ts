/** Ports done in one turn of the event loop: about a millisecond. */
const PORTS_A_TURN = 64;

/** Does `job` with each, letting others have their turn between. */
export async function inTurns<T>(items: readonly T[], job: (item: T) => void): Promise<void> {
  let done = 0;
  for (const item of items) {
    if (done > 0 && done % PORTS_A_TURN === 0) await nextTurn();
    job(item);
    done += 1;
  }
}

function nextTurn(): Promise<void> {
  // eslint-disable-next-line no-restricted-globals -- the turn is what is waited for
  return new Promise((resolve) => setImmediate(resolve));
}
