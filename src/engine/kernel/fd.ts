import type { Brand } from '../../base/brand.ts';

/** An open file descriptor of this process. Who receives one owns it and closes it (`fs.closeSync`). */
export type Fd = Brand<number, 'Fd'>;
