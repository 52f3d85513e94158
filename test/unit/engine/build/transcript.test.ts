import { describe, expect, it } from 'vitest';
import { Transcript } from '../../../../src/engine/build/solve/transcript.ts';
import type { BuildMessage } from '../../../../src/engine/build/types.ts';

const make = (voices: number, onMessage: () => Promise<void> | void = () => undefined) => {
  const said: string[] = [];
  const transcript = new Transcript(async (message: BuildMessage) => {
    if (message.kind === 'stream') said.push(message.text.trimEnd());
    await onMessage();
  }, voices);
  return { transcript, said };
};

describe('a transcript', () => {
  it('lets the first stage speak at once, and the others in their turn', async () => {
    const { transcript, said } = make(3);
    const [a, b, c] = [transcript.voice(0), transcript.voice(1), transcript.voice(2)];
    await c.line('c1');
    await c.end();
    await b.line('b1');
    await a.line('a1');
    expect(said).toEqual(['a1']);
    await a.end();
    expect(said).toEqual(['a1', 'b1']);
    await b.line('b2');
    await b.end();
    expect(said).toEqual(['a1', 'b1', 'b2', 'c1']);
  });

  it('waits for a slow reader, and tells of one that has gone', async () => {
    let isGone = false;
    const { transcript } = make(1, async () => {
      if (isGone) throw new Error('gone');
    });
    await transcript.voice(0).line('a1');
    isGone = true;
    await expect(transcript.voice(0).line('a2')).rejects.toThrow('gone');
  });

  it('says what the failed stage said, and nothing after it', async () => {
    const { transcript, said } = make(3);
    await transcript.voice(0).line('a1');
    await transcript.voice(1).line('b1');
    await transcript.voice(2).line('c1');
    await transcript.breakOff(1);
    await transcript.voice(0).line('a2');
    await transcript.voice(2).line('c2');
    await transcript.voice(0).end();
    expect(said).toEqual(['a1', 'b1']);
  });

  it('puts short pieces together that wait', async () => {
    const { transcript, said } = make(2);
    for (let count = 0; count < 1000; count += 1) await transcript.voice(1).say({ kind: 'stream', text: 'x' });
    await transcript.voice(0).end();
    await transcript.voice(1).end();
    expect(said).toEqual(['x'.repeat(1000)]);
  });

  it('keeps no endless output of many stages', async () => {
    const { transcript, said } = make(20);
    const long = 'x'.repeat(7 * 1024 * 1024);
    for (let place = 1; place < 20; place += 1) await transcript.voice(place).line(long);
    for (let place = 0; place < 20; place += 1) await transcript.voice(place).end();
    expect(said.filter((text) => text === long)).toHaveLength(9);
    expect(said.filter((text) => text.includes('output clipped'))).toHaveLength(10);
  });

  it('keeps no endless output for later, and says so', async () => {
    const { transcript, said } = make(2);
    const half = 'x'.repeat(4 * 1024 * 1024);
    for (let count = 0; count < 4; count += 1) await transcript.voice(1).line(half);
    await transcript.voice(0).end();
    expect(said.map((text) => (text.length > 100 ? 'long' : text.trim()))).toEqual([
      'long',
      '[output clipped, log limit 8MiB reached]',
    ]);
    await transcript.voice(1).line('and on');
    expect(said.at(-1)).toBe('and on');
  });
});
