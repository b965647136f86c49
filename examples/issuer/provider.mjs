// What this authorization server is: its clients, its APIs, its keys, and where it keeps tokens.

import { generateKeyPair, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

// On Node 20 the library warns that it is made for later ones; what is used of it here works.
const { warn } = console;
console.warn = () => {};
const { errors, Provider } = await import('oidc-provider');
console.warn = warn;

const TOKEN_SECONDS = 3600;
const ID_TOKEN_ALGORITHM = 'RS256';
const KEY_TYPES = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};
const COOKIE_KEYS = [randomBytes(32).toString('base64url')];

async function generateKey(alg) {
  const { privateKey } = await promisify(generateKeyPair)(...KEY_TYPES[alg]);
  const kid = `${alg}-${randomBytes(9).toString('base64url')}`;
  return { ...privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig' };
}

/** Returns a new private JWK for each algorithm that signs a token of *resources* or an ID token. */
export async function generateKeys(resources) {
  const algorithms = new Set([ID_TOKEN_ALGORITHM, ...Object.values(resources)]);
  algorithms.delete('opaque');
  return Promise.all([...algorithms].map(generateKey));
}

// Shared by every provider of this process, so that tokens outlive a rotation of keys. Nothing is
// purged: the process ends with the example or the test run that started it.
const stored = new Map();

/** The store of one kind of things, as oidc-provider wants an adapter. */
class Store {
  constructor(kind) {
    this.kind = kind;
  }

  key(id) {
    return `${this.kind}:${id}`;
  }

  async upsert(id, payload) {
    stored.set(this.key(id), payload);
  }

  async find(id) {
    return stored.get(this.key(id));
  }

  async findByUid(uid) {
    return [...stored.values()].find((each) => each.kind === this.kind && each.uid === uid);
  }

  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    stored.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, payload] of stored) {
      if (payload.grantId === grantId) stored.delete(key);
    }
  }
}

function metadataOf({ client_id, client_secret, redirect_uris, introspects }) {
  if (redirect_uris) {
    // RFC 8252: a native client is public, and its loopback redirect may have any port.
    const application = { application_type: 'native', token_endpoint_auth_method: 'none' };
    return { client_id, redirect_uris, ...application };
  }
  const grant_types = introspects ? [] : ['client_credentials'];
  return { client_id, client_secret, grant_types, redirect_uris: [], response_types: [] };
}

/** Whether a page of *origin* may redeem codes of a client: one with a redirect to that host. */
function isHostOf({ redirectUris }, origin) {
  const hostOf = (url) => (({ protocol, hostname }) => `${protocol}//${hostname}`)(new URL(url));
  // RFC 8252 7.3: the port of a loopback redirect may be any.
  return URL.canParse(origin) && redirectUris.some((each) => hostOf(each) === hostOf(origin));
}

function formatOf(algorithm) {
  if (algorithm === 'opaque') return { accessTokenFormat: 'opaque' };
  return { accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithm } } };
}

function featuresOf(clients, resources) {
  const byId = new Map(clients.map((client) => [client.client_id, client]));
  return {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    introspection: {
      enabled: true,
      allowedPolicy: (_ctx, { clientId }) => Boolean(byId.get(clientId).introspects),
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(_ctx, resource, { clientId }) {
        if (!Object.hasOwn(resources, resource)) throw new errors.InvalidTarget();
        // What is not among these is left out of the token (RFC 6749 3.3).
        return { scope: byId.get(clientId).scopes.join(' '), ...formatOf(resources[resource]) };
      },
    },
    revocation: {
      enabled: true,
      allowedPolicy(_ctx, { clientId }, token) {
        // RFC 7009 2.1: a client revokes its own tokens only, and is told so.
        if (token.clientId !== clientId) throw new errors.InvalidRequest();
        return true;
      },
    },
    rpInitiatedLogout: { enabled: false },
    userinfo: { enabled: false },
  };
}

/** Returns a provider that signs with the first of *keys* that fits, and publishes all of them. */
export function createProvider({ issuer, clients, resources, keys }) {
  const provider = new Provider(issuer, {
    adapter: Store,
    clientBasedCORS: (_ctx, origin, client) => isHostOf(client, origin),
    clientDefaults: { id_token_signed_response_alg: ID_TOKEN_ALGORITHM },
    clients: clients.map(metadataOf),
    cookies: { keys: COOKIE_KEYS },
    features: featuresOf(clients, resources),
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    jwks: { keys },
    ttl: {
      AccessToken: TOKEN_SECONDS,
      ClientCredentials: TOKEN_SECONDS,
      Grant: TOKEN_SECONDS,
      IdToken: TOKEN_SECONDS,
      Interaction: TOKEN_SECONDS,
      Session: TOKEN_SECONDS,
    },
  });
  return provider.on('server_error', (_ctx, error) => console.error(error));
}
