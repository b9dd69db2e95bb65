import { Controller, Get, Header, Inject, Param } from '@nestjs/common';
import { absent } from '../http/refusals.js';
import { JWKS_MAX_AGE_MS } from './oauth-key.js';
import { Endpoints } from './endpoints.js';

const FILE = /^([A-Za-z0-9_-]{32})\.json$/;

/**
 * The public keys of OAuth clients, where token servers look for them. Open to everybody who knows the random id; it is
 * no part of the API and so not in its document. Keys of ours
 * change only after token servers had the time to read the new one here.
 */
@Controller('.well-known/jwks')
export class JwksController {
  constructor(@Inject(Endpoints) private readonly endpoints: Endpoints) {}

  @Get(':file')
  @Header('cache-control', `public, max-age=${JWKS_MAX_AGE_MS / 1_000}`)
  async keys(@Param('file') file: string) {
    const id = FILE.exec(file)?.[1];
    const keys = id === undefined ? [] : await this.endpoints.publishedKeys(id);
    if (keys.length === 0) throw absent('key set', ':file');
    return { keys };
  }
}
