// Whether a question can be put to a client at all; its author gets the reason. People decide by
// what they read in elicitations, so nothing may be hidden there [SP-1] to [SP-4].

import { isIPv6 } from "node:net";

import type { JsonObject } from "../schema.js";
import { Form } from "./form.js";
import { refuse, within } from "./refused.js";
import { checkShown, checkTexts } from "./text.js";

/** Longest key of a question. */
const KEY_BYTES_MAX = 256;
/** Longest address of a page, in bytes: what every browser and every screen takes. */
const URL_BYTES_MAX = 4 << 10;
/** Unreserved and reserved characters, and the sign of encoded ones (RFC 3986, section 2). */
const OF_URLS = /^[\w\-.~:/?#[\]@!$&'()*+,;=%]*$/;

export function checkKey(key: unknown): void {
  const bytes = typeof key === "string" ? Buffer.byteLength(key) : 0;
  if (bytes < 1 || bytes > KEY_BYTES_MAX) refuse(`the key must have 1 to ${KEY_BYTES_MAX} bytes`);
}

/** The form that its params describe. */
export function checkForm({ message, requestedSchema }: JsonObject): Form {
  checkMessage(message);
  const form = Form.parse(requestedSchema);
  within("`requestedSchema`: ", () => checkTexts(requestedSchema));
  return form;
}

export function checkPage({ message, url }: JsonObject): void {
  checkMessage(message);
  checkUrl(typeof url === "string" ? url : "");
}

function checkMessage(message: unknown): void {
  if (typeof message !== "string") refuse("`message` must be a string");
  if (message === "") refuse("`message` is empty");
  within("`message` ", () => checkShown(message));
}

/**
 * An absolute web address. The user's own browser opens it, so whatever browsers read differently
 * is refused: a person is shown it before they go [SP-4].
 */
function checkUrl(url: string): void {
  if (Buffer.byteLength(url) > URL_BYTES_MAX) refuse(`\`url\` is longer than ${URL_BYTES_MAX} bytes`);
  if (!OF_URLS.test(url)) refuse("`url` must have no characters but those of RFC 3986; encode them");
  const [, scheme, authority = ""] = /^(https?):\/\/([^/?#]*)/.exec(url) ?? refuse("`url` must be an absolute https URL");
  if (authority.includes("@")) refuse("`url` must not carry credentials");
  const host = hostOf(authority) ?? refuse("`url` must name a host");
  const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(host);
  if (scheme !== "https" && !isHere) refuse("`url` must be https, except on this machine");
}

/** The host of `host`, `host:port` or `[v6]:port`. */
function hostOf(authority: string): string | undefined {
  const [, host, v6, port = "0"] = /^([\w.-]+|\[([\da-f:.]+)\])(?::(\d+))?$/i.exec(authority) ?? [];
  const isHost = v6 === undefined || isIPv6(v6);
  return isHost && Number(port) <= 0xffff ? host : undefined;
}
