import { Controller, Inject, UseFilters } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import {
  type DueDeliveryPayload,
  type EndpointStatsReply,
  type EndpointStatsRequest,
  type GetAsOf,
  type GetById,
  HISTORY_SERVICE,
  type HistoryAttempt,
  type HistoryDelivery,
  type HistoryMessage,
  type HistoryPage,
  type LastAttemptRequest,
  type ListAccountAttemptsRequest,
  type ListDeliveriesRequest,
  type ListMessagesRequest,
  type PageRequest,
  type RoutesReply,
  type RoutesRequest,
} from '@posthaste/contracts';
import { GrpcRefusal } from '@posthaste/runtime';
import type pg from 'pg';
import { AsOfNow } from './as-of-now.js';
import { AwayFilter } from './away.filter.js';
import { getAttempt, listAccountAttempts, listAttempts } from './sql/select-attempts.js';
import { getLastAttempt } from './sql/select-last-attempt.js';
import { getDelivery, getDueDeliveries, listDeliveries } from './sql/select-deliveries.js';
import { getMessage, getPayload, listMessages } from './sql/select-messages.js';
import { getRoutes } from './sql/select-routes.js';
import { getEndpointStats } from './sql/select-stats.js';

/** The pool reads go through: its own, so that they never wait for a projection. */
export const HISTORY_READS = Symbol('HISTORY_READS');

/**
 * Answers the gRPC service `History`. What is not there, or belongs to another tenant, is an answer without it and
 * no error: the caller decides what that means to its own caller. Without the database it is UNAVAILABLE, and so is what
 * is asked as of now while history is far behind.
 */
@UseFilters(AwayFilter)
@Controller()
export class HistoryController {
  constructor(
    @Inject(HISTORY_READS) private readonly reads: pg.Pool,
    private readonly asOfNow: AsOfNow,
  ) {}

  @GrpcMethod(HISTORY_SERVICE, 'GetMessage')
  async getMessage(request: GetAsOf): Promise<{ message?: HistoryMessage | undefined }> {
    await this.catchUp(request);
    return { message: await getMessage(this.reads, request) };
  }

  @GrpcMethod(HISTORY_SERVICE, 'GetPayload')
  async getPayload(request: GetById): Promise<{ payload?: Buffer; content_type?: string }> {
    return (await getPayload(this.reads, request)) ?? {};
  }

  @GrpcMethod(HISTORY_SERVICE, 'ListMessages')
  listMessages(request: ListMessagesRequest): Promise<HistoryPage<HistoryMessage>> {
    return listMessages(this.reads, request);
  }

  @GrpcMethod(HISTORY_SERVICE, 'GetDelivery')
  async getDelivery(request: GetAsOf): Promise<{ delivery?: HistoryDelivery | undefined }> {
    await this.catchUp(request);
    return { delivery: await getDelivery(this.reads, request) };
  }

  @GrpcMethod(HISTORY_SERVICE, 'ListDeliveries')
  listDeliveries(request: ListDeliveriesRequest): Promise<HistoryPage<HistoryDelivery>> {
    return listDeliveries(this.reads, request);
  }

  @GrpcMethod(HISTORY_SERVICE, 'ListAttempts')
  listAttempts(request: {
    tenant: string;
    delivery: string;
    page: PageRequest;
  }): Promise<HistoryPage<HistoryAttempt>> {
    return listAttempts(this.reads, request);
  }

  @GrpcMethod(HISTORY_SERVICE, 'ListAccountAttempts')
  listAccountAttempts(request: ListAccountAttemptsRequest): Promise<HistoryPage<HistoryAttempt>> {
    return listAccountAttempts(this.reads, request);
  }

  @GrpcMethod(HISTORY_SERVICE, 'GetEndpointStats')
  getEndpointStats(request: EndpointStatsRequest): Promise<EndpointStatsReply> {
    return getEndpointStats(this.reads, request);
  }

  @GrpcMethod(HISTORY_SERVICE, 'GetAttempt')
  async getAttempt(request: GetById): Promise<{ attempt?: HistoryAttempt | undefined }> {
    return { attempt: await getAttempt(this.reads, request) };
  }

  @GrpcMethod(HISTORY_SERVICE, 'GetRoutes')
  getRoutes(request: RoutesRequest): Promise<RoutesReply> {
    return getRoutes(this.reads, request);
  }

  @GrpcMethod(HISTORY_SERVICE, 'GetLastAttempt')
  async getLastAttempt(request: LastAttemptRequest): Promise<{ started_at: number | undefined }> {
    return { started_at: await getLastAttempt(this.reads, request) };
  }

  @GrpcMethod(HISTORY_SERVICE, 'GetDueDeliveries')
  async getDueDeliveries(request: { ids: string[] }): Promise<{ data: DueDeliveryPayload[] }> {
    return { data: await getDueDeliveries(this.reads, request.ids) };
  }

  private async catchUp({ as_of_now = false }: GetAsOf): Promise<void> {
    if (!as_of_now || (await this.asOfNow.reached())) return;
    throw new GrpcRefusal('UNAVAILABLE', 'history is behind the log');
  }
}
