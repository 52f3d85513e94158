/*
 * An engine that is about to be killed: sets two containers up, one with a published port, reports them on stdout, leaves
 * half a set-up behind as a crash would, and waits for its end. Arguments: directory, options as JSON.
 */
import { join } from 'node:path';
import { kernel, NetworkRig, publish } from './rig.ts';
import type { NetworksOptions } from '../../../src/engine/network/index.ts';

const [directory = '', options = ''] = process.argv.slice(2);
const rig = await NetworkRig.start([], directory, JSON.parse(options) as NetworksOptions);
const containers = [await rig.container(), await rig.container({ portBindings: [publish(0, 80, '127.0.0.1')] })];
const interrupted = await rig.container({ portBindings: [publish(0, 80)] });
kernel.namespaces.createNetns(join(rig.options.netnsDirectory, 'abcdef012345'));
process.stdout.write(`${JSON.stringify({ containers, interrupted })}\n`);
process.stdin.resume();
