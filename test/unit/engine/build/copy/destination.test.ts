import { describe, expect, it } from 'vitest';
import { destinationOf } from '../../../../../src/engine/build/copy/destination.ts';

describe('destinations of COPY', () => {
  it.each([
    ['/', 'x', '/x'],
    ['/srv', 'x', '/srv/x'],
    ['/srv', 'x/', '/srv/x/'],
    ['/srv', '.', '/srv/'],
    ['/srv', './', '/srv/'],
    ['/srv', '/x/.', '/x/'],
    ['', 'x', '/x'],
    ['/srv', '/a/../b', '/b'],
    ['/srv', '../../../b', '/b'],
    ['/srv', '/', '/'],
    ['/', '.', '/'],
    ['/srv', '/x//', '/x/'],
  ])('in %j, %j is %j', (workingDirectory, destination, expected) => {
    expect(destinationOf(workingDirectory, destination)).toBe(expected);
  });
});
