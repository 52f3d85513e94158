import type { Call, ExportedObject } from '../bus/exported.ts';
import type { Job } from '../jobs/job.ts';
import { interfaceName, pathOf } from '../names.ts';
import { usecOf } from '../bus/times.ts';

/** One job as an object. */
export function jobObject(job: Job): ExportedObject {
  const { type, action, details } = job.request;
  return {
    path: pathOf('job', String(job.id)),
    interfaces: [
      {
        name: interfaceName('Job'),
        methods: {
          Cancel: async (call: Call) => {
            if (call.uid !== job.request.call.uid) await call.authorize(action, { ...details, job: type });
            job.cancel();
            return [];
          },
        },
        properties: () => propertiesOf(job),
        isOwnedBy: (uid) => uid === job.request.call.uid,
        polkitDetails: () => ({ job: type }),
      },
    ],
  };
}

function propertiesOf({ id, request, state, meter, outcome, startedAt }: Job): Readonly<Record<string, unknown>> {
  const { phase, done, total } = meter.standing;
  return {
    Id: id,
    Type: request.type,
    State: state,
    Phase: phase,
    Progress: meter.fraction,
    BytesDone: done,
    BytesTotal: total,
    Rate: state === 'running' ? meter.rate : 0,
    ExpectedEndTime: state === 'running' ? meter.expectedEndUsec : 0n,
    StartedAt: usecOf(startedAt),
    StartedByUID: request.call.uid,
    Objects: request.objects,
    Cancelable: request.cancelable && state !== 'finished',
    Result: outcome?.result ?? '',
    ErrorName: outcome?.errorName ?? '',
    ErrorMessage: outcome?.errorMessage ?? '',
    Details: outcome?.details ?? {},
  };
}
