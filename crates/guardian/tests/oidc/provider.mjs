// The provider that the tests of signing in run against: oidc-provider as it comes, with people from a file that the
// test writes. It prints `issuer` and its address, waits for a line with the address of the program under test, serves,
// and prints `ready`.
//
// The file: {"who": name, "deny": bool, "amr": [text], "people": {name: claims}}, read anew for every question.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Provider, errors } from "oidc-provider";

const file = process.argv[2];
const now = () => JSON.parse(readFileSync(file, "utf8"));

let handle = (_, response) => {
  response.statusCode = 503;
  response.end();
};
const server = createServer((request, response) => handle(request, response));
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  console.log(`issuer ${issuer}`);
  createInterface({ input: process.stdin })
    .once("line", (base) => serve(issuer, base.trim()))
    .once("close", () => process.exit(0));
});

function serve(issuer, base) {
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "guardian",
        client_secret: "a secret of the test",
        redirect_uris: [`${base}/api/v1/sign-in/oidc/corp/callback`],
        post_logout_redirect_uris: [`${base}/sign-in`],
      },
    ],
    claims: {
      openid: ["sub", "auth_time", "amr"],
      profile: ["name", "preferred_username"],
      email: ["email", "email_verified"],
      groups: ["groups"],
    },
    scopes: ["openid", "profile", "email", "groups"],
    pkce: { required: () => true },
    cookies: { keys: ["only for a test"] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/enter/${interaction.uid}` },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...now().people[id] }),
    }),
    // Nobody is asked whether Guardian may know their groups.
    async loadExistingGrant(ctx) {
      const { client, session, provider } = ctx.oidc;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope("openid profile email groups");
      await grant.save();
      return grant;
    },
  });
  const serving = provider.callback();
  handle = async (request, response) => {
    if (!request.url.startsWith("/enter/")) return serving(request, response);
    const { who, deny, amr } = now();
    const result = deny
      ? new errors.AccessDenied("not today")
      : { login: { accountId: who, amr, ts: Math.floor(Date.now() / 1000) } };
    const answer = deny ? { error: result.error, error_description: result.error_description } : result;
    await provider.interactionFinished(request, response, answer, { mergeWithLastSubmission: false });
  };
  console.log("ready");
}
