/** A base class whose constructor gives back the object that it is given: the fields of a subclass go onto that. */
const Given = function (object: object): object {
  return object
} as unknown as new (object: object) => object

/** A value on objects of others that only its maker can read or write. */
export interface PrivateMark<Value> {
  set(object: object, value: Value): void
  of(object: object): Value | undefined
}

/**
 * As a WeakMap would do it; but one with an entry per message costs the garbage collector more than all else that is
 * done for a message, and a private field costs it nothing.
 */
export function createPrivateMark<Value>(): PrivateMark<Value> {
  class Marked extends Given {
    #value: Value

    private constructor(object: object, value: Value) {
      super(object)
      this.#value = value
    }

    static set(object: object, value: Value): object {
      if (!(#value in object)) return new Marked(object, value)
      object.#value = value
      return object
    }

    static of(object: object): Value | undefined {
      return #value in object ? object.#value : undefined
    }
  }
  return Marked
}
