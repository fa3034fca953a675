// A certified OpenID Connect provider (npm oidc-provider) with one client. Whoever types a name is that person: their
// address is theirs, unless the name is `unconfirmed`.

import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { CLIENT_ID, CLIENT_SECRET, INSTALLED, PORT, REDIRECT_URI } = process.env;
const entry = path.join(INSTALLED, 'node_modules/oidc-provider/lib/index.js');
const { default: Provider } = await import(pathToFileURL(entry));

const claims = (name) => ({
  sub: `person ${name}`,
  name: `${name} of the provider`,
  email: `${name}@example.org`,
  email_verified: name !== 'unconfirmed',
});

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  clients: [{ client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT_URI] }],
  findAccount: (_, name) => ({ accountId: name, claims: () => claims(name) }),
  pkce: { required: () => true },
});
// Its pages for development ask another site for letters.
provider.use(async (context, next) => {
  await next();
  if (typeof context.body === 'string') context.body = context.body.replace(/@import[^;]*;/, '');
});
provider.listen(Number(PORT), '127.0.0.1', () => console.log('listening'));
