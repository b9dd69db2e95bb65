import { status } from '@grpc/grpc-js';
import { Catch, type RpcExceptionFilter } from '@nestjs/common';
import { isDatabaseAway } from '@posthaste/runtime';
import { type Observable, throwError } from 'rxjs';
import { HistoryBehind } from './as-of-now.js';

/** Tells a caller to try again later, where Nest would answer UNKNOWN as for a defect of ours. */
@Catch()
export class AwayFilter implements RpcExceptionFilter {
  catch(error: unknown): Observable<never> {
    const message = isDatabaseAway(error) ? 'the database is away' : behind(error);
    return throwError(() => (message === null ? error : { code: status.UNAVAILABLE, message }));
  }
}

function behind(error: unknown): string | null {
  return error instanceof HistoryBehind ? error.message : null;
}
