import { Body, Controller, Delete, Get, Inject, Param, Patch, Put, Query, Res } from '@nestjs/common';
import { Account, listOf, PageQuery, PatchAccount, PutAccount, Uid } from '@posthaste/contracts';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { IfMatch, withEtag } from '../http/if-match.js';
import { Operation } from '../http/operation.js';
import { Accounts, accountView } from './accounts.js';

const tag = 'Accounts';

@Controller('v1/accounts')
export class AccountsController {
  constructor(@Inject(Accounts) private readonly accounts: Accounts) {}

  @Get()
  @Operation({
    id: 'listAccounts',
    tag,
    summary: 'List accounts',
    access: ['tenant'],
    needs: 'accounts:read',
    status: 200,
    answers: listOf(Account, 'AccountList'),
  })
  async list(@Within() reach: Reach, @Query({ schema: PageQuery }) page: PageQuery) {
    return this.accounts.list(reach, page);
  }

  @Put(':account')
  @Operation({
    id: 'putAccount',
    tag,
    summary: 'Create or replace an account',
    description: 'Answers 201 when it was created, 200 when it was there. `{account}` is your own uid.',
    access: ['tenant'],
    needs: 'accounts:write',
    status: 200,
    answers: Account,
    etag: true,
  })
  async put(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('account', { schema: Uid }) ref: string,
    @Body({ schema: PutAccount }) input: PutAccount,
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { row, created } = await this.accounts.put(author, reach, ref, input, ifMatch);
    if (created) reply.status(201).header('location', `/v1/accounts/${encodeURIComponent(row.uid)}`);
    return withEtag(reply, row, accountView);
  }

  @Get(':account')
  @Operation({
    id: 'getAccount',
    tag,
    summary: 'Read an account',
    access: ['tenant', 'account'],
    needs: 'accounts:read',
    status: 200,
    answers: Account,
    etag: true,
  })
  async get(
    @Within() reach: Reach,
    @Param('account') ref: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const row = await this.accounts.get(reach, ref);
    return withEtag(reply, row, accountView);
  }

  @Patch(':account')
  @Operation({
    id: 'patchAccount',
    tag,
    summary: 'Change an account',
    access: ['tenant'],
    needs: 'accounts:write',
    status: 200,
    answers: Account,
    etag: true,
  })
  async patch(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('account') ref: string,
    @Body({ schema: PatchAccount }) patch: z.infer<typeof PatchAccount>,
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const row = await this.accounts.patch(author, reach, ref, patch, ifMatch);
    return withEtag(reply, row, accountView);
  }

  @Delete(':account')
  @Operation({
    id: 'deleteAccount',
    tag,
    summary: 'Delete an account and its endpoints',
    access: ['tenant'],
    needs: 'accounts:write',
    status: 204,
  })
  async remove(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('account') ref: string,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<void> {
    await this.accounts.remove(author, reach, ref, ifMatch);
  }
}
