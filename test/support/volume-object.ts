/** A volume as the dispatcher's tests need one: methods with and without descriptors, errors, and a slow one. */
import type { Call, ExportedObject } from '../../src/dbus/bus/exported.ts';
import { interfaceName, namedPath } from '../../src/dbus/names.ts';

/** What the methods do; each test says what it needs. */
export interface VolumeMethods {
  Remove(call: Call, force: boolean): Promise<readonly unknown[]>;
  GetUsage(call: Call): Promise<readonly unknown[]>;
  Export(call: Call): Promise<readonly unknown[]>;
  Import(call: Call, fd: number, options: Readonly<Record<string, unknown>>): Promise<readonly unknown[]>;
  Inspect(call: Call): Promise<readonly unknown[]>;
}

/** The object; `values` are its properties and may be changed. */
export function volumeObject(
  name: string,
  methods: Partial<VolumeMethods> = {},
  values: Record<string, unknown> = {},
): ExportedObject {
  const nothing = async (): Promise<readonly unknown[]> => [];
  return {
    path: namedPath('volume', name),
    interfaces: [
      {
        name: interfaceName('Volume'),
        methods: {
          Remove: nothing,
          GetUsage: async () => [1n, 2],
          Export: nothing,
          Import: nothing,
          Inspect: async () => ['{}'],
          ...methods,
        },
        properties: () => ({
          Name: name,
          Driver: 'local',
          Mountpoint: `/volumes/${name}`,
          CreatedAt: 1n,
          Anonymous: false,
          Containers: [],
          ...values,
        }),
        polkitDetails: (_member, [first]) => ({ volume: name, first: String(first) }),
      },
    ],
  };
}
