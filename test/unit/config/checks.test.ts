import { describe, expect, it } from 'vitest';
import { load } from './sources.ts';

/** As dockerd 20.10 answers, tried; where later versions say it otherwise, as they do. */
describe('flags out of range', () => {
  it.each([
    ['--dns x', 'invalid argument "x" for "--dns" flag: x is not an ip address'],
    ['--dns-search -a', 'invalid argument "-a" for "--dns-search" flag: -a is not a valid domain'],
    ['--label novalue', 'invalid argument "novalue" for "--label" flag: bad attribute format: novalue'],
    ['--default-ulimit nope=1', 'invalid argument "nope=1" for "--default-ulimit" flag: invalid ulimit type: nope'],
    [
      '--default-ulimit nofile=5:1',
      'invalid argument "nofile=5:1" for "--default-ulimit" flag: ulimit soft limit must be less than or equal to hard limit: 5 > 1',
    ],
    [
      '--default-ulimit nofile=x',
      'invalid argument "nofile=x" for "--default-ulimit" flag: strconv.ParseInt: parsing "x": invalid syntax',
    ],
    ['--default-ulimit nofile=1:2:3', 'too many limit value arguments - 1:2:3'],
    ['--default-ulimit nofile=-1:5', 'ulimit soft limit must be less than or equal to hard limit: soft: -1'],
    [
      '--registry-mirror nope',
      'invalid argument "nope" for "--registry-mirror" flag: invalid mirror: unsupported scheme "" in "nope"',
    ],
    ['--registry-mirror ftp://x', 'invalid mirror: unsupported scheme "ftp" in "ftp://x"'],
    ['--ip x', 'invalid argument "x" for "--ip" flag: x is not an ip address'],
    ['--host-gateway-ip x', 'invalid argument "x" for "--host-gateway-ip" flag: x is not an ip address'],
    ['--default-gateway x', 'invalid argument "x" for "--default-gateway" flag: x is not an ip address'],
    ['--default-gateway-v6 x', 'invalid argument "x" for "--default-gateway-v6" flag: x is not an ip address'],
    ...['bridge', 'bridge=com.docker.network.driver.mtu'].map((text): [string, string] => [
      `--default-network-opt ${text}`,
      `invalid argument "${text}" for "--default-network-opt" flag: invalid value "${text}" for map option, should be root-key=key=value`,
    ]),
    [
      '--default-address-pool x=y',
      'invalid argument "x=y" for "--default-address-pool" flag: unexpected key \'x\' in \'x=y\'',
    ],
    ['--default-address-pool x', "invalid field 'x' must be a key=value pair"],
    [
      '--default-address-pool base=10.0.0.0/33,size=24',
      'invalid base pool "10.0.0.0/33": invalid CIDR address: 10.0.0.0/33',
    ],
    ['--default-address-pool base=10.0.0.0/16,size=x', 'invalid size value: "x"'],
    ['--default-address-pool base=10.0.0.0/16,size=8', 'invalid pool size "8"'],
    ['--default-shm-size foo', 'invalid argument "foo" for "--default-shm-size" flag: invalid size: \'foo\''],
    ['--add-runtime foo', 'invalid argument "foo" for "--add-runtime" flag: invalid runtime argument: foo'],
    ['--add-runtime runc=/x', 'invalid argument "runc=/x" for "--add-runtime" flag: runtime name \'runc\' is reserved'],
    ['--add-runtime x=', 'invalid runtime argument: x='],
    ['-H bad://x', 'invalid argument "bad://x" for "-H, --host" flag: Invalid bind address format: bad://x'],
    [
      '--shutdown-timeout x',
      'invalid argument "x" for "--shutdown-timeout" flag: strconv.ParseInt: parsing "x": invalid syntax',
    ],
    ['--mtu 99999999999999999999', 'strconv.ParseInt: parsing "99999999999999999999": value out of range'],
    ['--debug=x', 'invalid argument "x" for "-D, --debug" flag: strconv.ParseBool: parsing "x": invalid syntax'],
    ['--validate=x', 'invalid argument "x" for "--validate" flag: strconv.ParseBool'],
    ['--feature buildkit=maybe', 'invalid value for feature buildkit: maybe'],
    ['---mtu 1', 'bad flag syntax: ---mtu'],
    ['-DZ', "unknown shorthand flag: 'Z' in -DZ"],
    ['-DH', "flag needs an argument: 'H' in -DH"],
    ['stray', '"moored" accepts no arguments.'],
    ['-- stray', '"moored" accepts no arguments.'],
  ])('%s', (line, message) => {
    expect(() => load({ argv: line.split(' ') })).toThrow(message);
  });
});

