/**
 * A private registry on port 5000 as the guides set it up, next to an installed engine: TLS with its authority in
 * /etc/docker/certs.d, plain HTTP by /etc/sysconfig/docker, and accounts; push, pull, list and delete by the docker CLI.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { registryAbsence } from '../support/registry.ts';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle() ?? registryAbsence;
/** Not a loopback address: those are insecure registries of themselves. */
const ADDRESS = '10.99.0.1';
const TLS = 'registry.test:5000';
const PLAIN = 'registry.test:5001';
const ACCOUNTS = 'registry.test:5002';
/** bcrypt of `secret`. */
const HTPASSWD = 'alice:$2b$05$CoGaRaBRYnzXxA5nsnP5FuuHjWX.WKqux5mVzfT/IKxah2UPk1k8K';

const configOf = (name: string, http: readonly string[], more: readonly string[] = []): string =>
  [
    'version: 0.1',
    `storage: {filesystem: {rootdirectory: /srv/${name}}, delete: {enabled: true}}`,
    'http:',
    '  secret: test',
    ...http.map((line) => `  ${line}`),
    ...more,
    '',
  ].join('\n');
const SECURED = 'tls: {certificate: /srv/server.pem, key: /srv/server-key.pem}';

const FILES = {
  '/etc/docker/daemon.json': JSON.stringify({ bridge: 'none', iptables: false }),
  '/srv/tls.yml': configOf('tls', [`addr: ${ADDRESS}:5000`, SECURED]),
  '/srv/plain.yml': configOf('plain', [`addr: ${ADDRESS}:5001`]),
  '/srv/accounts.yml': configOf(
    'accounts',
    [`addr: ${ADDRESS}:5002`, SECURED],
    ['auth: {htpasswd: {realm: test, path: /srv/htpasswd}}'],
  ),
  '/srv/htpasswd': `${HTPASSWD}\n`,
  '/etc/systemd/system/registry@.service': `[Service]
ExecStart=/usr/bin/docker-registry serve /srv/%i.yml
`,
  '/srv/certificates': `set -e
cd /srv
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=registry.test -keyout server-key.pem -out server.csr
echo subjectAltName=DNS:registry.test > ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile ext -out server.pem
`,
};

describe.skipIf(obstacle !== null)(`a private registry${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;
  const fail = async (line: string): Promise<string> => {
    const { code, stderr } = await rig.run(`HOME=/tmp/alice ${line}`, { user: 'alice' });
    expect(code).not.toBe(0);
    return stderr.trim();
  };
  const asAlice = (line: string): Promise<string> => rig.ok(`HOME=/tmp/alice ${line}`, { user: 'alice' });

  beforeAll(async () => {
    rig = await SystemRig.boot({ installed: true, files: FILES });
    await rig.ok('sh /srv/certificates');
    await rig.ok(
      `ip link add registry0 type bridge && ip addr add ${ADDRESS}/24 dev registry0 && ip link set registry0 up`,
    );
    await rig.ok(`echo "${ADDRESS} registry.test" >> /etc/hosts`);
    await rig.ok('systemctl start registry@tls registry@plain registry@accounts');
    await rig.ok('systemctl enable --now docker.socket && usermod -aG docker alice && mkdir -m 0777 /tmp/alice');
    await rig.importBusybox();
    await rig.until('ss -ltn | grep -c ":500[0-2]" | grep 3', 'three registries');
  });

  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  it('is trusted as soon as its authority lies in certs.d, without a restart', async () => {
    await rig.ok(`docker tag busybox ${TLS}/guide/busybox:1`);
    expect(await fail(`docker push ${TLS}/guide/busybox:1`)).toContain('certificate signed by unknown authority');
    await rig.ok(`mkdir -p /etc/docker/certs.d/${TLS} && cp /srv/ca.pem /etc/docker/certs.d/${TLS}/ca.crt`);
    const pushed = await asAlice(`docker push ${TLS}/guide/busybox:1`);
    const digest = /1: digest: (sha256:[0-9a-f]{64}) size: \d+/.exec(pushed)?.[1];
    expect(digest).toBeDefined();
    const id = await rig.ok(`docker image inspect -f '{{.Id}}' ${TLS}/guide/busybox:1`);
    await rig.ok(`docker rmi busybox ${TLS}/guide/busybox:1`);
    expect(await asAlice(`docker pull -q ${TLS}/guide/busybox:1`)).toBe(`${TLS}/guide/busybox:1`);
    expect(await rig.ok(`docker image inspect -f '{{.Id}}' ${TLS}/guide/busybox@${digest ?? ''}`)).toBe(id);
    expect(await rig.ok(`docker run --rm --network none ${TLS}/guide/busybox:1 echo from the registry`)).toBe(
      'from the registry',
    );
  });

  it('lists what it has, and deletes', async () => {
    expect(await asAlice(`docker search --format '{{.Name}}' ${TLS}/busybox`)).toContain('guide/busybox');
    const socket = 'curl -sS --unix-socket /run/docker.sock';
    const deleted = await rig.ok(
      `${socket} -o /dev/null -w '%{http_code}' -X DELETE http://d/distribution/${TLS}/guide/busybox:1`,
    );
    expect(deleted).toMatch(/^20[04]$/);
    expect(await fail(`docker pull ${TLS}/guide/busybox:1`)).toContain('manifest unknown');
  });

  it('may speak plain HTTP once /etc/sysconfig/docker says so and the service was reloaded', async () => {
    await rig.ok(`docker tag ${TLS}/guide/busybox:1 ${PLAIN}/busybox`);
    expect(await fail(`docker push ${PLAIN}/busybox`)).toContain('server gave HTTP response to HTTPS client');
    await rig.write('/etc/sysconfig/docker', `DOCKER_OPTS="--insecure-registry ${PLAIN}"\n`);
    await rig.ok('systemctl reload docker');
    expect(await asAlice(`docker push ${PLAIN}/busybox`)).toContain('latest: digest: sha256:');
    await rig.ok(`docker rmi ${PLAIN}/busybox`);
    expect(await asAlice(`docker pull -q ${PLAIN}/busybox`)).toBe(`${PLAIN}/busybox:latest`);
  });

  it('may ask for an account; the password stands in no log', async () => {
    await rig.ok(`mkdir -p /etc/docker/certs.d/${ACCOUNTS} && cp /srv/ca.pem /etc/docker/certs.d/${ACCOUNTS}/ca.crt`);
    await rig.ok(`docker tag ${TLS}/guide/busybox:1 ${ACCOUNTS}/busybox`);
    expect(await fail(`docker push ${ACCOUNTS}/busybox`)).toContain('no basic auth credentials');
    expect(await fail(`docker login -u alice -p wrong-word ${ACCOUNTS}`)).toContain('401 Unauthorized');
    expect(await asAlice(`docker login -u alice -p secret ${ACCOUNTS}`)).toContain('Login Succeeded');
    expect(await asAlice(`docker push ${ACCOUNTS}/busybox`)).toContain('latest: digest: sha256:');
    await rig.ok(`docker rmi ${ACCOUNTS}/busybox`);
    expect(await asAlice(`docker pull -q ${ACCOUNTS}/busybox`)).toBe(`${ACCOUNTS}/busybox:latest`);
    const journal = await rig.ok('journalctl --no-pager -u docker -o export');
    expect(journal).not.toMatch(/wrong-word|YWxpY2U6/);
  });
});
