import { status } from '@grpc/grpc-js';
import { Catch, type RpcExceptionFilter } from '@nestjs/common';
import { GrpcRefusal, isDatabaseAway } from '@posthaste/runtime';
import { type Observable, throwError } from 'rxjs';

/** Tells a caller to try again later, where Nest would answer UNKNOWN as for a defect of ours. */
@Catch()
export class AwayFilter implements RpcExceptionFilter {
  catch(error: unknown): Observable<never> {
    const told = isDatabaseAway(error) ? new GrpcRefusal('UNAVAILABLE', 'the database is away') : error;
    if (!(told instanceof GrpcRefusal)) return throwError(() => error);
    return throwError(() => ({ code: status[told.code], message: told.message }));
  }
}