describe('merged values out of range', () => {
  const prefix =
    'unable to configure the Docker daemon with file /etc/docker/daemon.json: merged configuration validation from file and command line flags failed: ';
  it.each([
    ['--log-level foo', 'invalid logging level: foo'],
    ['--log-format xml', 'invalid log format: xml'],
    ['--max-concurrent-uploads -1', 'invalid max concurrent uploads: -1'],
    ['--max-download-attempts=-1', 'invalid max download attempts: -1'],
    ['--mtu -5', 'invalid default MTU: -5'],
    ['--default-ipc-mode foo', 'default IPC mode setting (foo) is invalid; use "shareable" or "private"'],
    ['--default-cgroupns-mode foo', 'default cgroup namespace mode (foo) is invalid; use "host" or "private"'],
    ['--exec-opt native.cgroupdriver=foo', 'native.cgroupdriver option foo not supported'],
    ['--exec-opt foo=bar', 'invalid option: foo=bar'],
    ['--exec-opt foo', 'unable to parse exec-opt foo'],
    ['--bip 10.0.0.300/24', 'invalid CIDR address: 10.0.0.300/24'],
    ['--bip6 10.0.0.1/24', 'invalid CIDR address: 10.0.0.1/24'],
    ['--bip6 fd00::1', 'invalid CIDR address: fd00::1'],
    ['--fixed-cidr-v6 fd00::', `invalid fixed-cidr-v6: netip.ParsePrefix("fd00::"): no '/'`],
    ['--fixed-cidr-v6 x/64', 'invalid fixed-cidr-v6: netip.ParsePrefix("x/64"): ParseAddr("x"): unable to parse IP'],
    [
      '--fixed-cidr-v6 fd00::/129',
      'invalid fixed-cidr-v6: netip.ParsePrefix("fd00::/129"): prefix length out of range',
    ],
    ['--fixed-cidr-v6 10.0.0.0/8', "invalid fixed-cidr-v6: '10.0.0.0/8' is not a valid IPv6 subnet"],
    ['--fixed-cidr-v6 ff02::/64', "invalid fixed-cidr-v6: multicast subnet 'ff02::/64' is not allowed"],
    ['--fixed-cidr-v6 fe80::/80', "invalid fixed-cidr-v6: 'fe80::/80' clashes with the Link-Local prefix 'fe80::/64'"],
    ['--fixed-cidr-v6 fe80::/10', "invalid fixed-cidr-v6: 'fe80::/10' clashes with the Link-Local prefix 'fe80::/64'"],
    ['--fixed-cidr 10.0.0.0/33', 'invalid CIDR address: 10.0.0.0/33'],
    [
      '--storage-driver aufs',
      'error initializing graphdriver: storage driver aufs is refused: no kernel in support has it',
    ],
    [
      '--storage-driver nope',
      'error initializing graphdriver: storage driver nope is refused: there is no such driver',
    ],
    ['--storage-opt foo', 'Unable to parse key/value option: foo'],
    ['--data-root relative', 'invalid path "relative": it must be absolute'],
    ['--data-root /proc/x', 'invalid path "/proc/x": it belongs to the kernel'],
    ['--exec-root //sys/../proc', 'invalid path "//sys/../proc": it belongs to the kernel'],
    ['--pidfile /sys/x/y.pid', 'invalid path "/sys/x/y.pid": it belongs to the kernel'],
    ['--insecure-registry a,b', 'insecure registry a,b is not valid: invalid host "a,b"'],
    ['--insecure-registry 10.0.0.0/99', 'insecure registry 10.0.0.0/99 is not valid: invalid host or CIDR'],
    ['--http-proxy ftp://user:secret@h', 'invalid proxy URL (ftp://xxxxx:xxxxx@h)'],
    ['--firewall-backend ufw', 'invalid firewall-backend "ufw": use "iptables", "nftables"'],
    ['--host-names .', '. is not a valid domain'],
    ['--host-names a..b', 'a..b is not a valid domain'],
    ['--idle-exit=-1', 'invalid idle exit: -1'],
    ['--config-conflicts maybe', 'invalid config-conflicts "maybe": use "error", "flag-wins", "file-wins"'],
    ['--prune-target everything', 'invalid prune-target "everything": use "containers"'],
    [
      '--prune-filter dangling=true',
      "invalid filter 'dangling=true': use until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]",
    ],
    ['--prune-filter until=', "invalid filter 'until='"],
    [
      '--prune-filter until=10days',
      `invalid filter 'until=10days': failed to parse value as time or duration: "10days"`,
    ],
    ['--prune-schedule daily', 'invalid schedule "daily": it has 1 fields in place of 5'],
    ['--prune-schedule @noon', 'invalid schedule "@noon": use @yearly'],
    ['--network-diagnostic-port 70000', 'invalid network diagnostic port: 70000'],
  ])('%s', (line, reason) => {
    expect(() => load({ argv: line.split(' ') })).toThrow(prefix + reason);
  });
});

