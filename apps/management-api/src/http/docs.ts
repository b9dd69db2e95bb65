import { createRequire } from 'node:module';
import path from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

/** Only our own origin: the page holds a key while someone tries a call. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Posthaste API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/reference.js"></script>
</body>
</html>
`;

const SCRIPT = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#reference', deepLinking: true, tryItOutEnabled: true, validatorUrl: null });
`;

/** The document at `/openapi.json`, and Swagger UI at `/docs`, from files beside us: it works without the internet. */
export async function serveDocs(fastify: FastifyInstance, document: unknown): Promise<void> {
  const json = JSON.stringify(document);
  fastify.get('/openapi.json', (_, reply) => reply.type('application/json').send(json));
  const assets = path.dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  await fastify.register(fastifyStatic, {
    root: assets,
    prefix: '/docs/',
    serve: false,
    // index and directories are not ours to show.
    index: false,
  });
  fastify.get('/docs', (_, reply) => {
    void reply.header('content-security-policy', CSP).type('text/html; charset=utf-8');
    return reply.send(PAGE);
  });
  fastify.get('/docs/reference.js', (_, reply) => reply.type('text/javascript; charset=utf-8').send(SCRIPT));
  for (const asset of ASSETS) {
    fastify.get(`/docs/${asset}`, (_, reply) => reply.sendFile(asset, { maxAge: '1h' }));
  }
}
