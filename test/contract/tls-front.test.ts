/** TLS on accepted connections: what the end of the server cuts, and what it leaves to finish. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectPlain, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TlsFront } from '../../src/api/http/tls-front.ts';

let server: Server;
let front: TlsFront;
const served: TLSSocket[] = [];

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tls-front-'));
  const [key, certificate] = [join(directory, 'key'), join(directory, 'certificate')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', certificate, '-subj', '/CN=localhost'], {
    stdio: 'ignore',
  });
  const identity = { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
  rmSync(directory, { recursive: true });
  front = new TlsFront({ ...identity, clientAuthorities: null }, (socket) => served.push(socket.resume()));
  server = createServer({ allowHalfOpen: true }, (socket) => front.accept(socket));
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterAll(async () => {
  server.close();
  await once(server, 'close');
});

it('cuts who has not got through the handshake, and leaves whose answer is under way', async () => {
  const { port } = server.address() as AddressInfo;
  const idle = connectPlain(port, '127.0.0.1');
  await once(idle, 'connect');
  const begun = connectPlain(port, '127.0.0.1');
  // The head of a record whose rest never comes.
  begun.write(Buffer.from([0x16, 3, 1, 2, 0]));
  const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(client, 'secureConnect');
  client.write('hello');
  await expect.poll(() => served.length).toBe(1);
  const ends = Promise.all([idle, begun].map((socket) => once(socket.resume(), 'close')));
  front.close();
  await ends;
  served[0]?.end('the whole answer');
  const chunks: Buffer[] = [];
  client.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(client, 'end');
  client.end();
  expect(Buffer.concat(chunks).toString()).toBe('the whole answer');
});
