/**
 * Looks at the first bytes of a stream and gives them back: `head` has at least `bytes` of them, fewer at the end alone;
 * `whole` has all, and must be read to its end or left by whoever ends the source.
 */
export async function peek(
  source: AsyncIterable<unknown>,
  bytes: number,
): Promise<{ readonly head: Buffer; readonly whole: AsyncGenerator<Buffer, void, void> }> {
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  const first: Buffer[] = [];
  for (let size = 0; size < bytes;) {
    const { value, done } = await chunks.next();
    if (done === true) break;
    first.push(value);
    size += value.length;
  }
  const head = Buffer.concat(first);
  return { head, whole: joined(head, chunks) };
}

async function* joined(head: Buffer, rest: AsyncIterator<Buffer, undefined>): AsyncGenerator<Buffer, void, void> {
  if (head.length > 0) yield head;
  for (;;) {
    const { value, done } = await rest.next();
    if (done === true) return;
    yield value;
  }
}
