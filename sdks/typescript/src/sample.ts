// Requests to the client's model, and what it says.

import type { Capability } from "./capability.js";
import type { Content } from "./content.js";
import { AskError } from "./error.js";
import type { JsonObject } from "./schema.js";

/** A tool that the model wants used, by the worker. */
export interface ToolUse {
  type: "tool_use";
  id: string;
  name: string;
  input: JsonObject;
}

/** What came of a `ToolUse`. */
export interface ToolOutput {
  type: "tool_result";
  toolUseId: string;
  content: Content[];
  isError?: boolean;
}

export type SampleContent = Content | ToolUse | ToolOutput;

export interface SampleMessage {
  role: "user" | "assistant";
  content: SampleContent | SampleContent[];
}

/** The params of `sampling/createMessage`. */
export interface SampleParams {
  messages: SampleMessage[];
  maxTokens: number;
  systemPrompt?: string;
  temperature?: number;
  stopSequences?: string[];
  modelPreferences?: JsonObject;
  includeContext?: "none" | "thisServer" | "allServers";
  /** The worker runs them when the model asks (`Sampled.toolUses`) and goes on with `answered`. */
  tools?: { name: string; description?: string; inputSchema: JsonObject }[];
  toolChoice?: { mode: "auto" | "required" | "none" };
  metadata?: JsonObject;
}

/** What a client may lack that samples otherwise [SP-1]. */
export function sampleNeeds(params: SampleParams): Capability {
  if (params.tools !== undefined || params.toolChoice !== undefined) return "sampleTools";
  const hasContext = params.includeContext !== undefined && params.includeContext !== "none";
  return hasContext ? "sampleContext" : "sample";
}

/** What the client's model said. */
export class Sampled {
  private constructor(
    readonly role: "user" | "assistant",
    readonly model: string,
    readonly content: SampleContent | SampleContent[],
    readonly stopReason?: string,
  ) {}

  static readonly read = (answer: unknown): Sampled => {
    const { role, model, content, stopReason } = (answer ?? {}) as Partial<Sampled>;
    const isWhole = (role === "user" || role === "assistant") && typeof model === "string";
    if (!isWhole || typeof content !== "object" || content === null) {
      throw new AskError("invalid", "the answer does not fit the question: it is no message of a model");
    }
    return new Sampled(role, model, content, stopReason);
  };

  get blocks(): SampleContent[] {
    return Array.isArray(this.content) ? this.content : [this.content];
  }

  /** All text of the answer. */
  get text(): string {
    return this.blocks.map((block) => (block.type === "text" ? block.text : "")).join("");
  }

  /** The tools that it wants used before it goes on. */
  get toolUses(): ToolUse[] {
    return this.blocks.filter((block) => block.type === "tool_use");
  }
}

/** What a tool that the model wanted gave. */
export function toolOutput(use: ToolUse, ...content: Content[]): ToolOutput {
  return { type: "tool_result", toolUseId: use.id, content };
}

/** Why it gave nothing, for the model to read. */
export function toolFailed(use: ToolUse, why: string): ToolOutput {
  return { ...toolOutput(use, { type: "text", text: why }), isError: true };
}

/**
 * The next step of a conversation: what the model said, and what each tool it wanted gave.
 * Every `ToolUse` must have its output [SP-2].
 */
export function answered(params: SampleParams, said: Sampled, outputs: ToolOutput[]): SampleParams {
  const { role, content } = said;
  return { ...params, messages: [...params.messages, { role, content }, { role: "user", content: outputs }] };
}
