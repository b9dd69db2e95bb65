import { status } from '@grpc/grpc-js';
import { Catch, type RpcExceptionFilter } from '@nestjs/common';
import { isDatabaseAway } from '@posthaste/runtime';
import { type Observable, throwError } from 'rxjs';

/** Tells a caller to try again later, where Nest would answer UNKNOWN as for a defect of ours. */
@Catch()
export class DatabaseAwayFilter implements RpcExceptionFilter {
  catch(error: unknown): Observable<never> {
    const away = { code: status.UNAVAILABLE, message: 'the database is away' };
    return throwError(() => (isDatabaseAway(error) ? away : error));
  }
}
