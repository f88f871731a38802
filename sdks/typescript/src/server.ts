// A Server as its author builds it, and changes while it runs.

import { type Completion, completionHandler } from "./completion.js";
import type { Ctx } from "./ctx.js";
import {
  type Item,
  promptItem,
  type PromptOptions,
  type PromptRun,
  resourceItem,
  type ResourceOptions,
  type ResourceRun,
  templateItem,
  type TemplateItem,
  type TemplateRun,
  toolItem,
  type ToolOptions,
  type ToolRun,
} from "./entry.js";
import type { Awaitable, Handler } from "./handler.js";
import type { Watched } from "./runtime/watched.js";
import type { JsonObject, SchemaLike, Shape } from "./schema.js";
import { type Skill, skillItem, type SkillItem } from "./skill.js";
import { CallKind, Catalog } from "./wire/ostler/worker/v1/worker.js";

/** Who runs a call, and the arguments to give it instead of those of the call. */
export interface Found {
  run: Handler;
  arguments?: Buffer;
}

/** Told when a node begins to watch a resource that none watched, and when the last one stops. */
export type WatchHook = (uri: string, isWatched: boolean) => void;

/** An MCP server: what it offers and who runs it. A change is told to every node it is linked to. */
export class Server {
  private readonly info: JsonObject;
  private text = "";
  private readonly tools = new Map<string, Item>();
  private readonly prompts = new Map<string, Item>();
  private readonly resources = new Map<string, Item>();
  private readonly templates = new Map<string, TemplateItem>();
  private readonly skills = new Map<string, SkillItem>();
  private completer: Handler | undefined;
  private isWatchable = false;
  private watchHook: WatchHook | undefined;
  /** Counts changes. */
  private changes = 0;
  private encoded: Buffer | undefined;
  private readonly listeners = new Set<() => void>();
  /** One per link that serves this Server. */
  private readonly watched = new Set<Watched>();

  constructor(name: string, version: string) {
    this.info = { name, version };
  }

  /**
   * Adds a tool, or replaces the one of the same name. The arguments have been checked when `run`
   * gets them; what does not fit is told to the model.
   */
  tool<In extends SchemaLike = Record<never, never>, Out extends SchemaLike | undefined = undefined>(
    name: string,
    options: ToolOptions<In, Out>,
    run: ToolRun<In, Out>,
  ): this {
    return this.change(() => this.tools.set(name, toolItem(name, options, run)));
  }

  /** Adds a prompt that users pick. */
  prompt<Args extends Shape = Record<never, never>>(
    name: string,
    options: PromptOptions<Args>,
    run: PromptRun<Args>,
  ): this {
    return this.change(() => this.prompts.set(name, promptItem(name, options, run)));
  }

  /** Adds a resource with a fixed URI. */
  resource(uri: string, options: ResourceOptions, run: ResourceRun): this {
    return this.change(() => this.resources.set(uri, resourceItem(uri, options, run)));
  }

  /** Adds resources whose URIs follow a template of RFC 6570: `{name}` and `{+name}`. */
  template(uriTemplate: string, options: ResourceOptions, run: TemplateRun): this {
    return this.change(() => this.templates.set(uriTemplate, templateItem(uriTemplate, options, run)));
  }

  /**
   * Adds the user interface of a tool, in HTML (MCP Apps). The URI begins with `ui://`; it is
   * found through the tool, so it is in no list.
   */
  ui(uri: string, options: Omit<ResourceOptions, "mimeType">, run: ResourceRun): this {
    return this.resource(uri, { ...options, mimeType: "text/html;profile=mcp-app", unlisted: true }, run);
  }

  /** Adds a skill, with its files. */
  skill(skill: Skill): this {
    const made = skillItem(skill);
    return this.change(() => {
      this.dropSkill(made.uri);
      this.skills.set(made.uri, made);
      const { name, description } = skill;
      made.files.forEach(({ uri, path, mimeType, content }, index) => {
        const about = index === 0 ? { name, description } : { name: path, unlisted: true };
        this.resources.set(uri, resourceItem(uri, { ...about, mimeType }, () => content));
      });
    });
  }

  /** Answers `completion/complete`. */
  completion(run: (completion: Completion, ctx: Ctx) => Awaitable<string[]>): this {
    return this.change(() => (this.completer = completionHandler(run)));
  }

