/**
 * A bus of one's own: a dbus-daemon with the system bus's type and no policy but "everything goes", in a directory of
 * its own, up in a tenth of a second. Dispose to end it.
 *
 * ```ts
 * await using bus = await PrivateBus.start();
 * const front = await startBus({ …, address: bus.address });
 * const client = await bus.connect();                    // a raw client: the project's own connection
 * await client.call({ destination, path, interface, member, signature, body });
 * bus.busctl('tree', SERVICE);                           // the real busctl
 * const polkit = await PolkitStandIn.start(bus);         // owns org.freedesktop.PolicyKit1, answers as told
 * ```
 */
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ChildProcess } from 'node:child_process';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { SystemClock } from '../../src/base/clock.ts';
import type { BusConnection } from '../../src/dbus/bus/connection.ts';
import { connectBus } from '../../src/dbus/bus/connection.ts';
import { SERVICE } from '../../src/dbus/names.ts';
import type { IncomingMessage, OutgoingMessage } from '../../src/dbus/bus/wire/message.ts';
import { encodeMessage } from '../../src/dbus/bus/wire/message.ts';
import { createDescriptorCalls } from '../../src/engine/kernel/linux/descriptors.ts';

/** Why tests on a bus are skipped here; null where they run. */
export const whyNoBus: string | null =
  spawnSync('dbus-daemon', ['--version']).status === 0 ? null : 'there is no dbus-daemon on this machine';

const run = promisify(execFile);
const descriptors = createDescriptorCalls();

export class PrivateBus implements AsyncDisposable {
  readonly #directory: string;
  readonly #policy: string;
  #daemon: ChildProcess | null = null;
  readonly #clients: BusConnection[] = [];