describe('the file’s values out of range', () => {
  const prefix = 'unable to configure the Docker daemon with file /etc/docker/daemon.json: ';
  it.each([
    [{ dns: ['x'] }, 'configuration validation from file failed: x is not an ip address'],
    [{ labels: ['novalue'] }, 'configuration validation from file failed: bad attribute format: novalue'],
    [
      { 'max-concurrent-downloads': -1 },
      'configuration validation from file failed: invalid max concurrent downloads: -1',
    ],
    [
      { 'registry-mirrors': ['https://u:p@x/'] },
      'invalid mirror: username/password not allowed in URI "https://u:xxxxx@x/"',
    ],
    [
      { 'registry-mirrors': ['https://x/p?q=1'] },
      'invalid mirror: path, query, or fragment at end of the URI "https://x/p?q=1"',
    ],
    [
      { 'default-ipc-mode': 'foo' },
      'configuration validation from file failed: default IPC mode setting (foo) is invalid',
    ],
    [
      { runtimes: { runc: { path: '/x' } } },
      "configuration validation from file failed: runtime name 'runc' is reserved",
    ],
    [{ 'default-shm-size': 'foo' }, "invalid size: 'foo'"],
    [
      { 'default-shm-size': true },
      'json: cannot unmarshal bool into Go struct field Config.default-shm-size of type opts.MemBytes',
    ],
    [
      { 'log-opts': { 'max-file': 5 } },
      'json: cannot unmarshal number into Go struct field Config.log-opts of type string',
    ],
    [{ labels: ['a=1', 2] }, 'json: cannot unmarshal number into Go struct field Config.labels of type string'],
    [{ mtu: 'x' }, 'json: cannot unmarshal string into Go struct field Config.mtu of type int'],
    [
      { features: { buildkit: 'yes' } },
      'json: cannot unmarshal string into Go struct field Config.features of type bool',
    ],
    [
      { 'default-network-opts': { bridge: 'mtu' } },
      'json: cannot unmarshal string into Go struct field Config.default-network-opts of type map[string]string',
    ],
    [
      { 'default-network-opts': { bridge: { mtu: 1400 } } },
      'json: cannot unmarshal number into Go struct field Config.default-network-opts of type string',
    ],
    [{ 'default-address-pools': [{ base: 1 }] }, 'of type ipamutils.NetworkToSplit'],
    [
      { 'host-gateway-ips': ['10.0.0.1', 'fd00::1', '10.0.0.2'] },
      'only one IPv4 host gateway IP address can be specified',
    ],
    [
      { 'default-ulimits': { nofile: { Name: 'nofile', Soft: 5, Hard: 1 } } },
      'soft limit must be less than or equal to hard limit: 5 > 1',
    ],
    [{ graph: '/x' }, '--graph is not offered: dockerd 24 removed it. Use --data-root'],
  ])('%j', (json, reason) => {
    expect(() => load({ json })).toThrow(reason);
    if (!reason.startsWith('--')) expect(() => load({ json })).toThrow(prefix);
  });

  it('are told with file, line and key', () => {
    expect(() => load({ json: '{\n\n "mtu": -5}' })).toThrow(
      expect.objectContaining({
        problems: [
          expect.objectContaining({
            severity: 'error',
            file: '/etc/docker/daemon.json',
            line: 3,
            subject: 'mtu',
            text: 'configuration validation from file failed: invalid default MTU: -5',
          }),
        ],
      }),
    );
  });

  it('name line and column of malformed JSON, in whichever file', () => {
    expect(() => load({ json: '{\n  "debug": true,\n}' })).toThrow(
      "with file /etc/docker/daemon.json: invalid character '}' looking for beginning of object key string (line 3, column 1)",
    );
  });
});

