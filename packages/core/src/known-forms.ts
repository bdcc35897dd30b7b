import { LRUCache } from 'lru-cache'
import { decodeEnvelope, decodeKnown, type Envelope, type KnownForm, knownForm } from './envelope.ts'
import { LIMITS } from './limits.ts'

/** Reads envelopes, and remembers the forms of those that opened, so that the next of the same content key are read by comparing. */
export interface KnownForms {
  /** @throws what `decodeEnvelope` throws */
  read(bytes: Buffer): Envelope
  /** To be called only after the tag verified: garbage must not push out what is in use. */
  remember(bytes: Buffer, envelope: Envelope): void
  clear(): void
}

export function createKnownForms(entries: number): KnownForms {
  const forms = new LRUCache<string, KnownForm>({
    max: entries,
    maxSize: LIMITS.knownFormsSize,
    sizeCalculation: ({ header, afterProtected }) => header.length + afterProtected.length,
  })
  /** Entries that came from here: their envelopes have a known form. */
  const remembered = new WeakSet<Envelope['entries']>()
  const find = (name: string): KnownForm | undefined => forms.get(name)
  return {
    read: (bytes) => decodeKnown(bytes, find) ?? decodeEnvelope(bytes),
    remember(bytes, envelope): void {
      if (remembered.has(envelope.entries)) return
      const form = knownForm(bytes, envelope)
      if (!form) return
      forms.set(form.name, form)
      remembered.add(form.entries)
    },
    clear: () => forms.clear(),
  }
}
