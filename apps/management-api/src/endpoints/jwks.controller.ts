import { Controller, Get, Header, Inject, Param } from '@nestjs/common';
import { absent } from '../http/refusals.js';
import { Endpoints } from './endpoints.js';

const FILE = /^([A-Za-z0-9_-]{32})\.json$/;

/**
 * The public keys of OAuth clients, where token servers look for them. Open to everybody who knows the random id; it is
 * no part of the API and so not in its document. Five minutes is what a token server may take to learn of a new key.
 */
@Controller('.well-known/jwks')
export class JwksController {
  constructor(@Inject(Endpoints) private readonly endpoints: Endpoints) {}

  @Get(':file')
  @Header('cache-control', 'public, max-age=300')
  async keys(@Param('file') file: string) {
    const id = FILE.exec(file)?.[1];
    const key = id === undefined ? null : await this.endpoints.publishedKey(id);
    if (!key) throw absent('key set', ':file');
    return { keys: [key] };
  }
}
