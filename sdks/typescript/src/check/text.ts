// Text that people read: what may not be in it.

import { isObject, refuse, within } from "./refused.js";

/** Longest description, title or message, in bytes. */
const TEXT_BYTES_MAX = 16 << 10;

/** Control characters but line breaks and tabs, Unicode tags, bidirectional overrides and isolates. */
const HOSTILE = /[\p{Cc}\u{E0000}-\u{E007F}\u{202A}-\u{202E}\u{2066}-\u{2069}]/gu;

/** Refuses what can hide something from the eye of whoever decides by this text. */
function checkText(text: string): void {
  for (const [found] of text.matchAll(HOSTILE)) {
    if ("\n\r\t".includes(found)) continue;
    const code = (found.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    refuse(`holds the character U+${code}`);
  }
}

/** The same for a text of which people read the whole. */
export function checkShown(text: string): void {
  if (Buffer.byteLength(text) > TEXT_BYTES_MAX) refuse(`is longer than ${TEXT_BYTES_MAX} bytes`);
  checkText(text);
}

/** Every text in a schema may be shown to a person. */
export function checkTexts(value: unknown): void {
  if (typeof value === "string") return checkText(value);
  if (Array.isArray(value)) return value.forEach(checkTexts);
  if (!isObject(value)) return;
  for (const [name, member] of Object.entries(value)) {
    checkText(name);
    const isRead = typeof member === "string" && ["description", "title", "name"].includes(name);
    if (isRead) within(`${name} `, () => checkShown(member));
    checkTexts(member);
  }
}
