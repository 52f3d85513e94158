import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { throughProgram, type FilterFault } from '../../../../src/engine/kernel/filter-program.ts';

/** Faults as JSON. */
function filter(program: string, args: readonly string[], source: Readable): Readable {
  return throughProgram(program, args, source, (fault: FilterFault) => new Error(JSON.stringify(fault)));
}

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

it('gives what a program makes of a stream', async () => {
  const source = Readable.from([Buffer.from('one\n'), Buffer.alloc(500_000, 'x'), Buffer.from('\ntwo\n')]);
  expect(await textOf(filter('tr', ['a-z', 'A-Z'], source))).toBe(`ONE\n${'X'.repeat(500_000)}\nTWO\n`);
});

it('says why a program failed, and whether there is one', async () => {
  const failed = textOf(filter('sh', ['-c', 'echo broken >&2; exit 3'], Readable.from([Buffer.alloc(1_000_000)])));
  await expect(failed).rejects.toThrow('{"isMissing":false,"text":"sh: broken"}');
  const missing = textOf(filter('moored-no-such-program', [], Readable.from([Buffer.from('x')])));
  await expect(missing).rejects.toThrow('"isMissing":true');
});

it('passes the source’s own fault on', async () => {
  const source = Readable.from(
    (async function* () {
      yield Buffer.from('x');
      throw new Error('the link broke');
    })(),
  );
  await expect(textOf(filter('cat', [], source))).rejects.toThrow('the link broke');
});

it('ends program and source when nobody reads on', async () => {
  const source = new Readable({ read: () => undefined });
  source.push('first\n');
  const output = filter('cat', [], source);
  for await (const chunk of output as AsyncIterable<Buffer>) {
    expect(chunk.toString()).toBe('first\n');
    break;
  }
  await expect.poll(() => source.destroyed).toBe(true);
});

it('keeps its failure for one who begins to read later', async () => {
  const output = filter('sh', ['-c', 'echo broken >&2; exit 3'], Readable.from([Buffer.from('x')]));
  await expect.poll(() => output.destroyed).toBe(true);
  await expect(textOf(output)).rejects.toThrow('sh: broken');
});
