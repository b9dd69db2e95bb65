import { Controller, Get, Inject, Param, Query } from '@nestjs/common';
import { Explanation, ExplainQuery } from '@posthaste/contracts';
import { type Reach, Within } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { Explain } from './explain.js';

@Controller('v1')
export class ExplainController {
  constructor(@Inject(Explain) private readonly explain: Explain) {}

  @Get('messages/:id/explain')
  @Operation({
    id: 'explainMessage',
    tag: 'Messages',
    summary: 'Explain where a message went, and why not elsewhere',
    description:
      'Every endpoint the account has or had, the newest first: that it matched and what became of the delivery, or the ' +
      'first rule that said no, with the values it compared and who made it so. By the configuration the message was ' +
      'routed at, not by that of today.',
    access: ['tenant', 'account'],
    needs: 'deliveries:read',
    status: 200,
    answers: Explanation,
  })
  async get(
    @Within() reach: Reach,
    @Param('id') id: string,
    @Query({ schema: ExplainQuery }) query: ExplainQuery,
  ): Promise<Explanation> {
    return this.explain.message(reach, id, query);
  }
}
