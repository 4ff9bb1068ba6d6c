export type Environment = Record<string, string | undefined>;

/** The environment of the process. In Deno it holds what the program may read of it. */
export const environment: Environment =
  'Deno' in globalThis ? new Proxy({}, { get: (_, name) => readable(() => process.env[String(name)]) }) : process.env;

export function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
