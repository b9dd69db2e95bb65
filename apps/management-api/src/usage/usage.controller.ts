import { Controller, Get, Inject, Param, Query } from '@nestjs/common';
import { AccountUsage, UsageQuery } from '@posthaste/contracts';
import { type Reach, Within } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { Usage } from './usage.js';

@Controller('v1/accounts/:account/usage')
export class UsageController {
  constructor(@Inject(Usage) private readonly usage: Usage) {}

  @Get()
  @Operation({
    id: 'getUsage',
    tag: 'Sources',
    summary: 'What monitoring an account has come to',
    description:
      'An account is monitored while it has an enabled endpoint of profile `linkup`, or a source and any enabled endpoint. Ten credits a day, however many endpoints it has.',
    access: ['tenant', 'account'],
    needs: 'accounts:read',
    status: 200,
    answers: AccountUsage,
    problems: [422],
  })
  async get(
    @Within() reach: Reach,
    @Param('account') account: string,
    @Query({ schema: UsageQuery }) query: UsageQuery,
  ) {
    return this.usage.of(reach, account, query);
  }
}
