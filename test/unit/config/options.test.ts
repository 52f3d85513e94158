import { describe, expect, it } from 'vitest';
import { keysOf, KEYS_WITHOUT_EFFECT, OPTION_BY_KEY, OPTIONS } from '../../../src/config/options.ts';
import { parseFlags } from '../../../src/config/flags.ts';
import { load } from './sources.ts';

/** Flags of dockerd 20.10 to 29, those it removed on the way among them. */
const DOCKERD_FLAGS = `
  add-runtime allow-direct-routing allow-nondistributable-artifacts api-cors-header authorization-plugin bip bip6 bridge
  bridge-accept-fwmark cdi-spec-dir cgroup-parent cluster-advertise cluster-store cluster-store-opt containerd
  containerd-namespace containerd-plugins-namespace cpu-rt-period cpu-rt-runtime cri-containerd data-root debug
  default-address-pool default-cgroupns-mode default-gateway default-gateway-v6 default-ipc-mode default-network-opt
  default-runtime default-shm-size default-stop-timeout default-ulimit dns dns-opt dns-search exec-opt exec-root
  experimental feature firewall-backend fixed-cidr fixed-cidr-v6 graph group host host-gateway-ip http-proxy https-proxy
  icc init init-path insecure-registry ip ip-forward ip-forward-no-drop ip-masq ip6tables iptables ipv6 label live-restore
  log-driver log-format log-level log-opt max-concurrent-downloads max-concurrent-uploads max-download-attempts
  metrics-addr mtu network-control-plane-mtu network-diagnostic-port no-new-privileges no-proxy node-generic-resource
  nri-opts oom-score-adjust pidfile raw-logs registry-mirror restart rootless seccomp-profile selinux-enabled
  shutdown-timeout storage-driver storage-opt swarm-default-advertise-addr tls tlscacert tlscert tlskey tlsverify
  userland-proxy userland-proxy-path userns-remap
`
  .trim()
  .split(/\s+/);

/** Keys of daemon.json that are not the flag's name. */
const DOCKERD_KEYS = `
  authorization-plugins builder cdi-spec-dirs cluster-store-opts containerd-plugin-namespace default-address-pools
  default-network-opts default-ulimits deprecated-key-path dns-opts exec-opts features host-gateway-ips hosts
  insecure-registries labels log-opts min-api-version node-generic-resources registry-mirrors runtimes storage-opts
`
  .trim()
  .split(/\s+/);

describe('the table', () => {
  it('knows every flag of dockerd, and nothing else that is not marked as moored’s own', () => {
    expect(OPTIONS.filter(({ own }) => own !== true).map(({ flag }) => flag)).toEqual(DOCKERD_FLAGS.toSorted());
  });

  it('knows every key of daemon.json', () => {
    for (const key of DOCKERD_KEYS) {
      expect([key, OPTION_BY_KEY.has(key) || KEYS_WITHOUT_EFFECT.has(key)]).toEqual([key, true]);
    }
  });

  it('has each flag, short flag, key and variable once', () => {
    for (const names of [
      OPTIONS.map(({ flag }) => flag),
      OPTIONS.flatMap(({ short }) => short ?? []),
      OPTIONS.flatMap(keysOf),
      OPTIONS.flatMap(({ variable }) => variable ?? []),
    ]) {
      expect(names).toEqual([...new Set(names)]);
    }
  });

  it('takes dockerd’s short flags', () => {
    const words = '-b x -D -G g -H fd:// -l warn -p /p -s vfs -r'.split(' ');
    expect(parseFlags(words).given.map(({ option }) => option.flag)).toEqual([
      'bridge',
      'debug',
      'group',
      'host',
      'log-level',
      'pidfile',
      'storage-driver',
      'restart',
    ]);
    expect(parseFlags(['-g', '/x']).given[0]?.option.flag).toBe('graph');
  });

  it('names typed variables as sysconfig does', () => {
    for (const variable of OPTIONS.flatMap(({ variable: name }) => name ?? [])) {
      expect(variable).toMatch(/^DOCKER_[A-Z][A-Z_]*$/);
    }
  });

  it('takes every default as given without a word', () => {
    expect(load({}).problems).toEqual([]);
  });
});

