// Templates of resource URIs: the part of RFC 6570 that can be matched backwards.

type Part = { literal: string } | { name: string; isReserved: boolean };

/** Literals and variables in turn. `{name}` matches one path segment, `{+name}` any rest. */
export class UriTemplate {
  private readonly parts: Part[];

  /** An unclosed brace is a literal; other operators of RFC 6570 are taken as `{name}`. */
  constructor(template: string) {
    const pieces = template.split(/(\{[^}]*\})/).filter((piece) => piece !== "");
    this.parts = pieces.map((piece) => (piece.startsWith("{") && piece.endsWith("}") ? variable(piece) : { literal: piece }));
  }

  /** The variables of `uri`, decoded, if it follows this template. */
  variables(uri: string): Record<string, string> | undefined {
    const found: Record<string, string> = {};
    let rest = uri;
    for (const [index, part] of this.parts.entries()) {
      if ("literal" in part) {
        if (!rest.startsWith(part.literal)) return undefined;
        rest = rest.slice(part.literal.length);
        continue;
      }
      const next = this.parts[index + 1];
      const end = next !== undefined && "literal" in next ? rest.indexOf(next.literal) : rest.length;
      const value = end < 0 ? undefined : decode(rest.slice(0, end), part.isReserved);
      if (value === undefined) return undefined;
      found[part.name] = value;
      rest = rest.slice(end);
    }
    return rest === "" ? found : undefined;
  }
}

function variable(piece: string): Part {
  const expression = piece.slice(1, -1);
  return { name: expression.replace(/^[+#./;?&]+/, ""), isReserved: expression.startsWith("+") };
}

/** `undefined` when a plain variable is empty or spans segments, or when the bytes are no text. */
function decode(value: string, isReserved: boolean): string | undefined {
  if (value === "" || (!isReserved && /[/?#]/.test(value))) return undefined;
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}
