declare const kind: unique symbol;

/** A value that callers pass on and only this package opens, so that its parts are not part of the public types. */
export interface Opaque<Kind extends string> {
  readonly [kind]: Kind;
}
