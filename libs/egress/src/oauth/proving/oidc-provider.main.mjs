// A certified authorization server that is not ours, on loopback, until its parent hangs up. In a
// process of its own: inside Jest's sandbox it meets objects of two worlds and takes key sets for something else.
// Its clients, the one resource it knows and its port, a free one if there is none, are the argument; its first line is
// its issuer.
import { createServer } from 'node:http';
import { errors, Provider } from 'oidc-provider';

const { clients, resource, port = 0 } = JSON.parse(process.argv[2]);
const http = createServer();
await new Promise((resolve) => http.listen(port, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${http.address().port}`;
const provider = new Provider(issuer, {
  clients: clients.map((client) => ({
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: 'deliver',
    ...client,
  })),
  scopes: ['deliver'],
  enabledJWA: { clientAuthSigningAlgValues: ['ES256', 'RS256', 'PS256', 'EdDSA'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, asked) => {
        if (asked !== resource) throw new errors.InvalidTarget();
        return { scope: 'deliver', audience: asked, accessTokenFormat: 'jwt', accessTokenTTL: 120 };
      },
    },
  },
});
http.on('request', provider.callback());
process.stdin.on('end', () => process.exit()).resume();
process.stdout.write(`${issuer}\n`);
