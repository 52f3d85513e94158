import { expect, it } from 'vitest';
import { layerBytesOf, type ImageView } from '../../../../src/engine/images/types.ts';

const image = (layers: Readonly<Record<string, number>>): ImageView =>
  ({ layerChainIds: Object.keys(layers), layerSizes: Object.values(layers) }) as unknown as ImageView;

it('counts a layer once that images share, whether or not it is an image of its own', () => {
  expect(layerBytesOf([image({ base: 100, a: 1 }), image({ base: 100, b: 2 }), image({ base: 100, a: 1, c: 3 })])).toBe(
    106,
  );
  expect(layerBytesOf([])).toBe(0);
});
