// A real authorization server (oidc-provider) for examples and tests: on 127.0.0.1 only, its
// keys, tokens and sessions in the memory of this process.
//
//   ISSUER_PORT             0, the default, takes a free port
//   ISSUER_CLIENTS          [{client_id, client_secret, scopes}], JSON; a client with redirect_uris
//                           in place of a secret is public, one with introspects: true may ask
//                           about the tokens of others
//   ISSUER_RESOURCES        {resource: "RS256" | "PS256" | "ES256" | "EdDSA" | "opaque"}, JSON: how
//                           the access tokens for that API are made
//   ISSUER_OPERATOR_SECRET  opens POST /operator/rotate?overlap=true|false to this bearer token
//
// One line of JSON on stdout says that it is ready. It ends when its stdin does.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

import { answerLogin } from './login.mjs';
import { createProvider, generateKeys } from './provider.mjs';

const { env, stdin, stdout } = process;
const clients = JSON.parse(env.ISSUER_CLIENTS ?? '[]');
const resources = JSON.parse(env.ISSUER_RESOURCES ?? '{}');
const operatorSecret = env.ISSUER_OPERATOR_SECRET;

let issuer;
let keys = [];
let provider;

async function rotate({ overlap }) {
  const fresh = await generateKeys(resources);
  // The provider signs with the first key that fits. Those of two turns ago have had their time.
  keys = overlap ? [...fresh, ...keys.slice(0, fresh.length)] : fresh;
  // A provider reads its keys once; tokens and sessions outlive it.
  provider = createProvider({ issuer, clients, resources, keys });
}

function isOperator(request) {
  const digest = (text) => createHash('sha256').update(text).digest();
  const expected = digest(`Bearer ${operatorSecret}`);
  return timingSafeEqual(digest(request.headers.authorization ?? ''), expected);
}

async function answerOperator(request, response, query) {
  const overlap = query.get('overlap');
  if (!isOperator(request)) {
    response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end();
  } else if (request.method !== 'POST') {
    response.writeHead(405, { Allow: 'POST' }).end();
  } else if (overlap !== 'true' && overlap !== 'false') {
    response.writeHead(400).end();
  } else {
    await rotate({ overlap: overlap === 'true' });
    response.writeHead(204).end();
  }
}

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, issuer);
  if (operatorSecret && pathname === '/operator/rotate') {
    await answerOperator(request, response, searchParams);
  } else if (pathname.startsWith('/interaction/')) {
    await answerLogin(provider, request, response);
  } else {
    await provider.callback()(request, response);
  }
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(500);
    response.end();
  });
});

// A pooled connection that the server closes just when it is used again would look like an outage.
server.keepAliveTimeout = 0;

stdin.on('error', () => process.exit()).on('end', () => process.exit()).resume();

server.listen(Number(env.ISSUER_PORT ?? 0), '127.0.0.1', async () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  await rotate({ overlap: false });
  stdout.write(`${JSON.stringify({ issuer })}\n`);
});
