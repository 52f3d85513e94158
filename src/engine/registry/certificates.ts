/**
 * Whom a registry's TLS may be vouched for, and what this machine shows of itself: the system's authorities, and below
 * Docker's `certs.d`, for each `HOST[:PORT]`, `*.crt` (further authorities) and `*.cert` with `*.key` (client
 * certificates). Files are looked at before each use: what an administrator puts there counts from then on.
 */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { pathErrorText } from '../../base/errno-text.ts';
import { errnoCodeOf, InvalidArgumentError } from '../../base/errors.ts';

/** One client certificate with its chain, and its key (PEM). */
export interface ClientIdentity {
  readonly cert: string;
  readonly key: string;
}

/** What TLS to a host is made with. */
export interface HostTrust {
  readonly authorities: readonly string[];
  /** In the order of their names. */
  readonly identities: readonly ClientIdentity[];
}

/** Where distributions keep the authorities of the system, in Go's order; SUSE's own place last. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
  '/var/lib/ca-certificates/ca-bundle.pem',
];
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export class Certificates {
  readonly #directory: string | null;
  readonly #systemBundles: readonly string[];

  /** `directory`: `certs.d`, null for none. `systemBundles`: the first that is there counts. */
  constructor(directory: string | null, systemBundles: readonly string[] = systemBundlePaths()) {
    this.#directory = directory;
    this.#systemBundles = systemBundles;
  }

  /** A text that changes whenever what {@link read} would give for these hosts may have changed. */
  async versionOf(hosts: readonly string[]): Promise<string> {
    const files = await this.#filesOf(hosts);
    const bundle = await this.#systemBundle();
    const stamps = await Promise.all([...files, ...(bundle === null ? [] : [bundle])].map(stampOf));
    return createHash('sha256').update(stamps.join('\n')).digest('hex');
  }

  /** Reads what counts for these hosts. InvalidArgumentError in Docker's words when a folder is not as it must be. */
  async read(hosts: readonly string[]): Promise<HostTrust> {
    const files = await this.#filesOf(hosts);
    const bundle = await this.#systemBundle();
    const system = bundle === null ? rootCertificates : pemsIn(await readText(bundle));
    const added: string[] = [];
    const identities: ClientIdentity[] = [];
    for (const path of files) {
      if (path.endsWith('.crt')) added.push(...authoritiesIn(await readText(path)));
      else if (path.endsWith('.cert')) identities.push(await identityOf(path, files));
      else assertCertificateOf(path, files);
    }
    return { authorities: [...system, ...added], identities };
  }

  async #filesOf(hosts: readonly string[]): Promise<readonly string[]> {
    const lists = await Promise.all([...new Set(hosts)].map(async (host) => this.#filesOfHost(host)));
    return lists.flat();
  }

  async #filesOfHost(host: string): Promise<readonly string[]> {
    // A name from the network must stay one folder.
    if (this.#directory === null || host === '' || host.includes('/') || host.startsWith('.')) return [];
    const folder = join(this.#directory, host);
    try {
      const names = await readdir(folder);
      return names
        .filter((name) => /\.(?:crt|cert|key)$/.test(name))
        .sort()
        .map((name) => join(folder, name));
    } catch (error) {
      const code = errnoCodeOf(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return [];
      throw new InvalidArgumentError(pathErrorText('open', folder, error), { cause: error });
    }
  }

  async #systemBundle(): Promise<string | null> {
    for (const path of this.#systemBundles) {
      const found = await stat(path).catch(() => null);
      if (found?.isFile() === true) return path;
    }
    return null;
  }
}

/** SSL_CERT_FILE goes before all others, as in Go and OpenSSL. */
function systemBundlePaths(): readonly string[] {
  const named = process.env['SSL_CERT_FILE'] ?? '';
  return named === '' ? SYSTEM_BUNDLES : [named];
}

async function stampOf(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  if (found === null) return `${path} gone`;
  return [path, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const call = errnoCodeOf(error) === 'EISDIR' ? 'read' : 'open';
    throw new InvalidArgumentError(pathErrorText(call, path, error), { cause: error });
  }
}

function pemsIn(text: string): readonly string[] {
  return text.match(PEM_CERTIFICATE) ?? [];
}

/** The certificates of a bundle that can be read; as Go, without a word about what else there is. */
function authoritiesIn(text: string): readonly string[] {
  return pemsIn(text).filter((pem) => certificateOf(pem) !== null);
}

async function identityOf(path: string, files: readonly string[]): Promise<ClientIdentity> {
  const keyPath = path.replace(/\.cert$/, '.key');
  if (!files.includes(keyPath)) {
    throw new InvalidArgumentError(
      `missing key ${nameOf(keyPath)} for client certificate ${nameOf(path)}. CA certificates must use the extension .crt`,
    );
  }
  const [cert, key] = [await readText(path), await readText(keyPath)];
  const certificate = certificateOf(cert);
  if (certificate === null) {
    throw new InvalidArgumentError(`${path}: tls: failed to find any PEM data in certificate input`);
  }
  if (!isKeyOf(certificate, key)) {
    throw new InvalidArgumentError(`${keyPath}: tls: private key does not match public key`);
  }
  return { cert, key };
}

function assertCertificateOf(keyPath: string, files: readonly string[]): void {
  const path = keyPath.replace(/\.key$/, '.cert');
  if (files.includes(path)) return;
  throw new InvalidArgumentError(`missing client certificate ${nameOf(path)} for key ${nameOf(keyPath)}`);
}

function certificateOf(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

function isKeyOf(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
