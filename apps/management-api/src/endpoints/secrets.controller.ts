import { Body, Controller, Delete, Get, Inject, Param, Post, Query, Res } from '@nestjs/common';
import { EndpointSecret, RotateSecret, SecretQuery } from '@posthaste/contracts';
import type { FastifyReply } from 'fastify';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { etagOf, IfMatch } from '../http/if-match.js';
import { Operation } from '../http/operation.js';
import { EndpointSecrets } from './endpoint-secrets.js';

const tag = 'Endpoints';
const access = ['tenant', 'account'] as const;

@Controller('v1')
export class EndpointSecretsController {
  constructor(@Inject(EndpointSecrets) private readonly secrets: EndpointSecrets) {}

  @Get('endpoints/:endpoint/secret')
  @Operation({
    id: 'getEndpointSecret',
    tag,
    summary: 'Reveal the signing secret',
    description:
      'The newest secret, and a list of all live ones. Each reading leaves an audit entry. One that was given through ' +
      "Middesk's API is never shown (409).",
    access,
    needs: 'secrets:read',
    status: 200,
    problems: [409],
    answers: EndpointSecret,
  })
  async reveal(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('endpoint') endpoint: string,
    @Query({ schema: SecretQuery }) query: SecretQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<EndpointSecret> {
    reply.header('cache-control', 'no-store');
    return this.secrets.reveal(author, reach, { endpoint }, query);
  }

  @Post('endpoints/:endpoint/secret/rotate')
  @Operation({
    id: 'rotateEndpointSecret',
    tag,
    summary: 'Replace the signing secret',
    description:
      'Each request carries a signature of every live secret, the newest first: v1 (HMAC-SHA256) and v1a (Ed25519). ' +
      'A rotation replaces the secrets of one version and leaves those of the other as they are; of a version the ' +
      'endpoint has no secret of, it adds the first. So to move from v1 to v1a: rotate with `version: "v1a"`, give ' +
      'the receiver the `public_key`, and when it verifies v1a end the v1 secret. At most 10 secrets are live; ' +
      'beyond that those that would end first end now. Profiles `linkup` and `middesk` have one secret: a rotation ' +
      'replaces it at once, and is how an endpoint without any begins to sign.',
    access,
    needs: 'secrets:write',
    status: 204,
    etag: true,
    optionalBody: true,
  })
  async rotate(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('endpoint') endpoint: string,
    @Body({ schema: RotateSecret.prefault({}) }) input: RotateSecret,
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    const { version } = await this.secrets.rotate(author, reach, { endpoint }, input, ifMatch);
    reply.header('etag', etagOf(version));
  }

  @Delete('endpoints/:endpoint/secret/:secret')
  @Operation({
    id: 'endEndpointSecret',
    tag,
    summary: 'End a signing secret now',
    description:
      'For a secret that was found out, or whose version no receiver verifies any more. The only one without an end ' +
      'cannot be ended (409): rotate it. Of profiles `linkup` and `middesk` it can: requests are then not signed.',
    access,
    needs: 'secrets:write',
    status: 204,
    etag: true,
    problems: [409],
  })
  async end(
    @By() author: Author,
    @Within() reach: Reach,
    @Param() named: { endpoint: string; secret: string },
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    const { version } = await this.secrets.end(author, reach, named, ifMatch);
    reply.header('etag', etagOf(version));
  }
}