  private constructor(policy: string) {
    this.#policy = policy;
    this.#directory = mkdtempSync(join(tmpdir(), 'private-bus-'));
    chmodSync(this.#directory, 0o755);
  }

  /** Starts a bus; `policy` is XML that goes into its `<policy context="default">`. */
  static async start(options: { readonly policy?: string } = {}): Promise<PrivateBus> {
    const bus = new PrivateBus(options.policy ?? '');
    await bus.resume();
    return bus;
  }

  get socketPath(): string {
    return join(this.#directory, 'bus');
  }

  /** For DBUS_SYSTEM_BUS_ADDRESS. */
  get address(): string {
    return `unix:path=${this.socketPath}`;
  }

  /** The daemon's process. */
  get pid(): number {
    return this.#daemon?.pid ?? -1;
  }

  /** Starts the daemon, also again after {@link halt}, at the same address. */
  async resume(): Promise<void> {
    const configuration = join(this.#directory, 'bus.conf');
    writeFileSync(configuration, busConfiguration(this.address, this.#policy));
    const daemon = spawn(
      'dbus-daemon',
      [`--config-file=${configuration}`, '--nofork', '--print-address=1', '--nopidfile'],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    this.#daemon = daemon;
    await once(daemon.stdout, 'data');
  }

  /** Kills the daemon: all connections break. */
  async halt(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = null;
    if (daemon?.exitCode !== null) return;
    daemon.kill('SIGKILL');
    await once(daemon, 'exit');
    rmSync(this.socketPath, { force: true });
  }

  /** A raw client. What `call` gets is a call for one of its own objects. */
  async connect(
    call: (message: IncomingMessage, client: BusConnection) => void = () => undefined,
  ): Promise<BusConnection> {
    const client = await connectBus({
      stream: descriptors.connect(this.socketPath),
      clock: new SystemClock(),
      closeFd: (fd) => descriptors.close(fd),
      events: { call, unreadable() {}, bounce() {}, closed() {} },
    });
    this.#clients.push(client);
    return client;
  }

  /** Runs the real busctl on this bus and returns what it prints; rejects with its error. */
  busctl(...args: readonly string[]): Promise<string> {
    return this.busctlAs(0, ...args);
  }

  /** The same as another user. */
  busctlAs(uid: number, ...args: readonly string[]): Promise<string> {
    return this.run(uid, 'busctl', `--address=${this.address}`, '--no-pager', ...args);
  }

  /** Runs any client of the system bus; this bus is the one it finds. */
  async run(uid: number, program: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await run(program, args, {
      timeout: 20_000,
      ...(uid === 0 ? {} : { uid, gid: uid }),
      env: { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: this.address },
    });
    return stdout;
  }

  /** Environment for programs that look for the system bus. */
  get env(): NodeJS.ProcessEnv {
    return { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: this.address };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.halt();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function busConfiguration(address: string, policy: string): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>${address}</listen>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*"/>
    ${policy}
  </policy>
</busconfig>
`;
}

/** What the stand-in was asked. */
export interface PolkitQuestion {
  readonly sender: string;
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
  readonly flags: number;
  readonly cancellation: string;
}

export type PolkitAnswer = 'yes' | 'no' | 'challenge' | 'never' | 'error';

/** Owns org.freedesktop.PolicyKit1 and answers as told, where the real polkitd is not what is tested. */
export class PolkitStandIn implements Disposable {
  readonly questions: PolkitQuestion[] = [];
  readonly cancelled: string[] = [];
  /** The answer to a question; 'never' leaves it open, as an unanswered password prompt. */
  answer: (question: PolkitQuestion) => PolkitAnswer = () => 'yes';
  #client: BusConnection | null = null;

  /** `queue`: waits for the name while another has it. */
  static async start(bus: PrivateBus, options: { readonly queue?: boolean } = {}): Promise<PolkitStandIn> {
    const standIn = new PolkitStandIn();
    const client = await bus.connect((message, connection) => standIn.#receive(message, connection));
    standIn.#client = client;
    await client.callBus('RequestName', 'su', ['org.freedesktop.PolicyKit1', options.queue === true ? 0 : 4]);
    return standIn;
  }

  #receive(message: IncomingMessage, client: BusConnection): void {
    const reply = (signature: string, body: readonly unknown[]): void => {
      client.send({ type: 'return', replySerial: message.serial, destination: message.sender, signature, body });
    };
    if (message.member === 'CancelCheckAuthorization') {
      this.cancelled.push(String(message.body[0]));
      reply('', []);
      return;
    }
    const [subject, action, details, flags, cancellation] = message.body as readonly [
      readonly [string, { readonly name: { readonly value: string } }],
      string,
      Record<string, string>,
      number,
      string,
    ];
    const question = { sender: subject[1].name.value, action, details, flags, cancellation };
    this.questions.push(question);
    const answer = this.answer(question);
    if (answer === 'error') {
      const error = { errorName: 'org.freedesktop.PolicyKit1.Error.Failed', signature: 's', body: ['not registered'] };
      client.send({ type: 'error', replySerial: message.serial, destination: message.sender, ...error });
      return;
    }
    if (answer !== 'never') reply('(bba{ss})', [[answer === 'yes', answer === 'challenge', {}]]);
  }

  /** Leaves the bus, as a polkitd that ends. */
  [Symbol.dispose](): void {
    this.#client?.close();
  }
}

/** A client that has not agreed to receive descriptors, over a plain socket; it sends calls and hears nothing. */
export class PlainClient {
  readonly #socket: Socket;
  #serial = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async connect(socketPath: string): Promise<PlainClient> {
    const socket = createConnection(socketPath);
    socket.write(`\0AUTH EXTERNAL ${Buffer.from(String(process.getuid?.())).toString('hex')}\r\n`);
    await once(socket, 'data');
    socket.write('BEGIN\r\n');
    const client = new PlainClient(socket);
    client.#send({
      destination: 'org.freedesktop.DBus',
      path: '/',
      interface: 'org.freedesktop.DBus',
      member: 'Hello',
    });
    await once(socket, 'data');
    return client;
  }

  call(path: string, interfaceName: string, member: string): void {
    this.#send({ destination: SERVICE, path, interface: interfaceName, member });
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(fields: Omit<OutgoingMessage, 'type'>): void {
    this.#socket.write(encodeMessage({ type: 'call', ...fields }, this.#serial++).bytes);
  }
}
