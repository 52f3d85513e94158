/** What the daemon and the pump's thread say to one another. */
import type { ContainerId } from '../../../base/ids.ts';
import type { Shipment } from '../sink.ts';

/** To the pump. */
export type PumpOrder =
  /** Also for a container that is shipped already, and has been started anew. */
  | { readonly kind: 'ship'; readonly shipment: Shipment }
  /** The monitor writes a fresh file, or is about to. */
  | { readonly kind: 'rotated'; readonly containerId: ContainerId }
  /** Nothing more will be written: ship what is left. */
  | { readonly kind: 'end'; readonly containerId: ContainerId }
  /** Let go of everything. */
  | { readonly kind: 'forget'; readonly containerId: ContainerId }
  | { readonly kind: 'stop' };

/** From the pump. */
export type PumpReport =
  /** All of an ended container's log was shipped, and its files are closed. */
  | { readonly kind: 'drained'; readonly containerId: ContainerId }
  | { readonly kind: 'forgotten'; readonly containerId: ContainerId }
  | { readonly kind: 'away'; readonly containerId: ContainerId; readonly sink: string; readonly reason: string }
  /** `lines` were taken out of the log by its bounds before they could be shipped; null: how many is not known. */
  | { readonly kind: 'lost'; readonly containerId: ContainerId; readonly sink: string; readonly lines: number | null }
  | { readonly kind: 'back'; readonly containerId: ContainerId; readonly sink: string }
  /** For a while, nothing was to be shipped. */
  | { readonly kind: 'idle' };
