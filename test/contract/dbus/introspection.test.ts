/**
 * The golden documents are the contract: what is served is what they say, and what was released stays. A member that is
 * removed or changes its signature fails here; a new one is added to members.txt with `UPDATE=1`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExportedObject } from '../../../src/dbus/bus/exported.ts';
import { INTROSPECTION_FOLDER, interfaceInfo } from '../../../src/dbus/introspection.ts';
import { ROOT, SERVICE } from '../../../src/dbus/names.ts';
import type { InterfaceInfo } from '../../../src/dbus/bus/xml.ts';
import { parseIntrospection } from '../../../src/dbus/bus/xml.ts';
import type { BareFront } from '../../support/bus-front.ts';
import { startBareFront } from '../../support/bus-front.ts';
import { PrivateBus, whyNoBus } from '../../support/private-bus.ts';

const MEMBERS = new URL('./members.txt', import.meta.url);
const POLICIES = new URL('../../../systemd/polkit/', import.meta.url);
const ACTION = `${SERVICE}.PolkitAction`;

/** Methods that judge by themselves: who started a job may see and end it. */
const OPEN = ['Job.Cancel', 'Manager.ListJobs', 'Manager.WaitJob'];

const names = readdirSync(INTROSPECTION_FOLDER)
  .map((file) => file.replace(/\.xml$/, ''))
  .sort();
const interfaces = names.map(interfaceInfo);
const nounOf = ({ name }: InterfaceInfo): string => name.slice(SERVICE.length + 1);

describe('golden documents', () => {
  it('are nine, one interface each, named as their file', () => {
    expect(names.map((name) => name.replace(`${SERVICE}.`, ''))).toEqual([
      'Config',
      'Container',
      'Exec',
      'Image',
      'Job',
      'Manager',
      'Network',
      'Schedule',
      'Volume',
    ]);
    for (const name of names) {
      const document = readFileSync(new URL(`${name}.xml`, INTROSPECTION_FOLDER), 'utf8');
      expect(parseIntrospection(document).map((info) => info.name)).toEqual([name]);
    }
  });

  it('keep every member and its signature', () => {
    const listed = interfaces.flatMap(membersOf);
    if (process.env['UPDATE'] === '1') writeFileSync(MEMBERS, `${listed.join('\n')}\n`);
    const released = readFileSync(MEMBERS, 'utf8').trim().split('\n');
    expect(
      released.filter((member) => !listed.includes(member)),
      'removed or changed',
    ).toEqual([]);
    expect(
      listed.filter((member) => !released.includes(member)),
      'new: run with UPDATE=1',
    ).toEqual([]);
  });

  it('have a polkit action for every method that is not on the list of open ones', () => {
    const open = interfaces.flatMap((info) =>
      [...info.methods.values()]
        .filter(({ annotations }) => !annotations.has(ACTION))
        .map(({ name }) => `${nounOf(info)}.${name}`),
    );
    expect(open.sort()).toEqual(OPEN);
  });

  it('name only actions that the polkit policy declares', () => {
    const actions = new Set(
      interfaces.flatMap(({ methods }) =>
        [...methods.values()].flatMap(({ annotations }) => annotations.get(ACTION) ?? []),
      ),
    );
    const policies = readdirSync(POLICIES).filter((file) => file.endsWith('.policy'));
    const declared = policies
      .map((file) => readFileSync(new URL(file, POLICIES), 'utf8'))
      .flatMap((text) => [...text.matchAll(/<action id="([^"]+)"/g)].map(([, id]) => id));
    expect([...actions].filter((action) => !declared.includes(action))).toEqual([]);
  });

  it('have only what the strictest parser takes', () => {
    for (const { text } of interfaces) {
      expect(text).not.toMatch(/<!--|xmlns|<doc:/);
      const annotations = [...text.matchAll(/<annotation name="([^"]+)"/g)].map(([, name]) => name);
      const known = [
        ACTION,
        `${SERVICE}.Since`,
        'org.freedesktop.DBus.Property.EmitsChangedSignal',
        'org.freedesktop.DBus.Deprecated',
      ];
      expect(annotations.filter((name) => !known.includes(name ?? ''))).toEqual([]);
    }
  });
});

describe.skipIf(whyNoBus !== null)(
  `introspection as served${whyNoBus === null ? '' : ` (skipped: ${whyNoBus})`}`,
  () => {
    let bus: PrivateBus;
    let front: BareFront;

    beforeAll(async () => {
      bus = await PrivateBus.start();
      front = await startBareFront(bus.address);
      for (const info of interfaces) front.tree.add(dummy(info));
    });
    afterAll(async () => {
      await front[Symbol.asyncDispose]();
      await bus[Symbol.asyncDispose]();
    });

    for (const info of interfaces) {
      it(`is the document of ${nounOf(info)}, and busctl and gdbus read it`, async () => {
        const path = `${ROOT}/${nounOf(info)}`;
        const client = await bus.connect();
        const [served] = await client.call({
          destination: SERVICE,
          path,
          interface: 'org.freedesktop.DBus.Introspectable',
          member: 'Introspect',
        });
        const found = parseIntrospection(String(served)).find(({ name }) => name === info.name);
        expect(found).toEqual(info);
        expect(String(served)).toContain(info.text);
        const shown = await bus.busctl('introspect', SERVICE, path, info.name);
        const gdbus = await bus.run(0, 'gdbus', 'introspect', '--system', '-d', SERVICE, '-o', path);
        for (const member of [...info.methods.keys(), ...info.signals.keys(), ...info.properties.keys()]) {
          expect(shown).toMatch(new RegExp(`^\\.${member} `, 'm'));
          expect(gdbus).toMatch(new RegExp(`\\b${member}\\b`));
        }
      });
    }

    it('shows flags and children', async () => {
      const shown = await bus.busctl('introspect', SERVICE, `${ROOT}/Volume`);
      expect(shown).toMatch(/^\.Name +property +s .* const$/m);
      expect(shown).toMatch(/^\.Containers +property +ao .* emits-change$/m);
      expect(await bus.busctl('--list', 'tree', SERVICE)).toContain(`${ROOT}/Volume\n`);
      const root = await bus.busctl('introspect', SERVICE, ROOT);
      expect(root).toMatch(/^\.GetManagedObjects +method +- +a\{oa\{sa\{sv\}\}\}/m);
    });
  },
);

function membersOf(info: InterfaceInfo): readonly string[] {
  const methods = [...info.methods.values()].map(
    (each) => `${each.name}(${each.inSignature}) → (${each.outSignature})`,
  );
  const signals = [...info.signals.values()].map((each) => `signal ${each.name}(${each.signature})`);
  const properties = [...info.properties.values()].map((each) => `property ${each.name} ${each.type}`);
  return [...methods, ...signals, ...properties].map((member) => `${nounOf(info)}.${member}`);
}

/** An object with every member of an interface; its properties have the least value of their type. */
function dummy(info: InterfaceInfo): ExportedObject {
  return {
    path: `${ROOT}/${nounOf(info)}`,
    interfaces: [
      {
        name: info.name,
        methods: Object.fromEntries([...info.methods.keys()].map((name) => [name, () => []])),
        properties: () =>
          Object.fromEntries([...info.properties.values()].map(({ name, type }) => [name, leastValue(type)])),
      },
    ],
  };
}

function leastValue(type: string): unknown {
  switch (type.slice(0, 2)) {
    case 's':
      return '';
    case 'o':
      return '/';
    case 'b':
      return false;
    case 'a{':
      return {};
    default:
      return type.startsWith('a') ? [] : 0;
  }
}
