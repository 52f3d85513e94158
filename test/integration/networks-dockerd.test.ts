/**
 * The CLI's commands about networks, one after another on this engine and on a real dockerd, each in a network namespace
 * of its own: what it prints and how it ends is the same.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { peerAbsence, startDockerPeerIn, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, run, TestEngine, type CommandResult } from '../support/engine.ts';
import { NetworkLab } from '../support/network-lab.ts';

type Docker = (args: readonly string[]) => Promise<CommandResult>;

const NETWORKS = '{{json .NetworkSettings.Networks}}';
const IPAM =
  '{{json .IPAM}} {{json .Options}} {{json .Labels}} {{.Internal}} {{.Attachable}} {{.EnableIPv6}} {{.Driver}}';
const SLEEP = ['busybox', 'sleep', '1000'];

/** In the order they are typed. */
const COMMANDS: readonly (readonly string[])[] = [
  ['network', 'create', '--subnet', '10.81.0.0/24', '--label', 'a=b', '--label', 'c', '-o', 'foo=bar', 'front'],
  [
    ...['network', 'create', '--subnet', '10.82.0.0/16', '--ip-range', '10.82.5.0/24', '--gateway', '10.82.5.254'],
    ...['--aux-address', 'printer=10.82.5.1', '--attachable', 'back'],
  ],
  ['network', 'create', '--internal', '--subnet', '10.83.0.0/24', 'inner'],
  ['network', 'create', 'front'],
  ['network', 'create', '--subnet', '10.81.0.0/25', 'other'],
  ['network', 'inspect', '-f', IPAM, 'front', 'back', 'inner'],
  ['network', 'inspect', '-f', '{{json .Containers}}', 'front'],
  ['network', 'inspect', 'nosuch'],
  ['network', 'ls', '--format', '{{.Name}} {{.Driver}} {{.Scope}} {{.Label "a"}} {{.Internal}} {{.IPv6}}'],
  ['network', 'ls', '--filter', 'label=a=b', '--format', '{{.Name}}'],
  ['network', 'ls', '--filter', 'name=.r', '--format', '{{.Name}}'],
  ['network', 'ls', '--filter', 'type=custom', '--filter', 'dangling=true', '--format', '{{.Name}}'],
  ['network', 'ls', '--filter', 'driver=host', '--filter', 'driver=null', '--format', '{{.Name}}'],
  ['network', 'ls', '--filter', 'dangling=x'],
  ['network', 'ls', '--filter', 'type=x'],
  // Made, not started: it is on its networks all the same.
  ['create', '--name', 'web', '--network', 'front', '--ip', '10.81.0.9', '--network-alias', 'www', ...SLEEP],
  ['inspect', '-f', '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{json $v.IPAMConfig}}{{end}}', 'web'],
  ['network', 'connect', '--ip', '10.82.5.77', '--alias', 'db', 'back', 'web'],
  ['network', 'connect', 'back', 'web'],
  ['inspect', '-f', '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{json $v.IPAMConfig}} {{end}}', 'web'],
  ['network', 'inspect', '-f', '{{json .Containers}}', 'back'],
  ['start', 'web'],
  ['inspect', '-f', NETWORKS, 'web'],
  ['exec', 'web', 'sh', '-c', 'ip -4 -o addr | grep -o "inet [0-9./]*" | sort'],
  ['network', 'inspect', '-f', '{{json .Containers}}', 'back'],
  // Not `{{.Networks}}`: the CLI prints them in the order of a Go map.
  ['ps', '--filter', 'network=back', '--format', '{{.Names}}'],
  ['network', 'rm', 'back'],
  ['network', 'connect', 'back', 'web'],
  ['network', 'disconnect', 'front', 'web'],
  ['network', 'disconnect', 'front', 'web'],
  ['inspect', '-f', '{{.HostConfig.NetworkMode}} {{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}', 'web'],
  ['stop', '-t', '0', 'web'],
  ['inspect', '-f', NETWORKS, 'web'],
  ['network', 'connect', '--alias', 'www', 'front', 'web'],
  ['network', 'disconnect', 'back', 'web'],
  ['network', 'disconnect', 'back', 'web'],
  ['start', 'web'],
  ['exec', 'web', 'sh', '-c', 'ip -4 -o addr | grep -o "inet [0-9./]*" | sort'],
  ['rename', 'web', 'shop'],
  ['network', 'inspect', '-f', '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}', 'front'],
  ['network', 'connect', 'none', 'shop'],
  ['network', 'connect', 'nosuch', 'shop'],
  ['network', 'connect', 'front', 'nosuch'],
  ['network', 'connect', '--ip', '10.99.0.1', 'back', 'nosuch'],
  ['network', 'disconnect', '-f', 'front', 'nosuch'],
  // Neither is there any more.
  ['network', 'disconnect', '-f', 'nosuch', 'shop'],
  ['run', '-d', '--name', 'alone', '--network', 'none', ...SLEEP],
  ['network', 'connect', 'front', 'alone'],
  ['inspect', '-f', NETWORKS, 'alone'],
  ['run', '-d', '--name', 'guest', '--network', 'container:shop', ...SLEEP],
  ['network', 'connect', 'back', 'guest'],
  ['inspect', '-f', NETWORKS, 'guest'],
  ['run', '-d', '--name', 'open', '--network', 'host', ...SLEEP],
  ['network', 'connect', 'front', 'open'],
  ['network', 'disconnect', 'none', 'alone'],
  ['inspect', '-f', NETWORKS, 'alone'],
  ['run', '--rm', '--network', 'nosuch', 'busybox', 'true'],
  ['rm', '-f', 'nosuch2', 'alone', 'guest', 'open'],
  ['network', 'prune', '-f', '--filter', 'label=none-has-this'],
  ['network', 'prune', '-f', '--filter', 'until=1h'],
  ['network', 'prune', '-f'],
  ['network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}'],
  ['rm', '-f', 'shop'],
  ['network', 'rm', 'front', 'nosuch', 'bridge'],
  // A configuration and what is made from it.
  [
    ...['network', 'create', '--config-only', '--subnet', '10.84.0.0/24', '--gateway', '10.84.0.7', '--label', 'a=b'],
    ...['-o', 'foo=bar', '--ip-range', '10.84.0.64/26', 'plan'],
  ],
  ['network', 'create', '--config-only', '--subnet', '10.84.0.0/24', 'same'],
  ['network', 'create', '--config-only', '--internal', 'wrong'],
  ['network', 'create', '--config-only', '--config-from', 'plan', 'wrong'],
  ['network', 'create', '--config-from', 'plan', '--subnet', '10.85.0.0/24', 'wrong'],
  ['network', 'create', '--config-from', 'plan', '-o', 'a=b', 'wrong'],
  ['network', 'create', '--config-from', 'nosuch', 'wrong'],
  ['network', 'create', '--config-from', 'plan', '--attachable', 'built'],
  ['network', 'create', '--config-from', 'same', 'wrong'],
  ['network', 'inspect', '-f', `${IPAM} {{.ConfigOnly}} {{.ConfigFrom.Network}}`, 'plan', 'same', 'built'],
  ['network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}} {{.Driver}} {{.Scope}}'],
  [
    'run',
    '--rm',
    '--network',
    'built',
    'busybox',
    'sh',
    '-c',
    'ip -4 -o addr show eth0 | grep -o "inet [0-9./]*"; ip route',
  ],
  ['create', '--name', 'astray', '--network', 'plan', 'busybox', 'true'],
  ['rm', 'astray'],
  ['network', 'rm', 'plan'],
  ['network', 'prune', '-f'],
  ['network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}'],
  ['network', 'rm', 'plan', 'same'],
  // A subnet of a family that the network does not have is shown, and addresses in it are taken and not given.
  ['network', 'create', '--subnet', '10.86.0.0/24', '--subnet', 'fd00:86::/64', 'half'],
  ['network', 'inspect', '-f', IPAM, 'half'],
  ['run', '-d', '--name', 'six', '--network', 'half', '--ip6', 'fd00:86::9', ...SLEEP],
  ['inspect', '-f', NETWORKS, 'six'],
  ['rm', '-f', 'six'],
  ['network', 'rm', 'half'],
];

