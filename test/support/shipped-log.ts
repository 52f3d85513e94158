/** A monitor's log that a test writes, with the real thread that ships it. */
import { appendFileSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatTimestampFixed, parseTimestamp, SystemClock, type Timestamp } from '../../src/base/clock.ts';
import type { ContainerId } from '../../src/base/ids.ts';
import type { LoggedContainer, ShippingLogDriver } from '../../src/engine/logging/driver.ts';
import { LogShipping } from '../../src/engine/logging/shipping.ts';
import type { Shipment } from '../../src/engine/logging/sink.ts';
import { workerEntry } from '../../src/service/own-files.ts';
import { RecordingLogger } from './recording-logger.ts';

export const LOGGED: LoggedContainer = {
  id: '0123456789abcdef'.repeat(4),
  name: 'web',
  imageId: `sha256:${'ab'.repeat(32)}`,
  imageName: 'busybox:1',
  command: ['sh', '-c', 'x y'],
  createdAt: parseTimestamp('2026-01-01T00:00:00.5Z') ?? (0n as Timestamp),
  labels: { team: 'a&b' },
  env: ['MODE=fast'],
};

const START = parseTimestamp('2026-01-02T03:04:05.123456789Z') ?? 0n;
const NS_PER_MS = 1_000_000n;

/** A record as conmon writes it; `ms` after a fixed time. */
export function record(ms: number, text: string, stream = 'stdout', flag = 'F'): string {
  const time = (START + BigInt(ms) * NS_PER_MS) as Timestamp;
  return `${formatTimestampFixed(time).replace('Z', '+00:00')} ${stream} ${flag} ${text}\n`;
}

/** The engine's side of shipping one log: disposing it and opening another is a restart of the engine. */
export class ShippedLog implements AsyncDisposable {
  readonly directory: string;
  readonly logger = new RecordingLogger();
  readonly shipment: Shipment;
  #shipping: LogShipping;

  /** Below `parent`, the system's place for such things by default. */
  constructor(driver: ShippingLogDriver, options: Readonly<Record<string, string>>, parent = tmpdir()) {
    this.directory = mkdtempSync(join(parent, 'shipped-'));
    const containerId = LOGGED.id as ContainerId;
    const sink = driver.sink(LOGGED, options, driver.shippedPath(containerId, this.directory));
    if (sink === null) throw new Error('this driver ships nothing');
    const path = (name: string): string => join(this.directory, name);
    this.shipment = { containerId, logPath: path('container.log'), positionPath: path('log-position'), sink };
    writeFileSync(this.shipment.logPath, '');
    this.#shipping = this.#open();
  }

  get shipping(): LogShipping {
    return this.#shipping;
  }

  write(...records: readonly string[]): void {
    appendFileSync(this.shipment.logPath, records.join(''));
  }

  /** As the engine's own rotation: at most `keep` files remain. */
  rotate(keep = 5): void {
    const { logPath, containerId } = this.shipment;
    for (let number = keep; number >= 1; number -= 1) {
      const [from, to] = [number === 1 ? logPath : `${logPath}.${String(number - 1)}`, `${logPath}.${String(number)}`];
      if (existsSync(from)) renameSync(from, to);
    }
    rmSync(`${logPath}.${String(keep)}`, { force: true });
    writeFileSync(logPath, '');
    this.#shipping.rotated(containerId);
  }

  /** The container has ended; settles when its log is shipped. */
  async end(): Promise<void> {
    this.#shipping.end(this.shipment);
    await this.#shipping.settled(this.shipment.containerId, 20_000);
  }

  /** Another engine. */
  async restart(): Promise<void> {
    await this.#shipping[Symbol.asyncDispose]();
    this.#shipping = this.#open();
  }

  names(): readonly string[] {
    return readdirSync(this.directory).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shipping[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true });
  }

  #open(): LogShipping {
    const shipping = new LogShipping({
      url: workerEntry('log-pump-worker'),
      clock: new SystemClock(),
      logger: this.logger,
    });
    shipping.ship(this.shipment);
    return shipping;
  }
}
