import type { SetKey } from './parse.ts'

/**
 * The one key of a set to seal for: usable now, and of those the newest by `nbf` or `iat`, else the first. The order
 * of the document is its owner's choice, so it is never changed.
 */
export function selectKey(keys: readonly SetKey[], now: number): SetKey | undefined {
  let selected: SetKey | undefined
  for (const key of keys) {
    if ((key.notBefore ?? 0) > now || (key.notAfter !== undefined && key.notAfter <= now)) continue
    if (!selected || newness(key, now) > newness(selected, now)) selected = key
  }
  return selected
}

function newness({ notBefore, issuedAt }: SetKey, now: number): number {
  const since = notBefore ?? issuedAt ?? 0
  return since > now ? 0 : since
}
