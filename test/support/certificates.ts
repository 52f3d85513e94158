/** Certificates of a small authority of the test's own, made by openssl. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';

/** Files of a certificate and its key (PEM). */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** An authority that issues what is asked for; disposing deletes all of it. */
export class TestAuthority implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'moored-ca-'));
  readonly certificate = join(this.directory, 'ca.crt');
  readonly #key = join(this.directory, 'ca.key');

  constructor(name = 'test authority') {
    openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      this.#key,
      '-out',
      this.certificate,
    );
  }

  get pem(): string {
    return readFileSync(this.certificate, 'utf8');
  }

  /** `alternatives`: `IP:127.0.0.1,DNS:localhost`. */
  issue(name: string, alternatives: string, days = 2): Certificate {
    const path = (suffix: string): string => join(this.directory, `${name}.${suffix}`);
    const [certificate, key] = [path('pem'), path('key')];
    const extension = ['-addext', `subjectAltName=${alternatives}`];
    openssl('req', ...NEW_KEY, '-subj', `/CN=${name}`, ...extension, '-keyout', key, '-out', path('csr'));
    const signer = ['-CA', this.certificate, '-CAkey', this.#key, '-CAcreateserial'];
    openssl(
      'x509',
      '-req',
      '-in',
      path('csr'),
      ...signer,
      '-days',
      String(days),
      '-copy_extensions',
      'copy',
      '-out',
      certificate,
    );
    return { certificate, key };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** An IPv4 address of this machine that is not its loopback: registries there are secure. Null when there is none. */
export const outwardAddress: string | null =
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? null;

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
