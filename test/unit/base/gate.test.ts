import { describe, expect, it } from 'vitest';
import { Gate } from '../../../src/base/gate.ts';

/** Enters `count` times and tells which are through. */
function crowd(gate: Gate, count: number) {
  const through: Disposable[] = [];
  for (let index = 0; index < count; index++) void gate.enter().then((place) => through.push(place));
  return through;
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a gate', () => {
  it('lets more through when it is widened, and those who wait at once', async () => {
    const gate = new Gate(1);
    const through = crowd(gate, 4);
    await settle();
    expect(through).toHaveLength(1);
    gate.widen(3);
    await settle();
    expect(through).toHaveLength(3);
    expect(gate.isFull).toBe(true);
  });

  it('lets those inside finish when it is narrowed', async () => {
    const gate = new Gate(3);
    const through = crowd(gate, 5);
    await settle();
    gate.widen(1);
    expect(gate.isFull).toBe(true);
    through[0]?.[Symbol.dispose]();
    through[1]?.[Symbol.dispose]();
    await settle();
    expect(through).toHaveLength(3);
    through[2]?.[Symbol.dispose]();
    await settle();
    expect(through).toHaveLength(4);
    through[3]?.[Symbol.dispose]();
    await settle();
    expect(through).toHaveLength(5);
    through[4]?.[Symbol.dispose]();
    expect(gate.isFull).toBe(false);
  });
});
