import { describe, expect, it } from 'vitest';
import { authAt } from '../../../../src/engine/images/search-list.ts';
import { parseReference } from '../../../../src/engine/oci/reference.ts';

describe('authAt', () => {
  const auth = { username: 'u', password: 'p' };
  it.each([
    ['app:1', 'docker.io/library/app:1', true],
    ['docker.io/library/app', 'docker.io/library/app', true],
    ['index.docker.io/team/app', 'docker.io/team/app', true],
    ['app:1', 'r.example:5000/app:1', false],
    ['docker.io/library/app', 'r.example:5000/app', false],
    ['r.example:5000/app', 'r.example:5000/app', true],
    ['r.example/app', 'r.example:5000/app', false],
  ])('of a client that says %s, asked for %s: %j', (text, reference, isShown) => {
    expect(authAt(parseReference(reference), text, auth)).toBe(isShown ? auth : null);
  });
});
