// JSON text as nodes take it.

/**
 * JSON text of a value; `null` for what has none. Half a character, as cutting a text can leave it,
 * is in no JSON of a node: it becomes U+FFFD.
 */
export function toJson(value: unknown): string {
  const json = (JSON.stringify(value) as string | undefined) ?? "null";
  // Escaped like this is nothing else.
  if (!json.includes("\\ud")) return json;
  return json.replace(/\\(?:ud[89a-f]..|.)/g, (escape) => (escape.length > 2 ? "\ufffd" : escape));
}
