import { expect, it } from 'vitest';
import { Documents } from '../../../../src/engine/build/solve/documents.ts';

it('bounds the configurations of one build', () => {
  const documents = new Documents();
  const one = Buffer.alloc(1024 * 1024);
  for (let count = 0; count < 64; count += 1) documents.take(one);
  expect(() => documents.take(Buffer.alloc(1))).toThrow('the configurations of the steps take more than 64 MiB');
});
