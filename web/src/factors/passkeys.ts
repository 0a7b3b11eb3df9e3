/** Passkeys (WebAuthn): what the server asks of the browser, and what the browser answers. */
import { send } from "@/api/client";

/** A question of the server, good once and for five minutes. */
interface Ceremony<O> {
  ceremony: string;
  options: { publicKey: O };
}

/** The answer, as the server takes it. */
export interface PasskeyAnswer {
  ceremony: string;
  credential: unknown;
}

/** Whether this browser can do it at all; pages on plain addresses cannot. */
export function passkeysPossible(): boolean {
  return typeof PublicKeyCredential === "function" && "parseRequestOptionsFromJSON" in PublicKeyCredential;
}

/** Makes a passkey on a device of the person. */
export async function makePasskey(name: string): Promise<PasskeyAnswer> {
  const begun = await send<Ceremony<PublicKeyCredentialCreationOptionsJSON>>("POST", "/session/passkeys", { name });
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(begun.options.publicKey);
  return answer(begun.ceremony, await navigator.credentials.create({ publicKey }));
}

/** Lets the person use a passkey: at the sign-in, or to prove themselves once more. */
export async function askPasskey(path: "/sign-in/passkey" | "/session/passkey-challenge"): Promise<PasskeyAnswer> {
  const begun = await send<Ceremony<PublicKeyCredentialRequestOptionsJSON>>("POST", path);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(begun.options.publicKey);
  return answer(begun.ceremony, await navigator.credentials.get({ publicKey }));
}

function answer(ceremony: string, credential: Credential | null): PasskeyAnswer {
  if (!(credential instanceof PublicKeyCredential)) throw new DOMException("no passkey was given", "NotAllowedError");
  return { ceremony, credential: credential.toJSON() };
}

/** Whether the person called it off, or no device had what was asked. */
export function calledOff(error: unknown): boolean {
  return error instanceof DOMException && (error.name === "NotAllowedError" || error.name === "AbortError");
}

/** Whether the device has a passkey of this account already. */
export function madeBefore(error: unknown): boolean {
  return error instanceof DOMException && error.name === "InvalidStateError";
}
