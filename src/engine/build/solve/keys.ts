/**
 * Names of steps by content: what they stand on (layers and configuration, not history), what is done, and what goes in.
 * Equal keys make equal layers, on whatever way the parent came about.
 */
import { createHash } from 'node:crypto';
import { configDocument } from '../../images/config-document.ts';
import { topOf, type StageState } from './state.ts';

/** Changed when a step of the same words and inputs would come out otherwise. */
const KEY_VERSION = 1;

/** `parts` is all that decides, beside the state. */
export function stepKey(state: StageState, epoch: number | null, parts: readonly unknown[]): string {
  const { platform, author } = state;
  // The parent's name depends on its history.
  const config = configDocument({ ...state.config, Image: '' });
  const below = [platform.os, platform.architecture, platform.variant ?? '', topOf(state), author ?? '', config];
  return createHash('sha256')
    .update(JSON.stringify([KEY_VERSION, epoch, below, parts]))
    .digest('hex');
}

/** Of a layer that is the same on whatever it stands. */
export function linkKey(epoch: number | null, parts: readonly unknown[]): string {
  return createHash('sha256')
    .update(JSON.stringify([KEY_VERSION, 'link', epoch, parts]))
    .digest('hex');
}
