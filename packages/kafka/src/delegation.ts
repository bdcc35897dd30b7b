import { SealbusError } from '@sealbus/core'

type Method = (...args: never[]) => unknown

/** Registered, not private: wrapping twice is seen across two copies of the package. */
const WRAPPED = Symbol.for('sealbus.kafka.wrapped')

export function isWrapped(value: unknown): boolean {
  return keptBy(value) !== undefined
}

/** What a wrapper keeps for its own functions, of an object that it wrapped; undefined for any other. */
export function keptBy(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, WRAPPED) : undefined
}

/**
 * A Proxy that replaces some methods of a client's object. All others are called on the target itself; wherever the
 * target would return itself, the wrapper is returned, so that no chain leads round it.
 *
 * What is assigned over a replaced method (instrumentations do that) goes over it, and never on the target, where it
 * would call itself through the wrapper.
 *
 * @throws ERR_SEALBUS_ALREADY_WRAPPED
 */
export function wrap<Target extends object>(target: Target, methods: Readonly<Record<string, Method>>, kept: object = {}): Target {
  if (isWrapped(target)) throw new SealbusError('ERR_SEALBUS_ALREADY_WRAPPED', 'this object is wrapped by Sealbus already')
  const own = new Map<PropertyKey, unknown>(Object.entries(methods))
  /** One delegate per method, so that `producer.on === producer.on`. */
  const delegates = new WeakMap<object, unknown>()
  const outward = (value: unknown): unknown => (value === target ? proxy : value)
  const proxy: Target = new Proxy(target, {
    get(_, property): unknown {
      if (property === WRAPPED) return kept
      if (own.has(property)) return own.get(property)
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function' || property === 'constructor') return value
      const delegate = delegates.get(value) ?? ((...args: unknown[]): unknown => {
        const result: unknown = Reflect.apply(value, target, args)
        return result instanceof Promise ? result.then(outward) : outward(result)
      })
      delegates.set(value, delegate)
      return delegate
    },
    // Spies and tracers look here for what they go over: the client's own method would lead round the wrapper.
    getOwnPropertyDescriptor(_, property): PropertyDescriptor | undefined {
      const descriptor = Reflect.getOwnPropertyDescriptor(target, property)
      return own.has(property) ? { value: own.get(property), writable: true, configurable: true, enumerable: descriptor?.enumerable ?? false } : descriptor
    },
    // Assignment comes here too: `set` without a trap defines on the receiver, which is the proxy.
    defineProperty(_, property, descriptor): boolean {
      if (!own.has(property)) return Reflect.defineProperty(target, property, descriptor)
      // An instrumentation that found nothing to go over assigns undefined: the method stays.
      if (typeof descriptor.value === 'function') own.set(property, descriptor.value)
      return true
    },
  })
  return proxy
}
