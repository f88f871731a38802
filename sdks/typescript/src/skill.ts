// Skills: instructions for a client's model, with the files they need [EX-4].

import { createHash } from "node:crypto";

import type { JsonObject } from "./schema.js";

/**
 * A skill: a SKILL.md and whatever files it speaks of, served as resources below `skill://NAME/`.
 * Clients learn of it by name and description, and read it when it fits.
 */
export interface Skill {
  /** 1 to 64 of a-z, 0-9 and single hyphens. */
  name: string;
  /** When the skill helps. */
  description: string;
  /** The Markdown below the front matter, which is written here. */
  instructions: string;
  /** Further fields of the front matter: `license`, `metadata`, ... */
  frontmatter?: JsonObject;
  /** Files by their path inside the skill: "scripts/fill.py". */
  files?: Record<string, { mimeType: string; content: string | Uint8Array }>;
  /** Of its entry in lists. */
  meta?: JsonObject;
}

/** One file of a skill, as a resource. */
export interface SkillFile {
  uri: string;
  path: string;
  mimeType: string;
  content: string | Uint8Array;
}

/** What a Server keeps of a skill. */
export interface SkillItem {
  /** Of its SKILL.md. */
  uri: string;
  /** The entry of `skills/list` as JSON text. */
  definition: Buffer;
  /** Its SKILL.md first. */
  files: SkillFile[];
}

const MARKDOWN = "text/markdown";

export function skillItem(skill: Skill): SkillItem {
  const { name, description, files = {}, meta } = skill;
  const frontmatter = { name, description, ...skill.frontmatter };
  const manifest = { mimeType: MARKDOWN, content: manifestText(frontmatter, skill.instructions) };
  const all = Object.entries({ "SKILL.md": manifest, ...files }).map(([path, file]) => ({
    uri: `skill://${name}/${path}`,
    path,
    ...file,
  }));
  const uri = `skill://${name}/SKILL.md`;
  const entry = { uri, frontmatter, resources: all.map(fileEntry), ...(meta === undefined ? {} : { _meta: meta }) };
  return { uri, definition: Buffer.from(JSON.stringify(entry)), files: all };
}

/**
 * The front matter's values are JSON, which YAML reads as it is, and so are its keys where they
 * would be read otherwise without quotes.
 */
function manifestText(frontmatter: JsonObject, instructions: string): string {
  const fields = Object.entries(frontmatter).map(
    ([key, value]) => `${isPlain(key) ? key : JSON.stringify(key)}: ${JSON.stringify(value)}\n`,
  );
  return `---\n${fields.join("")}---\n\n${instructions.trimEnd()}\n`;
}

/** Whether YAML reads a key as this text without quotes. */
function isPlain(key: string): boolean {
  return /^[a-z][\w-]*$/i.test(key) && !/^(null|true|false|yes|no|on|off|y|n)$/i.test(key);
}

function fileEntry({ uri, content }: SkillFile): JsonObject {
  const digest = createHash("sha256").update(content).digest("hex");
  return { uri, digest: `sha256:${digest}`, size: Buffer.byteLength(content) };
}
