import { describe, expect, it } from 'vitest';
import { chooseUserns, joinsAnother, type UsernsOptions } from '../../../../../src/engine/containers/userns/choice.ts';
import { mappingOfRun } from '../../../../../src/engine/containers/userns/pool.ts';
import { exampleSpec, type SpecChange } from '../../../../support/container-spec.ts';

const PLAIN: UsernsOptions = {
  byDefault: 'remap',
  remap: null,
  pool: { runs: [], source: 'none' },
  autoSize: 65_536,
  whyNot: () => null,
};
const REMAPPED: UsernsOptions = { ...PLAIN, remap: mappingOfRun({ first: 100_000, count: 10 }) };
const AUTO: UsernsOptions = { ...PLAIN, byDefault: 'auto' };

const choose = (change: SpecChange, options: UsernsOptions = PLAIN) => chooseUserns(exampleSpec(change), options);

describe('whose user namespace', () => {
  it('is what the daemon is told, unless the container says', () => {
    expect(choose({})).toEqual({ kind: 'remap' });
    expect(choose({}, AUTO)).toEqual({ kind: 'auto', size: 65_536 });
    expect(choose({ host: { usernsMode: 'host' } }, REMAPPED)).toEqual({ kind: 'host' });
    expect(choose({ host: { usernsMode: 'auto:size=300' } }, REMAPPED)).toEqual({ kind: 'auto', size: 300 });
  });

  it('can be said by label or annotation, for clients that do not know the word; the mode itself wins', () => {
    const labels = { 'org.moored.userns': 'auto' };
    expect(choose({ labels })).toEqual({ kind: 'auto', size: 65_536 });
    expect(choose({ labels, host: { annotations: { 'org.moored.userns': 'auto:size=9' } } })).toEqual({
      kind: 'auto',
      size: 9,
    });
    expect(choose({ labels, host: { usernsMode: 'host' } })).toEqual({ kind: 'host' });
  });

  it.each(['foo', 'auto:', 'auto:size=', 'auto:size=-1', 'auto:size=0', 'auto:size=4294967295', 'private'])(
    'is not %s',
    (usernsMode) => {
      expect(() => choose({ host: { usernsMode } })).toThrow(`invalid user namespace mode: ${usernsMode}`);
    },
  );

  it.each([
    [{ privileged: true }, 'privileged mode is incompatible with user namespaces.  You must run the container in the'],
    [{ network: { kind: 'host' } }, "cannot share the host's network namespace when user namespaces are enabled"],
    [{ pidMode: { kind: 'host' } }, 'cannot share the host PID namespace when user namespaces are enabled'],
  ] as const)('does not go with %j', (host, message) => {
    expect(() => choose({ host }, REMAPPED)).toThrow(message);
    expect(() => choose({ host }, AUTO)).toThrow(message);
    expect(choose({ host: { ...host, usernsMode: 'host' } }, REMAPPED)).toEqual({ kind: 'host' });
    expect(choose({ host })).toEqual({ kind: 'remap' });
  });

  it('cannot be any but the host’s where the kernel cannot map', () => {
    const options = { ...AUTO, whyNot: () => 'it is old' };
    expect(() => choose({}, options)).toThrow('user namespaces cannot be used: it is old');
    expect(choose({ host: { usernsMode: 'host' } }, options)).toEqual({ kind: 'host' });
  });

  it('maps binds only where there is one', () => {
    const bind = {
      kind: 'bind',
      source: '/a',
      target: '/b',
      readOnly: false,
      propagation: null,
      createSource: true,
      recursive: true,
      idmap: true,
      mode: 'idmap',
    } as const;
    expect(() => choose({ host: { mounts: [bind] } })).toThrow('idmap is for containers in a user namespace');
    expect(choose({ host: { mounts: [bind] } }, REMAPPED)).toEqual({ kind: 'remap' });
  });

  it('is another container’s with any other namespace of that one', () => {
    const joining = { kind: 'container', ref: 'x' } as const;
    expect(joinsAnother(exampleSpec().host)).toBe(false);
    for (const host of [{ network: joining }, { ipcMode: joining }, { pidMode: joining }]) {
      expect(joinsAnother(exampleSpec({ host }).host)).toBe(true);
    }
  });
});
