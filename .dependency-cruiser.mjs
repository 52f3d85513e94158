/*
 * Who may import whom: the table of ARCHITECTURE.md as rules. Each comment says what to do in place of the offence.
 * Type-only imports count: a type borrowed from a stranger ties the two rooms just as well.
 * test/unit/architecture/offences holds one offence against each rule, and its test expects every rule to fire.
 */

/** The engine's rooms, upper levels first. A room sees the levels below it; rooms of one level are strangers. */
const LEVELS = [
  ['system', 'schedules', 'metrics'],
  ['gc', 'check', 'migration'],
  ['prune'],
  ['build'],
  ['containers'],
  ['images'],
  ['content', 'storage', 'registry', 'network', 'runtime', 'logging', 'volumes', 'secrets'],
  ['events', 'state', 'kernel', 'dockerfile'],
  // The specifications' own types, no I/O: Mount is what storage, kernel and runtime talk in.
  ['oci'],
];

const FACADE = '^src/engine/[^/]+\\.ts$';

/** Where drivers lie side by side, and which folders there are drivers. */
const DRIVERS = {
  storage: 'overlay2|btrfs|devicemapper|vfs',
  network: 'bridge|host|none|macvlan|ipvlan',
  'network/firewall': 'nftables|iptables',
  logging: 'json-file|local|journald|syslog|gelf|fluentd|none',
};

const rooms = LEVELS.flatMap((names, level) =>
  names.map((room) => {
    const below = LEVELS.slice(level + 1).flat();
    const reach = below.length === 0 ? 'only itself and base' : `itself, base and ${below.join(', ')}`;
    return {
      name: `room-${room}`,
      comment:
        `engine/${room} sees ${reach}. Move the shared type down to the lowest room that owns its noun (often oci), ` +
        `or let the room above (or the facade) pass what is needed as an argument.`,
      severity: 'error',
      from: { path: `^src/engine/${room}/` },
      to: { path: '^src/engine/', pathNot: [`^src/engine/(${[room, ...below].join('|')})/`, FACADE] },
    };
  }),
);

const drivers = Object.entries(DRIVERS).map(([place, names]) => ({
  name: `drivers-of-${place.replace('/', '-')}`,
  comment: `One driver does not know another. Move what both need up into ${place}/, beside driver.ts.`,
  severity: 'error',
  from: { path: `^src/engine/${place}/(${names})/` },
  to: { path: `^src/engine/${place}/(${names})/`, pathNot: `^src/engine/${place}/$1/` },
}));

const packages = [
  only('koffi', ['src/engine/kernel/linux'], 'Add the system call to the Kernel interface, and call that.'),
  only('dbus-next', ['src/dbus'], 'Ask through the one small client for firewalld, systemd and resolved.'),
  only('node-cron', ['src/engine/schedules'], 'Ask engine.schedules; time itself comes through Clock.'),
  only(
    'zod',
    ['src/api/wire', 'src/config', 'src/engine/registry'],
    'Decode at the trust boundary (api/wire, config, registry) and pass typed values inwards.',
  ),
];

export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one thought, or share a third: move that third thing out.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'resolvable',
      comment: 'The import leads nowhere: mend its path (with the .ts extension) or add the package to package.json.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^(dbus-next|koffi)$' },
    },
    {
      name: 'no-dev-packages',
      comment: 'The installed service has no devDependencies: move the package to dependencies, or do without it.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'type-only'] },
    },
    {
      name: 'src-not-test',
      comment: 'The product does not know its tests: pass the double in as an argument.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^test/' },
    },
    {
      name: 'base-is-leaf',
      comment: 'base imports nothing of ours. What needs a room lives in that room.',
      severity: 'error',
      from: { path: '^src/base/' },
      to: { path: '^src/', pathNot: '^src/base/' },
    },
    {
      name: 'base-no-io',
      comment: 'base does no I/O. Give the reader or writer a room, and pass its result in.',
      severity: 'error',
      from: { path: '^src/base/' },
      to: { path: '^(node:)?(fs|net|http|https|http2|dgram|tls|dns|child_process|worker_threads|sqlite)(/|$)' },
    },
    {
      name: 'config-alone',
      comment:
        'config knows only base. The engine never sees a configuration key: service/compose.ts hands out options.',
      severity: 'error',
      from: { path: '^src/config/' },
      to: { path: '^src/', pathNot: '^src/(config|base)/' },
    },
    {
      name: 'front-api',
      comment: 'api sees engine/index.ts and base only. Export the type from the door, or add a verb to the facade.',
      severity: 'error',
      from: { path: '^src/api/' },
      to: { path: '^src/', pathNot: '^src/(api/|base/|engine/index\\.ts$)' },
    },
    {
      name: 'front-dbus',
      comment: 'dbus sees engine/index.ts and base only. Export the type from the door, or add a verb to the facade.',
      severity: 'error',
      from: { path: '^src/dbus/' },
      to: { path: '^src/', pathNot: '^src/(dbus/|base/|engine/index\\.ts$)' },
    },
    {
      name: 'cli-base-only',
      comment: 'cli speaks only the REST API and sees base only. Ask the daemon over its socket.',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: { path: '^src/', pathNot: '^src/(cli|base)/' },
    },
    {
      name: 'engine-below-fronts',
      comment: 'The engine knows neither fronts nor configuration nor service: take what is needed as an argument.',
      severity: 'error',
      from: { path: '^src/engine/' },
      to: { path: '^src/', pathNot: '^src/(engine|base)/' },
    },
    {
      name: 'facade-above-rooms',
      comment: 'A room never sees the facade: it would know its own caller. Take the one thing needed as an argument.',
      severity: 'error',
      from: { path: '^src/engine/[^/]+/' },
      to: { path: FACADE },
    },
    ...rooms,
    {
      name: 'folder-private-to-room',
      comment: "A folder inside a room (a driver's, say) is the room's own. Use the room's seam (driver.ts, types.ts).",
      severity: 'error',
      from: { path: '^src/engine/([^/]+)/' },
      to: { path: '^src/engine/[^/]+/[^/]+/', pathNot: '^src/engine/$1/' },
    },
    ...drivers,
    {
      name: 'only-compose-names-drivers',
      comment:
        'Only service/compose.ts (and a worker thread, composed apart) names implementations. Take the seam (StorageDriver, Kernel …) as an argument.',
      severity: 'error',
      from: { path: ['^src/service/', FACADE], pathNot: '^src/service/(compose|[a-z-]+-worker\\.ts$)' },
      to: { path: '^src/engine/[^/]+/[^/]+/' },
    },
    ...packages,
    {
      name: 'only-child_process',
      comment: 'Only engine/kernel and engine/runtime start processes. Use a system call, or a method of those seams.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/engine/(kernel|runtime)/' },
      to: { path: '^(node:)?child_process$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
    skipAnalysisNotInRules: false,
    moduleSystems: ['es6'],
  },
};

/** A package that only some folders may import. */
function only(name, folders, cure) {
  return {
    name: `only-${name}`,
    comment: `${name} only in ${folders.join(', ')}. ${cure}`,
    severity: 'error',
    from: { path: '^src/', pathNot: `^(${folders.join('|')})/` },
    to: { path: `(^|/)node_modules/${name}/|^${name}(/|$)` },
  };
}
