/** What the engine throws, by its D-Bus name. */
import { describe, expect, it } from 'vitest';
import {
  ConflictError,
  DataLossError,
  ForbiddenError,
  InternalError,
  InvalidArgumentError,
  NotFoundError,
  NotImplementedError,
  UnauthorizedError,
  UnavailableError,
} from '../../../src/base/errors.ts';
import { BusError, errorReply, namedError, NotAuthorizedError } from '../../../src/dbus/bus/errors.ts';
import { KernelError } from '../../../src/engine/kernel/kernel.ts';

const ENGINE = 'org.moored.Engine1.Error';
const STANDARD = 'org.freedesktop.DBus.Error';

describe('names of errors', () => {
  it.each<readonly [string, Error]>([
    ['NoSuchContainer', new NotFoundError('No such container: web')],
    ['NoSuchImage', new NotFoundError('No such image: web:latest')],
    ['NoSuchNetwork', new NotFoundError('network web not found')],
    ['NoSuchNetwork', new NotFoundError('network a\nb not found')],
    ['NoSuchNetwork', new NotFoundError('failed to set up container networking: network web not found')],
    ['NoSuchVolume', new NotFoundError('get web: no such volume')],
    ['NoSuchExec', new NotFoundError('No such exec instance: 12')],
    ['NotFound', new NotFoundError('Could not find the file /x in container web')],
    ['PullAccessDenied', new NotFoundError('pull access denied for x, repository does not exist')],
    ['PullAccessDenied', new UnauthorizedError('no basic auth credentials')],
    ['ManifestUnknown', new NotFoundError('manifest for x:y not found: manifest unknown')],
    ['AmbiguousName', new InvalidArgumentError('Multiple IDs found with provided prefix: ab')],
    ['InvalidReference', new InvalidArgumentError('invalid reference format')],
    ['NameInUse', new ConflictError('Conflict. The container name "/web" is already in use by container "12".')],
    ['NameInUse', new ConflictError('network with name web already exists')],
    ['NotRunning', new ConflictError('container 12 is not running')],
    ['NotPaused', new ConflictError('container 12 is not paused')],
    ['AlreadyRunning', new ConflictError('container 12 is already paused')],
    ['InUse', new ConflictError('remove web: volume is in use - [12]')],
    [
      'InUse',
      new ConflictError(
        'conflict: unable to delete 12 (cannot be forced) - image is being used by running container 34',
      ),
    ],
    ['Busy', new ConflictError('Container 12 is restarting, wait until the container is running')],
    ['Conflict', new ConflictError('You cannot remove a running container 12.')],
    ['Conflict', new ForbiddenError('bridge is a pre-defined network and cannot be removed')],
    [
      'RegistryUnavailable',
      new UnavailableError('Get "https://r.example/v2/": dial tcp: lookup r.example: no such host'),
    ],
    ['RateLimited', new UnavailableError('Get "https://r.example/v2/": toomanyrequests: slow down')],
    ['Failed', new UnavailableError('systemd did not start web.scope')],
    ['NotSupported', new NotImplementedError('building images is not supported by this version')],
    ['NoSpace', new InternalError('write /x: no space left on device')],
    ['NoSpace', new KernelError('mount', 'ENOSPC', '/x')],
    ['Failed', new DataLossError('digest differs')],
    ['Cancelled', new DOMException('gone', 'AbortError')],
    ['Timeout', new DOMException('late', 'TimeoutError')],
    ['ConfigChanged', namedError('ConfigChanged', 'read it again')],
  ])('%s', (name, thrown) => {
    const { message, ...reply } = errorReply(thrown);
    expect(reply).toEqual({ name: `${ENGINE}.${name}`, isFault: false });
    if (!(thrown instanceof DOMException) && !(thrown instanceof KernelError)) expect(message).toBe(thrown.message);
  });

  it.each<readonly [string, Error]>([
    ['InvalidArgs', new InvalidArgumentError('Invalid signal: X')],
    ['InvalidArgs', new InvalidArgumentError('unknown key "is not running"')],
    ['AccessDenied', new NotAuthorizedError('no', false)],
    ['InteractiveAuthorizationRequired', new NotAuthorizedError('no', true)],
    ['UnknownObject', new BusError(`${STANDARD}.UnknownObject`, 'there is none')],
  ])('the standard one %s', (name, thrown) => {
    expect(errorReply(thrown)).toEqual({ name: `${STANDARD}.${name}`, message: thrown.message, isFault: false });
  });

  it('tells nothing of a fault but that there is one', () => {
    for (const thrown of [new TypeError('secret'), 'text', null, undefined, { message: 'secret' }]) {
      expect(errorReply(thrown)).toMatchObject({
        name: `${ENGINE}.Failed`,
        message: 'internal error; the journal has more',
        isFault: true,
      });
    }
  });

  it('sends only text that the bus takes, and no novel', () => {
    expect(errorReply(new ConflictError('a\0b\ud800c')).message).toBe('ab\ufffdc');
    expect(errorReply(new ConflictError('x'.repeat(100_000))).message.length).toBeLessThan(20_000);
    expect(errorReply(new ConflictError(`x${'😀'.repeat(50_000)}`)).message.isWellFormed()).toBe(true);
  });
});