describe('typed variables out of range', () => {
  it.each([
    ['DOCKER_IPTABLES="maybe"', 'DOCKER_IPTABLES: "maybe" must be yes or no'],
    ['DOCKER_MTU="big"', 'DOCKER_MTU: "big" must be a whole number'],
    ['DOCKER_LOG_LEVEL="loud"', 'DOCKER_LOG_LEVEL: invalid logging level: loud'],
    [
      'DOCKER_STORAGE_DRIVER="aufs"',
      'DOCKER_STORAGE_DRIVER: error initializing graphdriver: storage driver aufs is refused',
    ],
    ['DOCKER_DNS="10.0.0.1,10.0.0.2"', 'DOCKER_DNS: 10.0.0.1,10.0.0.2 is not an ip address'],
    ['DOCKER_OPTS="--nope"', 'DOCKER_OPTS: unknown flag: --nope'],
    [
      'DOCKER_OPTS="--config-file /x"',
      'DOCKER_OPTS: --config-file, --validate, --tear-down, --help and --version belong',
    ],
    ['HTTP_PROXY="ftp://x"', 'HTTP_PROXY: invalid proxy URL (ftp://x)'],
  ])('%s', (line, reason) => {
    expect(() => load({ sysconfig: `# first\n${line}\n` })).toThrow(
      `unable to configure the Docker daemon: /etc/sysconfig/docker:2: ${reason}`,
    );
  });

  it('say nothing when empty, as templates ship them', () => {
    const config = load({ sysconfig: 'DOCKER_IPTABLES=""\nDOCKER_MTU=""\nDOCKER_OPTS=""\nDOCKER_DNS=\n' });
    expect(config.settings.filter(({ origin }) => origin.layer !== 'default')).toEqual([]);
  });
});

describe('options that exclude one another', () => {
  it.each([
    ['-b br0 --bip 10.0.0.1/24', 'You specified -b & --bip, mutually exclusive options. Please specify only one'],
    [
      '--icc=false --iptables=false',
      'You specified --iptables=false with --icc=false. ICC=false uses iptables to function. Please set --icc or --iptables to true',
    ],
    ['--label a=1 --label a=2', 'conflict labels for a=2 and a=1'],
    ['--prune-filter until=1h --prune-filter until=2h', 'more than one until filter specified'],
    [
      '--cgroup-parent foo --exec-opt native.cgroupdriver=systemd',
      'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"',
    ],
  ])('%s', (line, text) => {
    expect(() => load({ argv: line.split(' ') })).toThrow(text);
  });
});

describe('good values', () => {
  it.each([
    '--dns fd00::1 --dns-search example.com --dns-search .',
    '--insecure-registry r:5000 --insecure-registry 10.0.0.0/8 --insecure-registry [::1]:5000 --insecure-registry http://x',
    '--registry-mirror https://mirror.example/path/',
    '--default-ulimit nofile=1024:-1 --default-ulimit nproc=5',
    '--http-proxy http://user:secret@proxy:3128 --https-proxy proxy:3128',
    '--prune-schedule @weekly --prune-filter until=240h --prune-filter label!=keep',
    '--prune-filter until=2026-01-02T15:04:05Z',
    '--prune-filter until=1h30m --prune-keep newest-tags=3 --prune-keep web-*',
    '--default-address-pool base=10.0.0.0/16,size=24 --bip 10.1.0.1/24',
    '--ipv6 --bip6 fd00:1::1/64 --fixed-cidr-v6 fd00:1::/80 --default-gateway-v6 fd00:1::9',
    '--ipv6 --fixed-cidr-v6 fe80::/64 --default-network-opt bridge=com.docker.network.driver.mtu=1400',
    '-b none --cgroup-parent docker.slice --exec-opt native.cgroupdriver=systemd',
    '-DHtcp://127.0.0.1:1 -lwarn',
    '--log-level panic --feature buildkit',
  ])('%s', (line) => {
    expect(() => load({ argv: line.split(' ') })).not.toThrow();
  });
});
