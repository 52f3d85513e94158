/** ioctl(2), in place and on a thread of the pool. */
import type { Pointer } from './libc.ts';
import { check, errnoError, lastErrno, libc } from './libc.ts';

type Ioctl = (fd: number, request: number, argument: Pointer) => number;
type IoctlOfNumber = (fd: number, request: number, argument: number) => number;
interface OnThread {
  async(fd: number, request: number, argument: Pointer, done: (failure: Error | null, result: number) => void): void;
}

// A variadic function in C; pointers and integers are passed to those as to any other on the machines we know.
const byPointer = libc.bind<Ioctl & OnThread>('int ioctl(int fd, unsigned long request, void *argument)');
const byNumber = libc.bind<IoctlOfNumber>('int ioctl(int fd, unsigned long request, long argument)');

/** A request, with the words for its error. */
export interface IoctlRequest {
  readonly call: string;
  readonly number: number;
}

/** For requests that the kernel answers at once. */
export function ioctl(fd: number, request: IoctlRequest, argument: Pointer, path: string | null = null): number {
  return check(byPointer(fd, request.number, argument), request.call, path);
}

/** As {@link ioctl}, for requests whose argument is a number. */
export function ioctlOfNumber(fd: number, request: IoctlRequest, argument: number, path: string | null = null): number {
  return check(byNumber(fd, request.number, argument), request.call, path);
}

/** For requests that may wait, for a disk or for each other; `argument` belongs to the call until it settles. */
export async function ioctlOnThread(
  fd: number,
  request: IoctlRequest,
  argument: Pointer,
  path: string | null = null,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  byPointer.async(fd, request.number, argument, (failure, result) => {
    // errno is the call's own within its callback.
    const errno = lastErrno();
    if (failure !== null) reject(failure);
    else if (result >= 0) resolve(result);
    else reject(errnoError(request.call, errno, path));
  });
  return promise;
}
