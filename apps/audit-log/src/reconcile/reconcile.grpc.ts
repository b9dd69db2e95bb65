import { Controller, Inject, UseFilters } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import {
  type CompareReceivedReply,
  type CompareReceivedRequest,
  HISTORY_SERVICE,
  type HistoryMeant,
  type HistoryPage,
  type ListMeantRequest,
} from '@posthaste/contracts';
import type pg from 'pg';
import { AwayFilter } from '../history/away.filter.js';
import { HISTORY_READS } from '../history/history.grpc.js';
import { compareReceived } from './compare-received.js';
import { listMeant } from './sql/select-meant.js';

/** What was meant for endpoints: that part of the gRPC service `History`. For an unknown endpoint there was nothing. */
@UseFilters(AwayFilter)
@Controller()
export class ReconcileController {
  constructor(@Inject(HISTORY_READS) private readonly reads: pg.Pool) {}

  @GrpcMethod(HISTORY_SERVICE, 'ListMeant')
  listMeant(request: ListMeantRequest): Promise<HistoryPage<HistoryMeant>> {
    return listMeant(this.reads, request);
  }

  @GrpcMethod(HISTORY_SERVICE, 'CompareReceived')
  compareReceived(request: CompareReceivedRequest): Promise<CompareReceivedReply> {
    return compareReceived(this.reads, request);
  }
}