/** Where docker 28, and so this engine, says something else than the 20.10 that is asked. */
const NEWER: readonly (readonly [RegExp, string])[] = [
  [/invalid pool request: /g, ''],
  [/failed to set up container networking: /g, ''],
  [/error while removing network: /g, ''],
  [/ has active endpoints \(.*\)/g, ' has active endpoints'],
  [/ id <\d+>(?= has active endpoints)/g, ''],
];

let lab: NetworkLab;
let engine: TestEngine;
let peer: DockerPeer;

beforeAll(async () => {
  if (peerAbsence !== null) return;
  lab = await NetworkLab.open();
  [engine, peer] = await Promise.all([
    TestEngine.startIn(lab.netns('host')),
    startDockerPeerIn(lab.netns('neighbour')),
  ]);
  const stdin = await busyboxTar();
  await Promise.all([
    engine.docker(['import', '-', 'busybox'], { stdin }),
    peer.docker(['import', '-', 'busybox'], { stdin }),
  ]);
});
afterAll(async () => {
  if (peerAbsence !== null) return;
  await peer[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
  await lab[Symbol.asyncDispose]();
});

it.skipIf(peerAbsence !== null)(
  `commands about networks do as dockerd’s${peerAbsence === null ? '' : ` (skipped: ${peerAbsence})`}`,
  async () => {
    const [ours, theirs] = await Promise.all([
      story((args) => run('docker', args, { env: { ...engine.cliEnvironment, DOCKER_API_VERSION: '1.41' } })),
      story((args) => peer.docker(args)),
    ]);
    expect(ours).toEqual(theirs);
  },
);

async function story(docker: Docker): Promise<readonly string[]> {
  const lines: string[] = [];
  const ids = new Map<string, string>();
  for (const args of COMMANDS) {
    const { code, stdout, stderr } = await docker(args);
    lines.push(
      `$ docker ${args.join(' ')}`,
      `${String(code)} ${plain(inOrder(args, stdout), ids)}${plain(stderr, ids)}`,
    );
  }
  return lines;
}

/** dockerd prunes what it has in a map, in any order. */
function inOrder([, verb]: readonly string[], text: string): string {
  return verb === 'prune' ? text.split('\n').toSorted().join('\n') : text;
}

/** With numbers in place of ids, in the order they came up. */
function plain(text: string, ids: Map<string, string>): string {
  const numbered = text.replaceAll(/\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b/g, (id) => {
    const short = id.slice(0, 12);
    const number = ids.get(short) ?? String(ids.size);
    ids.set(short, number);
    return `<${number}>`;
  });
  return NEWER.reduce((said, [pattern, older]) => said.replaceAll(pattern, older), numbered);
}
