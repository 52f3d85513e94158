/**
 * Container Device Interface (CDI): vendors describe in files what a container needs to use their device, and users name
 * the device (`vendor.com/class=name`). The seam; cdi/ reads the files and edits the bundle's configuration.
 */
import type { RuntimeSpec } from '../oci/runtime-spec.ts';

/** The devices of this host. */
export interface CdiDevices {
  /** Directories that are looked at, the weakest first. */
  readonly directories: readonly string[];
  /** The configuration with what the devices need. InternalError in Docker's words when one is not there. */
  inject(spec: RuntimeSpec, names: readonly string[]): Promise<RuntimeSpec>;
  /** Qualified names of all devices, sorted, and what is wrong with the files. */
  list(): Promise<{ readonly names: readonly string[]; readonly warnings: readonly string[] }>;
}
