/** Passkeys (WebAuthn): what the server asks of the browser, and what the browser answers. */
import { api, must, type Schema } from "@/api/client";

/** The answer, as the server takes it. */
export type PasskeyAnswer = Schema<"PasskeyAnswer">;

/** Whether this browser can do it at all; pages on plain addresses cannot. */
export function passkeysPossible(): boolean {
  return typeof PublicKeyCredential === "function" && "parseRequestOptionsFromJSON" in PublicKeyCredential;
}

/** What the server asks, in the form that it has there: the API's document leaves it to the standard. */
function asked<O>(question: Schema<"PasskeyQuestionView">): O {
  return (question.options as unknown as { publicKey: O }).publicKey;
}

/** Makes a passkey on a device of the person. */
export async function makePasskey(name: string): Promise<PasskeyAnswer> {
  const question = await must(api.POST("/api/v1/session/passkeys", { body: { name } }));
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked(question));
  return answer(question.ceremony, await navigator.credentials.create({ publicKey }));
}

/** Lets the person use any passkey that they have here: it says who they are. */
export async function anyPasskey(): Promise<PasskeyAnswer> {
  return use(await must(api.POST("/api/v1/sign-in/passkey")));
}

/** Lets the person use a passkey of their account, to prove themselves. */
export async function ownPasskey(): Promise<PasskeyAnswer> {
  return use(await must(api.POST("/api/v1/session/passkey-challenge")));
}

async function use(question: Schema<"PasskeyQuestionView">): Promise<PasskeyAnswer> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked(question));
  return answer(question.ceremony, await navigator.credentials.get({ publicKey }));
}

function answer(ceremony: string, credential: Credential | null): PasskeyAnswer {
  if (!(credential instanceof PublicKeyCredential)) throw new DOMException("no passkey was given", "NotAllowedError");
  return { ceremony, credential: credential.toJSON() as unknown as PasskeyAnswer["credential"] };
}

/** Whether the person called it off, or no device had what was asked. */
export function calledOff(error: unknown): boolean {
  return error instanceof DOMException && (error.name === "NotAllowedError" || error.name === "AbortError");
}

/** Whether the device has a passkey of this account already. */
export function madeBefore(error: unknown): boolean {
  return error instanceof DOMException && error.name === "InvalidStateError";
}
