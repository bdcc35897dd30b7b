import { SealbusError } from '@sealbus/core'

/** What a wrapper adds to a client's object. An object takes each role once. */
export type Role = 'publishing' | 'consuming' | 'connection'

type Method = (...args: never[]) => unknown
export type Methods = Readonly<Record<string, Method>>

export interface Wrapping {
  readonly target: object
  readonly methods: ReadonlyMap<PropertyKey, Method>
  /** Each role with what it keeps for its own functions. */
  readonly roles: ReadonlyMap<Role, unknown>
}

/** Registered, not private: wrapping twice is seen across two copies of the package. */
const WRAPPING = Symbol.for('sealbus.rabbitmq.wrapping')

/** How an object was wrapped; undefined for a client's own object. */
export function wrappingOf(value: unknown): Wrapping | undefined {
  return typeof value === 'object' && value !== null ? (Reflect.get(value, WRAPPING) as Wrapping | undefined) : undefined
}

/** What a role does: the methods that replace the client's, and what the role keeps. */
export interface RoleParts {
  readonly methods: Methods
  readonly kept?: unknown
  /** Replaces values that the client hands to listeners or keeps as members, where they would lead round the wrapper. */
  readonly adopt?: (value: unknown) => unknown
}

/**
 * Wraps a client's object in one role. All roles of an object share one Proxy on the client's own object, so that a
 * method that calls another (amqplib's `sendToQueue` calls `this.publish`) never passes a wrapper twice, nor none.
 * What returns the object, a role's methods included, returns the Proxy.
 *
 * @throws ERR_SEALBUS_ALREADY_WRAPPED
 */
export function wrap<Target extends object>(given: Target, role: Role, parts: (target: Target, self: () => Target) => RoleParts): Target {
  const known = wrappingOf(given)
  if (known?.roles.has(role)) throw new SealbusError('ERR_SEALBUS_ALREADY_WRAPPED', `this object is wrapped for ${role} already`)
  const target = (known?.target ?? given) as Target
  const { methods: own, kept, adopt = (value) => value } = parts(target, () => proxy)
  const methods = new Map<PropertyKey, Method>([...(known?.methods ?? []), ...Object.entries(own)])
  const wrapping: Wrapping = { target, methods, roles: new Map([...(known?.roles ?? []), [role, kept]]) }
  /** One delegate per method, so that `channel.on === channel.on`. */
  const delegates = new WeakMap<object, unknown>()
  /** Methods of a role that somebody replaced: on the target, they would call themselves through us. */
  const replaced = new Map<PropertyKey, unknown>()

  const outward = (value: unknown): unknown => (value === target ? proxy : value)
  const delegate = (method: Method): Method => (...args) => {
    const result: unknown = Reflect.apply(method, target, args)
    return result instanceof Promise ? result.then(outward) : outward(result)
  }

  const proxy: Target = new Proxy(target, {
    get(_, property): unknown {
      if (property === WRAPPING) return wrapping
      if (replaced.has(property)) return replaced.get(property)
      const value: unknown = methods.get(property) ?? Reflect.get(target, property, target)
      if (typeof value !== 'function') return adopt(value)
      if (property === 'constructor') return value
      const made = delegates.get(value) ?? (LISTENING.get(property)?.(target, () => proxy, adopt) ?? delegate(value as Method))
      delegates.set(value, made)
      return made
    },
    set(_, property, value): boolean {
      if (!methods.has(property)) return Reflect.set(target, property, value, target)
      replaced.set(property, value)
      return true
    },
  })
  return proxy
}

type Listener = (...args: unknown[]) => unknown
type Listening = (target: object, proxy: () => object, adopt: (value: unknown) => unknown) => Method

/** Emitters call listeners with themselves as `this`, which would hand out the client's own object. */
const LISTENING: ReadonlyMap<PropertyKey, Listening> = new Map<PropertyKey, Listening>([
  ['on', listening('on', false)],
  ['addListener', listening('on', false)],
  ['prependListener', listening('prependListener', false)],
  ['once', listening('on', true)],
  ['prependOnceListener', listening('prependListener', true)],
])

function listening(method: 'on' | 'prependListener', once: boolean): Listening {
  return (target, proxy, adopt) => (event: string, listener: Listener): object => {
    const emitter = target as Record<typeof method | 'removeListener', (event: string, listener: unknown) => unknown>
    // What is no function is the client's to refuse.
    if (typeof listener !== 'function') {
      emitter[method](event, listener)
      return proxy()
    }
    // `listener` is what Node's emitters look at, so that `off(event, listener)` finds this one.
    const bound = Object.assign(
      (...args: unknown[]): unknown => {
        if (once) emitter.removeListener(event, bound)
        return Reflect.apply(listener, proxy(), args.map(adopt))
      },
      { listener },
    )
    emitter[method](event, bound)
    return proxy()
  }
}
