// Whether a request to the client's model is sound. Messages to a model are data, such as the
// results of tools, in which anything may stand.

import type { JsonObject } from "../schema.js";
import { isObject, refuse, within } from "./refused.js";

/** Messages of one request. */
const MESSAGES_MAX = 10_000;

/** The members of each block that must be texts. */
const BLOCKS = new Map([
  ["text", ["text"]],
  ["image", ["data", "mimeType"]],
  ["audio", ["data", "mimeType"]],
  ["tool_use", ["id", "name"]],
  ["tool_result", ["toolUseId"]],
]);

/** Checks the params of a request. */
export function checkSample(params: JsonObject): void {
  const { messages, maxTokens, includeContext } = params;
  if (!Array.isArray(messages)) refuse("`messages` must be an array");
  if (messages.length > MESSAGES_MAX) refuse(`more than ${MESSAGES_MAX} messages`);
  if (!Number.isInteger(maxTokens) || (maxTokens as number) < 1) refuse("`maxTokens` must be a positive integer");
  const isContext = [undefined, "none", "thisServer", "allServers"].includes(includeContext as string | undefined);
  if (!isContext) refuse("`includeContext` must be none, thisServer or allServers");
  checkTools(params);
  const whole = messages.map((message, at) => within(`messages[${at}]: `, () => checkMessage(message)));
  checkToolResults(whole);
}

/** The tools the model may use, and whether it must [SP-1]. */
function checkTools({ tools, toolChoice }: JsonObject): void {
  const isTool = (tool: unknown) => isObject(tool) && typeof tool["name"] === "string" && isObject(tool["inputSchema"]);
  const areTools = tools === undefined || (Array.isArray(tools) && tools.every(isTool));
  if (!areTools) refuse("`tools` must be an array of {name, inputSchema}");
  const isMode = (mode: unknown) => [undefined, "auto", "required", "none"].includes(mode as string | undefined);
  const isChoice = toolChoice === undefined || (isObject(toolChoice) && isMode(toolChoice["mode"]));
  if (!isChoice) refuse("`toolChoice.mode` must be auto, required or none");
}

/** The blocks of a message. */
function checkMessage(message: unknown): JsonObject[] {
  if (!isObject(message)) refuse("must be an object");
  const { role, content } = message;
  if (role !== "user" && role !== "assistant") refuse('`role` must be "user" or "assistant"');
  if (content === undefined) refuse("`content` is missing");
  const blocks: unknown[] = Array.isArray(content) ? content : [content];
  return blocks.map((block) => checkBlock(role, block));
}

function checkBlock(role: "user" | "assistant", block: unknown): JsonObject {
  const { type, input, content } = isObject(block) ? block : {};
  const texts = BLOCKS.get(type as string);
  if (!isObject(block) || texts === undefined) {
    return refuse("`content` must be text, image, audio, tool_use or tool_result");
  }
  const missing = texts.find((name) => typeof block[name] !== "string");
  if (missing !== undefined) refuse(`\`${missing}\` of a ${type as string} must be a string`);
  if (type === "tool_use" && role === "user") refuse("only the assistant uses tools");
  if (type === "tool_use" && !isObject(input)) refuse("`input` of a tool_use must be an object");
  if (type === "tool_result" && role === "assistant") refuse("only the user gives tool results");
  if (type === "tool_result" && !Array.isArray(content)) refuse("`content` of a tool_result must be an array");
  return block;
}

/** Tool uses are answered by the very next message, which has nothing but their results [SP-2]. */
function checkToolResults(messages: JsonObject[][]): void {
  let open = "[]";
  for (const [at, blocks] of messages.entries()) {
    const answered = ids(blocks, "tool_result", "toolUseId");
    if (open !== JSON.stringify(answered)) {
      refuse(`messages[${at}]: must answer each tool_use of the message before, and only those`);
    }
    const isAlone = answered.length === 0 || answered.length === blocks.length;
    if (!isAlone) refuse(`messages[${at}]: tool_results stand alone`);
    open = JSON.stringify(ids(blocks, "tool_use", "id"));
  }
  if (open !== "[]") refuse("the last tool_use is not answered");
}

/** Sorted, so that sets can be compared. */
function ids(blocks: JsonObject[], type: string, id: string): unknown[] {
  return blocks.filter((block) => block["type"] === type).map((block) => block[id]).sort();
}
