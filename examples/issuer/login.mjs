// The page where somebody signs in and agrees, both at once. Whoever asks is believed: this is an
// authorization server for one machine, and its accounts are made up.

const MAX_FORM_BYTES = 4096;
const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'",
  'Content-Type': 'text/html; charset=utf-8',
  'X-Frame-Options': 'DENY',
};

const escaped = (text) => text.replace(/[^\w .:/-]/gu, (each) => `&#${each.codePointAt(0)};`);

const page = ({ client_id: client, scope }) => `<!doctype html>
<html lang="en">
<title>Sign in</title>
<h1>Sign in</h1>
<p>${escaped(client)} asks for: ${escaped(scope ?? 'nothing')}</p>
<form method="post">
<label>Name <input name="login" required autofocus></label>
<button>Sign in and agree</button>
</form>
</html>
`;

async function loginOf(request) {
  let form = '';
  for await (const chunk of request.setEncoding('utf8')) {
    form += chunk;
    if (form.length > MAX_FORM_BYTES) return null;
  }
  return new URLSearchParams(form).get('login');
}

async function grantTo(provider, accountId, { client_id: clientId, scope = '', resource = [] }) {
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope);
  for (const each of [resource].flat()) grant.addResourceScope(each, scope);
  return grant.save();
}

/** Answers a request below /interaction/, where oidc-provider sends who must sign in. */
export async function answerLogin(provider, request, response) {
  let interaction;
  try {
    interaction = await provider.interactionDetails(request, response);
  } catch (error) {
    if (error.name !== 'SessionNotFound') throw error;
    response.writeHead(400).end();
    return;
  }
  const login = request.method === 'POST' ? await loginOf(request) : null;
  if (!login) {
    response.writeHead(200, HEADERS).end(page(interaction.params));
    return;
  }
  const grantId = await grantTo(provider, login, interaction.params);
  const result = { login: { accountId: login }, consent: { grantId } };
  await provider.interactionFinished(request, response, result);
}