describe('options that are not offered', () => {
  const refused = OPTIONS.filter((option) => option.refused !== undefined);

  it.each(refused.map((option) => [option.flag, option] as const))(
    '--%s is refused with the reason',
    (flag, option) => {
      const text = { boolean: 'true', integer: '7', bytes: '7m', string: 'fd00::1', list: 'a=b', map: 'a=b' }[
        option.type
      ];
      expect(() => load({ argv: [`--${flag}=${text}`] })).toThrow(`--${flag} ${option.refused ?? ''}`);
    },
  );

  it('are taken at their default', () => {
    const argv = refused.flatMap(({ flag, type, fallback }) =>
      type === 'list' || type === 'map' ? [] : [`--${flag}=${String(fallback)}`],
    );
    expect(() => load({ argv })).not.toThrow();
  });

  it('are told by the key’s place when a file has them', () => {
    expect(() => load({ json: '{\n"nri-opts": {"a":"b"}}' })).toThrow(
      expect.objectContaining({
        message: '--nri-opts is not supported by this version of moored',
        problems: [expect.objectContaining({ file: '/etc/docker/daemon.json', line: 2, subject: 'nri-opts' })],
      }),
    );
  });
});

describe('options without effect', () => {
  it.each([
    ['--containerd=/run/containerd/containerd.sock', 'containerd'],
    ['--containerd-namespace=x', 'containerd-namespace'],
    ['--feature=buildkit', 'features'],
    ['--raw-logs', 'raw-logs'],
    ['--restart=false', 'restart'],
    ['--selinux-enabled', 'selinux-enabled'],
    ['--userland-proxy-path=/usr/bin/docker-proxy', 'userland-proxy-path'],
    ['--allow-nondistributable-artifacts=r', 'allow-nondistributable-artifacts'],
    ['--network-control-plane-mtu=1400', 'network-control-plane-mtu'],
  ])('%s is taken with a warning', (word, key) => {
    expect(load({ argv: [word] }).problems).toEqual([
      expect.objectContaining({
        severity: 'warning',
        subject: key,
        text: expect.stringMatching(/^has no effect: /),
      }),
    ]);
  });

  it('are told by file and line', () => {
    const config = load({
      json: '{"builder": {"gc": {"enabled": true}, "history": {}},\n"min-api-version": "1.24",\n"mtu": 0}',
    });
    expect(config.problems.map(({ line, subject, severity }) => [line, subject, severity])).toEqual([
      [2, 'min-api-version', 'warning'],
      [1, 'builder.history', 'warning'],
      [3, 'mtu', 'warning'],
    ]);
  });
});

describe('stock configurations', () => {
  it('SUSE’s unit, daemon.json and an old DOCKER_NETWORK_OPTIONS start', () => {
    const config = load({
      argv: ['--add-runtime', 'oci=/usr/sbin/runc', '--iptables=false'],
      environment: { DOCKER_OPTS: '', DOCKER_NETWORK_OPTIONS: '--iptables=false' },
      sysconfig:
        '\n## Path           : System/Management\n## Type           : string\n#\nDOCKER_OPTS=""\nDOCKER_NETWORK_OPTIONS="--iptables=false"\n',
      json: {
        'log-level': 'warn',
        'log-driver': 'json-file',
        'log-opts': { 'max-size': '10m', 'max-file': '5' },
        'selinux-enabled': true,
      },
    });
    expect(config.get('iptables')).toBe(false);
    expect(config.get('add-runtime')).toEqual({ oci: '/usr/sbin/runc' });
    expect(config.problems.map(({ subject }) => subject)).toEqual(['selinux-enabled']);
  });

  it('upstream’s unit starts', () => {
    const config = load({ argv: ['-H', 'fd://', '--containerd=/run/containerd/containerd.sock'] });
    expect(config.get('host')).toEqual(['fd://']);
    expect(config.problems.map(({ subject }) => subject)).toEqual(['containerd']);
  });
});
