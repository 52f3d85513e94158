/** TLS of the API's network sockets: which files, read when, and dockerd's words for what is wrong with them. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { TlsIdentity } from '../api/http/tls-front.ts';
import { errnoCodeOf, InvalidArgumentError, messageOf } from '../base/errors.ts';
import type { Config } from '../config/config.ts';

/** True when network sockets speak TLS: `--tls`, or `--tlsverify` whatever its value, as dockerd has it. */
export function usesTls(config: Config): boolean {
  return config.get('tls') || verifiesClients(config);
}

/** True when clients must show a certificate. */
export function verifiesClients(config: Config): boolean {
  return config.get('tlsverify');
}

/**
 * Reads certificate, key and, to verify clients, the authorities, and proves that they can be used. Null without TLS.
 * InvalidArgumentError that names the file.
 */
export async function loadTlsIdentity(config: Config): Promise<TlsIdentity | null> {
  if (!usesTls(config)) return null;
  // Only now: loading it takes 20 ms.
  const { createSecureContext } = await import('node:tls');
  const paths = { cert: expanded(config.get('tlscert')), key: expanded(config.get('tlskey')) };
  const identity: TlsIdentity = {
    certificate: readPair(paths.cert, paths),
    key: readPair(paths.key, paths),
    clientAuthorities: verifiesClients(config)
      ? readAuthorities(expanded(config.get('tlscacert')), createSecureContext)
      : null,
  };
  try {
    createSecureContext({ cert: identity.certificate, key: identity.key });
  } catch (error) {
    throw invalid(
      `error reading X509 key pair - make sure the key is not encrypted (${pairText(paths)}): ${messageOf(error)}`,
    );
  }
  return identity;
}

/** What `docker info` says of network sockets that let in more than they should, in dockerd's words. */
export function networkWarnings(config: Config): readonly string[] {
  return config.get('host').flatMap((host) => {
    const address = /^tcp:\/\/(.*)$/.exec(host)?.[1];
    if (address === undefined || (usesTls(config) && verifiesClients(config))) return [];
    const what = usesTls(config)
      ? `https://${address} without TLS client verification`
      : `http://${address} without encryption`;
    return [`[DEPRECATION NOTICE]: API is accessible on ${what}.${ATTACK_SURFACE}`];
  });
}

const ATTACK_SURFACE = `
         Access to the remote API is equivalent to root access on the host. Refer
         to the 'Docker daemon attack surface' section in the documentation for
         more information: https://docs.docker.com/go/attack-surface/
In future versions this will be a hard failure preventing the daemon from starting! Learn more at: https://docs.docker.com/go/api-security/`;

function readPair(path: string, paths: { readonly cert: string; readonly key: string }): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw invalid(`could not load X509 key pair (${pairText(paths)}): ${openError(path, error)}`);
  }
}

function readAuthorities(path: string, prove: (options: { readonly ca: string }) => unknown): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw invalid(`could not read CA certificate ${JSON.stringify(path)}: ${openError(path, error)}`);
  }
  try {
    if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate in it');
    prove({ ca: text });
  } catch {
    throw invalid(`failed to append certificates from PEM file: ${JSON.stringify(path)}`);
  }
  return text;
}

function pairText({ cert, key }: { readonly cert: string; readonly key: string }): string {
  return `cert: ${JSON.stringify(cert)}, key: ${JSON.stringify(key)}`;
}

function openError(path: string, error: unknown): string {
  return errnoCodeOf(error) === 'ENOENT' ? `open ${path}: no such file or directory` : messageOf(error);
}

function expanded(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}

function invalid(text: string): InvalidArgumentError {
  return new InvalidArgumentError(`invalid TLS configuration: ${text}`);
}
