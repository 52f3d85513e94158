import { describe } from 'vitest';
import { SystemClock } from '../../src/base/clock.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { ConmonMonitor } from '../../src/engine/runtime/conmon/monitor.ts';
import { OciProgram } from '../../src/engine/runtime/oci-program.ts';
import { Bundles, obstacleToContainers, pathOf, processSpec } from '../support/bundle.ts';
import { FakeMonitor, FakeRuntime, type Program } from '../support/fake-monitor.ts';
import { monitorContract, type MonitorSubject } from './monitor.contract.ts';

const obstacle = obstacleToContainers();

describe.skipIf(obstacle !== null)(`conmon${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  for (const runtime of ['crun', 'runc']) monitorContract(`conmon with ${runtime}`, () => conmonWith(runtime));
});

monitorContract('fake', fake);

function conmonWith(name: string): MonitorSubject {
  const bundles = new Bundles();
  const kernel = createLinuxKernel();
  const runtime = new OciProgram({
    kernel,
    name,
    path: pathOf(name) ?? '',
    extraArguments: [],
    root: `${bundles.root}/${name}`,
    cgroups: bundles.cgroups,
    cgroupDriver: 'cgroupfs',
  });
  const monitor = (): ConmonMonitor =>
    new ConmonMonitor({
      kernel,
      clock: new SystemClock(),
      conmonPath: pathOf('conmon') ?? '',
      root: `${bundles.root}/m`,
      cgroups: bundles.cgroups,
    });
  const first = monitor();
  return {
    monitor: first,
    runtime,
    bundle: (program, options) => bundles.make(argumentsOf(program), options),
    processOf: (program) => processSpec(argumentsOf(program)),
    restarted: monitor,
    [Symbol.dispose]: () => {
      first[Symbol.dispose]();
      bundles[Symbol.dispose]();
    },
  };
}

function argumentsOf(program: Program): readonly string[] {
  if (program.kind === 'echo') return ['cat'];
  if (program.kind === 'wait') return ['sleep', '1000'];
  const lines = program.output.map(([stream, text]) => `printf '${text}' ${stream === 'stderr' ? '>&2' : ''}`);
  return ['sh', '-c', [...lines, `exit ${String(program.exitCode)}`].join('\n')];
}

function fake(): MonitorSubject {
  const programs = new Map<string, Program>();
  const monitor = new FakeMonitor(new SystemClock(), {
    programOf: (request) => {
      const key = 'process' in request ? (request.process.args[0] ?? '') : request.bundlePath;
      return programs.get(key) ?? { kind: 'wait' };
    },
  });
  const register = (program: Program): string => {
    const key = `program ${String(programs.size)}`;
    programs.set(key, program);
    return key;
  };
  let count = 0;
  return {
    monitor,
    runtime: new FakeRuntime(),
    bundle: (program) => ({
      id: String(count++).padStart(64, 'a') as ReturnType<MonitorSubject['bundle']>['id'],
      path: register(program),
    }),
    processOf: (program) => processSpec([register(program)]),
    restarted: () => monitor.restart(),
    [Symbol.dispose]: () => undefined,
  };
}
