import { Controller, Inject, UseFilters } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import { HISTORY_SERVICE, type ShredPayloadReply, type ShredPayloadRequest } from '@posthaste/contracts';
import type pg from 'pg';
import { AwayFilter } from '../history/away.filter.js';
import { HISTORY_READS } from '../history/history.grpc.js';
import { shredPayload } from './shred-payloads.js';

/** The part of the gRPC service `History` that makes it forget. */
@UseFilters(AwayFilter)
@Controller()
export class RetentionController {
  constructor(@Inject(HISTORY_READS) private readonly pool: pg.Pool) {}

  @GrpcMethod(HISTORY_SERVICE, 'ShredPayload')
  shred(request: ShredPayloadRequest): Promise<ShredPayloadReply> {
    return shredPayload(this.pool, request, Date.now());
  }
}