  /** Sets members of the MCP `Implementation`: `title`, `websiteUrl`, `icons`, ... */
  about(info: JsonObject): this {
    return this.change(() => Object.assign(this.info, info));
  }

  /** What a client's model should know about this Server. */
  instructions(text: string): this {
    return this.change(() => (this.text = text));
  }

  /** Clients may subscribe to resources; tell of changes with `resourceUpdated`. */
  watchable(hook?: WatchHook): this {
    this.watchHook = hook;
    return this.change(() => (this.isWatchable = true));
  }

  // ---- while it runs -------------------------------------------------------------------

  /** Takes a tool away; `false` when there is none of this name. */
  removeTool(name: string): boolean {
    return this.remove(() => this.tools.delete(name));
  }

  removePrompt(name: string): boolean {
    return this.remove(() => this.prompts.delete(name));
  }

  removeResource(uri: string): boolean {
    return this.remove(() => this.resources.delete(uri));
  }

  removeTemplate(uriTemplate: string): boolean {
    return this.remove(() => this.templates.delete(uriTemplate));
  }

  /** Takes a skill away, with its files. */
  removeSkill(name: string): boolean {
    return this.remove(() => this.dropSkill(`skill://${name}/SKILL.md`));
  }

  hasTool(name: string): boolean {
    return this.tools.has(name);
  }

  /** Tells every node that watches `uri` that it changed. */
  resourceUpdated(uri: string): void {
    for (const watched of this.watched) watched.updated(uri);
  }

  /** Whether any node watches `uri`, so that watching it here is worth the effort. */
  isWatched(uri: string): boolean {
    return [...this.watched].some((watched) => watched.has(uri));
  }

  // ---- for the runtime -----------------------------------------------------------------

  /** Grows with every change. */
  get version(): number {
    return this.changes;
  }

  /** Calls `listener` once after the changes of a turn; what is returned stops that. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  attach(watched: Watched): void {
    this.watched.add(watched);
  }

  detach(watched: Watched): void {
    this.watched.delete(watched);
  }

  /** Tells the author. */
  watching(uri: string, isWatched: boolean): unknown {
    return this.watchHook?.(uri, isWatched);
  }

  /** Who runs a call, if anybody does. */
  find(kind: CallKind, target: string): Found | undefined {
    switch (kind) {
      case CallKind.TOOL:
        return this.tools.get(target);
      case CallKind.PROMPT:
        return this.prompts.get(target);
      case CallKind.RESOURCE:
        return this.resources.get(target) ?? this.findTemplate(target);
      case CallKind.COMPLETION:
        return this.completer && { run: this.completer };
      default:
        return undefined;
    }
  }

  private findTemplate(uri: string): Found | undefined {
    for (const { pattern, run } of this.templates.values()) {
      const variables = pattern.variables(uri);
      if (variables !== undefined) return { run, arguments: Buffer.from(JSON.stringify(variables)) };
    }
    return undefined;
  }

  /** An encoded `Catalog`. */
  catalog(): Buffer {
    this.encoded ??= Buffer.from(Catalog.encode(this.toWire()).finish());
    return this.encoded;
  }

  private toWire(): Catalog {
    const wires = (items: Map<string, Item>) => [...items.values()].map(({ wire }) => wire);
    return {
      serverInfo: Buffer.from(JSON.stringify(this.info)),
      instructions: this.text,
      tools: wires(this.tools),
      prompts: wires(this.prompts),
      resources: wires(this.resources),
      templates: wires(this.templates),
      completions: this.completer !== undefined,
      logging: true,
      resourceWatch: this.isWatchable,
      skills: [...this.skills.values()].map(({ definition }) => ({ definition, declarations: undefined })),
    };
  }

  private change(edit: () => unknown): this {
    edit();
    this.changed();
    return this;
  }

  private remove(edit: () => boolean): boolean {
    const was = edit();
    if (was) this.changed();
    return was;
  }

  private changed(): void {
    this.changes += 1;
    this.encoded = undefined;
    const { changes } = this;
    setImmediate(() => {
      if (changes !== this.changes) return; // A later change of this turn tells.
      for (const listener of this.listeners) listener();
    });
  }

  private dropSkill(uri: string): boolean {
    for (const file of this.skills.get(uri)?.files ?? []) this.resources.delete(file.uri);
    return this.skills.delete(uri);
  }
}
