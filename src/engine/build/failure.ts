import { EngineError } from '../../base/errors.ts';

/** A RUN ended with an exit code other than 0; `message` is Docker's. */
export class BuildFailure extends EngineError {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super('internal', message);
    this.exitCode = exitCode;
  }
}
