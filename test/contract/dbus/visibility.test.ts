/** What a user sees who may do nothing, one who may look, and root: by busctl, with a stand-in for polkit. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { namedPath, ROOT, SERVICE } from '../../../src/dbus/names.ts';
import type { BareFront } from '../../support/bus-front.ts';
import { startBareFront } from '../../support/bus-front.ts';
import { PolkitStandIn, PrivateBus, whyNoBus } from '../../support/private-bus.ts';
import { volumeObject } from '../../support/volume-object.ts';

const obstacle = whyNoBus ?? (process.getuid?.() === 0 ? null : 'to call as another user needs root');
const USER = 65_534;
const PRESENT = namedPath('volume', 'secret');
const ABSENT = namedPath('volume', 'nothing');
const VOLUME = `${SERVICE}.Volume`;
const PROPERTIES = 'org.freedesktop.DBus.Properties';

describe.skipIf(obstacle !== null)(`who sees what${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let bus: PrivateBus;
  let front: BareFront;
  let polkit: PolkitStandIn;

  beforeAll(async () => {
    bus = await PrivateBus.start();
    polkit = await PolkitStandIn.start(bus);
    front = await startBareFront(bus.address);
    front.tree.add(volumeObject('secret'));
  });
  beforeEach(() => {
    polkit.answer = () => 'no';
    polkit.questions.length = 0;
  });
  afterAll(async () => {
    await front[Symbol.asyncDispose]();
    polkit[Symbol.dispose]();
    await bus[Symbol.asyncDispose]();
  });

  const asUser = (...args: readonly string[]): Promise<string> => bus.busctlAs(USER, ...args);
  const call = (path: string, ...rest: readonly string[]): Promise<string> => asUser('call', SERVICE, path, ...rest);
  /** What a refused call says, with the object's name taken out. */
  const refusal = async (said: Promise<string>): Promise<string> => {
    const error = await said.then(
      () => new Error('not refused'),
      (thrown: unknown) => thrown as { readonly stderr: string },
    );
    return 'stderr' in error ? error.stderr.trim() : error.message;
  };

  it('shows one who may not look neither names nor properties', async () => {
    const refused = /Access denied/;
    expect(await refusal(call(ROOT, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects'))).toMatch(refused);
    expect(await refusal(call(PRESENT, PROPERTIES, 'GetAll', 's', VOLUME))).toMatch(refused);
    expect(await refusal(call(PRESENT, PROPERTIES, 'Get', 'ss', VOLUME, 'Name'))).toMatch(refused);
    expect(await asUser('--list', 'tree', SERVICE)).not.toContain('secret');
  });

  it('knows no objects in a folder that has the name of a member of every object', async () => {
    const nowhere = `${ROOT}/constructor/x`;
    expect(await refusal(call(nowhere, 'org.freedesktop.DBus.Introspectable', 'Introspect'))).toMatch(/Access denied/);
    expect(front.log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it.each([
    ['properties', [PROPERTIES, 'GetAll', 's', VOLUME]],
    ['a property that is none', [PROPERTIES, 'Get', 'ss', VOLUME, 'Bogus']],
    ['setting a property', [PROPERTIES, 'Set', 'ssv', VOLUME, 'Name', 's', 'x']],
    ['a method', [VOLUME, 'Inspect']],
    ['a method for more than looking', [VOLUME, 'Remove', 'b', 'false']],
    ['a method with other types', [VOLUME, 'Remove', 's', 'false']],
    ['a method that is none', [VOLUME, 'Bogus']],
    ['another interface', [`${SERVICE}.Image`, 'Inspect']],
    ['an interface that is none', ['org.example.Other', 'Inspect']],
  ])('answers the same of what is there and of what is not: %s', async (_what, args) => {
    const [present, absent] = [await refusal(call(PRESENT, ...args)), await refusal(call(ABSENT, ...args))];
    expect(present).toMatch(/Access denied/);
    expect(absent).toBe(present);
    // The text of the error names the action.
    expect(polkit.questions[0]?.action).toMatch(/\.(inspect|manage-volumes)$/);
    expect(polkit.questions.map(({ action }) => action)).toEqual(Array(2).fill(polkit.questions[0]?.action));
  });

  it('gives everybody the documents, of what could be there as of what is', async () => {
    const documents = await Promise.all(
      [PRESENT, ABSENT].map((path) => call(path, 'org.freedesktop.DBus.Introspectable', 'Introspect')),
    );
    expect(documents[0]).toContain(`<interface name=\\"${VOLUME}\\">`);
    expect(documents[0]).toBe(documents[1]);
    const folder = await call(`${ROOT}/volume`, 'org.freedesktop.DBus.Introspectable', 'Introspect');
    expect(folder).not.toContain('node name');
    expect(await call(PRESENT, 'org.freedesktop.DBus.Peer', 'Ping')).toBe('');
    expect(
      await asUser('get-property', SERVICE, '/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1', 'LogLevel'),
    ).toBe('s "info"\n');
  });

  it('never asks for a password for a document', async () => {
    await asUser('--allow-interactive-authorization=yes', '--list', 'tree', SERVICE);
    expect(polkit.questions.map(({ flags }) => flags)).toEqual(polkit.questions.map(() => 0));
    await refusal(call(PRESENT, PROPERTIES, 'GetAll', 's', VOLUME));
    expect(polkit.questions.at(-1)).toMatchObject({ details: { operation: 'GetAll' }, flags: 1 });
  });

  it('shows who may look everything, and root without a question', async () => {
    polkit.answer = ({ action }) => (action === `${SERVICE}.inspect` ? 'yes' : 'no');
    expect(await call(PRESENT, PROPERTIES, 'Get', 'ss', VOLUME, 'Name')).toBe('v s "secret"\n');
    expect(await call(ROOT, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')).toContain('secret');
    expect(await asUser('--list', 'tree', SERVICE)).toContain('secret');
    expect(await refusal(call(ABSENT, VOLUME, 'Inspect'))).toContain('there is no object');
    expect(await refusal(call(ABSENT, 'org.freedesktop.DBus.Introspectable', 'Introspect'))).toContain(
      'there is no object',
    );
    polkit.questions.length = 0;
    expect(await bus.busctl('--list', 'tree', SERVICE)).toContain('secret');
    expect(
      await bus.busctl('call', SERVICE, ROOT, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects'),
    ).toContain('secret');
    expect(polkit.questions).toEqual([]);
  });
});
