/** What one option of the daemon is: see options.ts for the table. */
export type OptionValue = boolean | number | string | readonly string[] | Readonly<Record<string, string>>;

interface OptionBase {
  /** Long flag without dashes; also the key in daemon.json unless `key` says otherwise. */
  readonly flag: string;
  readonly short?: string;
  /** The key in daemon.json; null: only a flag. */
  readonly key?: string | null;
  /** Further keys that mean the same. */
  readonly aliases?: readonly string[];
  readonly help: string;
  /** Why a value other than the default is refused; absent when the option works. */
  readonly refused?: string;
  /** Why a value other than the default is taken without effect, which a warning says. */
  readonly ignored?: string;
  /** A reload applies it; others need a restart. */
  readonly live?: true;
  /** moored's own: dockerd does not know it. */
  readonly own?: true;
  /** The typed variable of /etc/sysconfig/docker that sets it. */
  readonly variable?: string;
}

export type OptionDefinition =
  | (OptionBase & { readonly type: 'boolean'; readonly fallback: boolean })
  | (OptionBase & {
      readonly type: 'integer';
      readonly fallback: number;
      readonly minimum?: number;
      readonly maximum?: number;
    })
  | (OptionBase & {
      readonly type: 'string';
      readonly fallback: string;
      /** All that it may be; the empty text is always allowed. */
      readonly values?: readonly string[];
    })
  | (OptionBase & { readonly type: 'bytes'; readonly fallback: number })
  | (OptionBase & {
      readonly type: 'list';
      readonly fallback: readonly string[];
      /** All that an entry may be. */
      readonly values?: readonly string[];
    })
  | (OptionBase & { readonly type: 'map'; readonly fallback: Readonly<Record<string, string>> });

/** Reason of what a later version brings. */
export const LATER = 'is not supported by this version of moored';
/** Reason of swarm's options. */
export const NO_SWARM = 'belongs to swarm mode, which moored does not have';
/** Reason of containerd's options. */
export const NO_CONTAINERD = 'has no effect: moored runs without containerd';
