/** A file from anywhere by HTTP (`docker import URL`), by the same proxies, redirects and patience as registries. */
import type { EngineError } from '../../base/errors.ts';
import {
  ForbiddenError,
  InternalError,
  InvalidArgumentError,
  NotFoundError,
  UnauthorizedError,
} from '../../base/errors.ts';
import type { FetchedFile } from './client.ts';
import { MAX_ERROR_BODY_BYTES } from './failures.ts';
import { shownUrl } from './shown-url.ts';
import { headerOf, readBody, type Answer, type Transport } from './transport.ts';

/** A busy or restarting server is asked again. */
const RETRIES = 2;

/** The file, once the server has begun to send it. Docker's words for a refusal. */
export async function fetchFile(
  transport: Pick<Transport, 'send'>,
  address: string,
  signal: AbortSignal,
): Promise<FetchedFile> {
  const url = parsed(address);
  const { username, password } = url;
  const shown = shownUrl(url.href);
  url.username = '';
  url.password = '';
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const answer = await transport.send({
    method: 'GET',
    url: url.href,
    headers: username === '' ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` },
    trust: { host: url.host, verifyTls: true },
    retries: RETRIES,
    signal,
  });
  if (answer.status >= 400) throw await refusal(answer, shown);
  const said = (header: string): string => headerOf(answer.headers, header) ?? '';
  const length = said('content-length');
  return {
    address: shown,
    sizeBytes: /^\d+$/.test(length) ? Number(length) : null,
    contentType: said('content-type'),
    contentDisposition: said('content-disposition'),
    lastModified: said('last-modified'),
    body: answer.body,
  };
}

/** Docker's rule: what has no scheme is a host. */
function parsed(address: string): URL {
  const hasScheme = /^[a-z][a-z0-9+.-]*:/i.test(address) && !/^[^/:]+:\d+(?:\/|$)/.test(address);
  const text = hasScheme ? address : `http://${address}`;
  if (!URL.canParse(text)) throw new InvalidArgumentError(`parse ${JSON.stringify(shownUrl(text))}: invalid URL`);
  const url = new URL(text);
  if (url.protocol === 'http:' || url.protocol === 'https:') return url;
  throw new InvalidArgumentError(
    `Get ${JSON.stringify(shownUrl(text))}: unsupported protocol scheme "${url.protocol.slice(0, -1)}"`,
  );
}

async function refusal(answer: Answer, address: string): Promise<EngineError> {
  const { status, statusText } = answer;
  const body = await readBody(answer.body, MAX_ERROR_BODY_BYTES).catch(() => null);
  const said = body === null ? 'error reading body' : body.toString('utf8').trim();
  const text = `failed to GET ${address} with status ${String(status)} ${statusText}: ${said}`;
  switch (status) {
    case 400:
      return new InvalidArgumentError(text);
    case 401:
      return new UnauthorizedError(text);
    case 403:
      return new ForbiddenError(text);
    case 404:
      return new NotFoundError(text);
    default:
      return new InternalError(text);
  }
}
