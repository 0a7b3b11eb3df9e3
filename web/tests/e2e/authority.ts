/** An authority that certifies people: version 3 certificates (RFC 5280) in DER, of keys on the curve P-256. */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** One value in DER: its tag, its length, its content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts);
const identifier = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const bits = (content: Uint8Array) => der(0x03, Buffer.from([0]), content);
const time = (at: Date) => der(0x17, Buffer.from(`${at.toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`));

const ECDSA_WITH_SHA256 = sequence(identifier("2a8648ce3d040302"));
const COMMON_NAME = "550403";
const BASIC_CONSTRAINTS = "551d13";
const EXTENDED_KEY_USAGE = "551d25";
const CLIENT_AUTH = "2b06010505070302";
const DAY_MS = 86_400_000;

const named = (name: string) =>
  sequence(der(0x31, sequence(identifier(COMMON_NAME), der(0x0c, Buffer.from(name, "utf8")))));
const pem = (certificate: Buffer) =>
  `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`;

/** A certificate and its key, in PEM. */
export interface Card {
  cert: Buffer;
  key: Buffer;
}

export class Authority {
  private readonly key: KeyObject;
  /** Its own certificate, in PEM. */
  readonly certificate: string;

  constructor(private readonly name: string) {
    this.key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const authority = sequence(identifier(BASIC_CONSTRAINTS), der(0x04, sequence(der(0x01, Buffer.from([0xff])))));
    this.certificate = pem(this.signed(name, createPublicKey(this.key), authority));
  }

  private signed(name: string, key: KeyObject, extension: Buffer): Buffer {
    const now = Date.now();
    const body = sequence(
      der(0xa0, der(0x02, Buffer.from([2]))),
      // A leading one keeps the number positive and as short as DER wants it.
      der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
      ECDSA_WITH_SHA256,
      named(this.name),
      sequence(time(new Date(now - DAY_MS)), time(new Date(now + DAY_MS))),
      named(name),
      key.export({ type: "spki", format: "der" }),
      der(0xa3, sequence(extension)),
    );
    return sequence(body, ECDSA_WITH_SHA256, bits(sign("sha256", body, this.key)));
  }

  /** Certifies a person, for the use that browsers make of it. */
  certify(name: string): Card {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const use = sequence(identifier(EXTENDED_KEY_USAGE), der(0x04, sequence(identifier(CLIENT_AUTH))));
    const key = privateKey.export({ type: "pkcs8", format: "pem" });
    return { cert: Buffer.from(pem(this.signed(name, publicKey, use))), key: Buffer.from(key) };
  }
}
