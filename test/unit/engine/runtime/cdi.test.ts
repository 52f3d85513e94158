import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InternalError } from '../../../../src/base/errors.ts';
import { runtimeSpecOf } from '../../../../src/engine/containers/spec/runtime-spec.ts';
import { createCdiDevices } from '../../../../src/engine/runtime/cdi/index.ts';
import { exampleInput } from '../../../support/container-spec.ts';

let weak: string;
let strong: string;
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cdi-'));
  [weak, strong] = [join(root, 'etc'), join(root, 'run')];
  mkdirSync(weak);
  mkdirSync(strong);
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const SPEC = runtimeSpecOf(exampleInput());
const file = (change: object): string =>
  JSON.stringify({
    cdiVersion: '0.6.0',
    kind: 'vendor.com/net',
    devices: [{ name: 'a', containerEdits: { env: ['A=1'] } }],
    ...change,
  });
const cdi = () => createCdiDevices([weak, strong]);

describe('devices by their CDI names', () => {
  it('bring everything a description can say, and what a file’s devices share once', async () => {
    writeFileSync(
      join(weak, 'v.yaml'),
      `cdiVersion: "0.7.0"
kind: vendor.com/net
containerEdits:
  env: [SHARED=1, PATH=/vendor]
  additionalGids: [44, 0]
devices:
  - name: a
    containerEdits:
      deviceNodes: [{ path: /dev/va, hostPath: /dev/null, permissions: r }]
      mounts:
        - { hostPath: /lib/b, containerPath: /v/deep/b, options: [ro, bind] }
        - { hostPath: /lib/a, containerPath: /v }
      hooks: [{ hookName: createContainer, path: /bin/hook, args: [hook, x] }]
  - name: b
    containerEdits:
      deviceNodes: [{ path: /dev/vb, type: b, major: 8, minor: 1, uid: 5, fileMode: 432 }]
`,
    );
    const made = await cdi().inject(SPEC, ['vendor.com/net=a', 'vendor.com/net=b']);
    expect(made.process.env.filter((line) => /^(SHARED|PATH)=/.test(line))).toEqual(['SHARED=1', 'PATH=/vendor']);
    expect(made.process.user.additionalGids).toEqual([44]);
    expect(made.linux.devices).toEqual([
      { type: 'c', path: '/dev/va', major: 1, minor: 3 },
      { type: 'b', path: '/dev/vb', major: 8, minor: 1, uid: 5, fileMode: 432 },
    ]);
    expect(made.linux.resources?.devices?.slice(-2)).toEqual([
      { allow: true, type: 'c', major: 1, minor: 3, access: 'r' },
      { allow: true, type: 'b', major: 8, minor: 1, access: 'rwm' },
    ]);
    expect(made.mounts.slice(-2)).toEqual([
      { destination: '/v', source: '/lib/a', type: 'bind', options: ['rbind', 'nosuid', 'nodev'] },
      { destination: '/v/deep/b', source: '/lib/b', type: 'bind', options: ['ro', 'bind'] },
    ]);
    expect(made.hooks).toEqual({ createContainer: [{ path: '/bin/hook', args: ['hook', 'x'] }] });
  });

  it('belong to the user of the process where nothing else is said', async () => {
    const node = { path: '/dev/va', hostPath: '/dev/null' };
    writeFileSync(join(weak, 'v.json'), file({ devices: [{ name: 'a', containerEdits: { deviceNodes: [node] } }] }));
    const user = { ...SPEC.process.user, uid: 7, gid: 8 };
    const made = await cdi().inject({ ...SPEC, process: { ...SPEC.process, user } }, ['vendor.com/net=a']);
    expect(made.linux.devices).toMatchObject([{ uid: 7, gid: 8 }]);
  });

  it('come from the stronger directory', async () => {
    writeFileSync(join(weak, 'v.json'), file({}));
    writeFileSync(join(strong, 'w.json'), file({ devices: [{ name: 'a', containerEdits: { env: ['A=2'] } }] }));
    expect((await cdi().inject(SPEC, ['vendor.com/net=a'])).process.env).toContain('A=2');
  });

  it('are listed, with what is wrong with the files', async () => {
    writeFileSync(join(weak, '1.json'), file({}));
    writeFileSync(join(strong, '2.json'), file({ kind: 'vendor.com/gpu', devices: [{ name: '0' }, { name: '1' }] }));
    writeFileSync(join(strong, '3.json'), '{');
    writeFileSync(join(strong, '4.json'), file({ cdiVersion: '9' }));
    writeFileSync(join(strong, '5.json'), file({ kind: 'x' }));
    writeFileSync(join(strong, '6.json'), file({ devices: [] }));
    writeFileSync(join(strong, '7.yaml'), 'cdiVersion: "0.6.0"\nkind: v.com/x\ndevices: [{ name: "-" }]\n');
    const { names, warnings } = await cdi().list();
    expect(names).toEqual(['vendor.com/gpu=0', 'vendor.com/gpu=1', 'vendor.com/net=a']);
    expect(warnings.map((text) => text.replace(`${strong}/`, ''))).toEqual([
      expect.stringMatching(/^CDI: Error associated with spec file 3\.json: /),
      'CDI: Error associated with spec file 4.json: invalid CDI Spec: invalid version "9"',
      'CDI: Error associated with spec file 5.json: invalid CDI Spec: invalid kind "x"',
      'CDI: Error associated with spec file 6.json: invalid spec, no devices',
      'CDI: Error associated with spec file 7.yaml: invalid device name "-"',
    ]);
  });

  it('that two files of a directory claim are nobody’s', async () => {
    writeFileSync(join(weak, '1.json'), file({}));
    writeFileSync(join(weak, '2.json'), file({}));
    await expect(cdi().inject(SPEC, ['vendor.com/net=a'])).rejects.toThrow(
      'CDI device injection failed: unresolvable CDI devices vendor.com/net=a',
    );
  });

  it('that are not there, or whose node is not, are refused', async () => {
    writeFileSync(
      join(weak, 'v.json'),
      file({ devices: [{ name: 'a', containerEdits: { deviceNodes: [{ path: '/dev/nosuch' }] } }] }),
    );
    await expect(cdi().inject(SPEC, ['vendor.com/net=a'])).rejects.toThrow(
      'CDI device injection failed: failed to stat CDI host device "/dev/nosuch": no such file or directory',
    );
    await expect(cdi().inject(SPEC, ['x.com/y=1', 'x.com/y=2'])).rejects.toThrow(
      new InternalError('CDI device injection failed: unresolvable CDI devices x.com/y=1, x.com/y=2'),
    );
    await expect(createCdiDevices([]).inject(SPEC, ['x.com/y=1'])).rejects.toThrow(
      'CDI device injection failed: no CDI specification directories specified',
    );
  });
});
